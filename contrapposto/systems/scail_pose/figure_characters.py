"""Stylised figures at random: the shipped body in other proportions or figures of solids, dressed, with what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import BodyModel, load_body
from contrapposto.body.proportions import proportioned
from contrapposto.body.thinned import thinned
from contrapposto.shipped import shipped_clips
from contrapposto.systems.scail_pose.figure_clutter import upright
from contrapposto.systems.scail_pose.figure_headwear import Head, headwear
from contrapposto.systems.scail_pose.figure_outfit import clothes, props
from contrapposto.systems.scail_pose.figure_parts import HEAD, Posed, face, puppet, round_head
from contrapposto.systems.scail_pose.figure_solids import Solids, random_color

_LIMB_JOINTS = (17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7)  # SMPL's of points 2 to 13
_SKULL = 0.115  # half of a head's height, metres, at size 1


@dataclass(frozen=True, eq=False)
class Character:
    """A figure in the world, z up, which faces -y.

    Attributes:
        vertices, faces, colors: (V, 3) metres, (F, 3), (V, 3).
        points: (15, 3), see `figure_net`.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    points: np.ndarray


class CharacterMaker:
    """Draws characters at random; keeps the body and the recorded poses."""

    def __init__(self) -> None:
        self.body = thinned(load_body("smpl"))
        clips = [clip.rotations[::30, :22] for clip in shipped_clips()]
        self.recorded = np.concatenate(clips)
        self.owner = self.body.skinning.weights.argmax(1).numpy()
        self.height = float(np.ptp(self.body.rest_vertices()[0].numpy()[:, 1]))

    def draw(self, rng: np.random.Generator) -> Character:
        """A character."""
        sizes = _random_sizes(rng)
        betas = torch.from_numpy(np.asarray(rng.normal(0, 0.7, self.body.num_betas), np.float32))
        body: BodyModel = proportioned(self.body, sizes, betas)
        local = Rotation.from_rotvec(self._pose(rng).reshape(-1, 3)).as_matrix().reshape(24, 3, 3)
        output = body(torch.from_numpy(local[None].astype(np.float32)))
        turns = local.copy()
        for joint, parent in enumerate(body.skeleton.parents):
            if parent >= 0:
                turns[joint] = turns[parent] @ local[joint]
        posed = Posed(output.joints[0].double().numpy(), turns, sizes)
        palette = [random_color(rng) for _ in range(8)]
        if rng.random() < 0.6:
            palette[0] = np.array([0.9, 0.7, 0.55]) * rng.uniform(0.35, 1.1) + rng.normal(0, 0.03, 3)
        palette = [np.clip(color, 0, 1) for color in palette]
        solids = Solids()
        built = rng.random() < 0.5
        if built:
            puppet(solids, posed, palette, rng)
        else:
            vertices = output.vertices[0].double().numpy()
            solids.add(vertices, body.faces.numpy(), self._paint(palette, body, rng))
        center, half = _skull(posed)
        if built or rng.random() < 0.4:
            half = round_head(solids, center, half, posed.turns[HEAD], palette, rng)
        nose, top = (
            center + posed.turns[HEAD] @ [0, -0.1 * half[1], half[2]],
            center + posed.turns[HEAD] @ [0, half[1], 0],
        )
        face(solids, center, half, posed.turns[HEAD], rng)
        headwear(solids, Head(center, half, posed.turns[HEAD]), palette, rng)
        clothes(solids, posed, palette, rng)
        props(solids, posed, palette, rng)
        neck = posed.joints[[16, 17]].mean(0)
        points = np.stack([nose, neck, *posed.joints[list(_LIMB_JOINTS)], top])
        vertices, faces, colors = solids.joined()
        if rng.random() < 0.5:
            colors = np.clip(colors + rng.normal(0, rng.uniform(0, 0.08), (len(colors), 1)), 0, 1)
        return Character(upright(vertices), faces, colors, upright(points))

    def _pose(self, rng: np.random.Generator) -> np.ndarray:
        pose = np.zeros((24, 3))
        kind = rng.random()
        if kind < 0.25:
            pose[:22] = self.recorded[rng.integers(len(self.recorded))]
            pose[0] = 0
            if kind < 0.08:
                pose[1:22] += rng.normal(0, 0.2, (21, 3))
            return pose
        down = rng.choice([0.0, 0.5, 0.8, 1.15, 1.3]) + rng.normal(0, 0.1)
        pose[16, 2], pose[17, 2] = -down, down
        pose[13, 2], pose[14, 2] = -0.1 * down, 0.1 * down
        if kind > 0.5:
            for joint, amount in (
                (16, 0.4),
                (17, 0.4),
                (1, 0.2),
                (2, 0.2),
                (15, 0.2),
                (12, 0.1),
                (3, 0.1),
                (9, 0.1),
            ):
                pose[joint] += rng.normal(0, amount, 3)
            for side, joint in ((-1, 18), (1, 19)):
                bent = rng.choice([0, 1]) * rng.uniform(0, 1.9)
                pose[joint, 1] += side * bent
                pose[joint, 0] -= rng.uniform(0, 0.5) * bent
            for hip, knee in ((1, 4), (2, 5)):
                bent = max(rng.normal(0, 0.35), 0)
                pose[hip, 0] -= bent * 0.7
                pose[knee, 0] += bent
                pose[hip, 2] += rng.normal(0, 0.1)
        spread = rng.uniform(0, 0.15)
        pose[1, 2] += spread
        pose[2, 2] -= spread
        return pose

    def _paint(self, palette: list[np.ndarray], body: BodyModel, rng: np.random.Generator) -> np.ndarray:
        part = np.full(24, 1)
        part[[12, 15]], part[[20, 21, 22, 23]] = 0, rng.choice([0, 4])
        part[[16, 17]], part[[18, 19]] = rng.choice([1, 1, 0, 2]), rng.choice([1, 0, 2, 4])
        part[[0, 1, 2]], part[[4, 5]], part[[7, 8, 10, 11]] = (
            3,
            rng.choice([3, 3, 0, 5]),
            rng.choice([5, 6, 0]),
        )
        colors = np.array(palette)[part][self.owner]
        if rng.random() < 0.3:  # stripes
            height = body.v_template.numpy()[:, 1 if rng.random() < 0.7 else 0]
            striped = (np.sin(height * rng.uniform(15, 60)) > 0) & (part[self.owner] == rng.choice([1, 3]))
            colors[striped] = palette[6]
        if rng.random() < 0.5:  # hair painted on
            rest = self.body.rest_vertices()[0].numpy()
            line = 1.0 - rng.uniform(0.05, 0.1) - 0.12 * (rest[:, 2] < 0.02)
            top = (rest[:, 1] - rest[:, 1].min()) / self.height > line
            colors[top & (self.owner == HEAD)] = palette[7]
        return colors


def _random_sizes(rng: np.random.Generator) -> dict[str, float]:
    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    if rng.random() < 0.15:
        return {
            "head": between(0.9, 1.3),
            "arms": 1.0,
            "legs": 1.0,
            "hands": 1.0,
            "feet": 1.0,
            "girth": between(0.8, 1.4),
        }
    short = between(0.35, 1.1)
    return {
        "head": between(1.1, 3.4),
        "arms": short * between(0.8, 1.3),
        "legs": short * between(0.65, 1.2),
        "hands": between(0.8, 2.2),
        "feet": between(0.8, 2.0),
        "girth": between(0.7, 2.4),
    }


def _skull(posed: Posed) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half sizes of the head."""
    size = posed.sizes["head"]
    center = posed.joints[HEAD] + posed.turns[HEAD] @ (np.array([0, 0.07, 0.02]) * size)
    return center, size * np.array([0.08, _SKULL, 0.105])
