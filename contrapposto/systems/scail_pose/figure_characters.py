"""Stylised figures at random: the shipped body in other proportions or figures of solids, dressed, with what they hold.

Points of a figure are the first 14 of OpenPose's body (nose, neck, right shoulder, ...) and the top of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import BodyModel, load_body
from contrapposto.body.proportions import proportioned
from contrapposto.body.thinned import thinned
from contrapposto.shipped import shipped_clips
from contrapposto.systems.scail_pose.figure_solids import Solids, random_color

NUM_POINTS = 15
MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14)
"""The point of the other side for each point."""
_LIMB_JOINTS = (17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7)  # SMPL's of points 2 to 13
_HEAD, _NECK = 15, 12
_SKULL = 0.115  # half of a head's height, metres, at size 1


@dataclass(frozen=True, eq=False)
class Character:
    """A figure in the world, z up, which faces -y.

    Attributes:
        vertices, faces, colors: (V, 3) metres, (F, 3), (V, 3).
        points: (15, 3).
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    points: np.ndarray


@dataclass(eq=False)
class _Posed:
    """A skeleton in a pose, y up, facing z."""

    joints: np.ndarray
    turns: np.ndarray
    sizes: dict[str, float]

    def bone(self, joint: int) -> float:
        """Thickness of limbs, metres."""
        return 0.05 * self.sizes["girth"]


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
        betas = torch.from_numpy(rng.normal(0, 0.7, self.body.num_betas).astype(np.float32))
        body: BodyModel = proportioned(self.body, sizes, betas)
        local = Rotation.from_rotvec(self._pose(rng).reshape(-1, 3)).as_matrix().reshape(24, 3, 3)
        output = body(torch.from_numpy(local[None].astype(np.float32)))
        turns = local.copy()
        for joint, parent in enumerate(body.skeleton.parents):
            if parent >= 0:
                turns[joint] = turns[parent] @ local[joint]
        posed = _Posed(output.joints[0].double().numpy(), turns, sizes)
        palette = [random_color(rng) for _ in range(8)]
        if rng.random() < 0.6:
            palette[0] = np.array([0.9, 0.7, 0.55]) * rng.uniform(0.35, 1.1) + rng.normal(0, 0.03, 3)
        palette = [np.clip(color, 0, 1) for color in palette]
        solids = Solids()
        built = rng.random() < 0.5
        if built:
            _puppet(solids, posed, palette, rng)
        else:
            vertices = output.vertices[0].double().numpy()
            solids.add(vertices, body.faces.numpy(), self._paint(palette, body, rng))
        center, half = _skull(posed)
        if built or rng.random() < 0.4:
            half, power = _round_head(solids, center, half, posed.turns[_HEAD], palette, rng)
        nose, top = center + posed.turns[_HEAD] @ [0, -0.1 * half[1], half[2]], center + posed.turns[_HEAD] @ [0, half[1], 0]
        _face(solids, center, half, posed.turns[_HEAD], rng)
        _headwear(solids, center, half, posed.turns[_HEAD], palette, rng)
        _clothes(solids, posed, palette, rng)
        _props(solids, posed, palette, rng)
        neck = posed.joints[[16, 17]].mean(0)
        points = np.stack([nose, neck, *posed.joints[list(_LIMB_JOINTS)], top])
        vertices, faces, colors = solids.joined()
        if rng.random() < 0.5:
            colors = np.clip(colors + rng.normal(0, rng.uniform(0, 0.08), (len(colors), 1)), 0, 1)
        return Character(_upright(vertices), faces, colors, _upright(points))

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
            for joint, amount in ((16, 0.4), (17, 0.4), (1, 0.2), (2, 0.2), (15, 0.2), (12, 0.1), (3, 0.1), (9, 0.1)):
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
        part[[0, 1, 2]], part[[4, 5]], part[[7, 8, 10, 11]] = 3, rng.choice([3, 3, 0, 5]), rng.choice([5, 6, 0])
        colors = np.array(palette)[part][self.owner]
        if rng.random() < 0.3:  # stripes
            height = body.v_template.numpy()[:, 1 if rng.random() < 0.7 else 0]
            striped = (np.sin(height * rng.uniform(15, 60)) > 0) & (part[self.owner] == rng.choice([1, 3]))
            colors[striped] = palette[6]
        if rng.random() < 0.5:  # hair painted on
            rest = self.body.rest_vertices()[0].numpy()
            line = 1.0 - rng.uniform(0.05, 0.1) - 0.12 * (rest[:, 2] < 0.02)
            top = (rest[:, 1] - rest[:, 1].min()) / self.height > line
            colors[top & (self.owner == _HEAD)] = palette[7]
        return colors


def _random_sizes(rng: np.random.Generator) -> dict[str, float]:
    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    if rng.random() < 0.15:
        return {"head": between(0.9, 1.3), "arms": 1.0, "legs": 1.0, "hands": 1.0, "feet": 1.0, "girth": between(0.8, 1.4)}
    short = between(0.35, 1.1)
    return {
        "head": between(1.1, 3.4),
        "arms": short * between(0.8, 1.3),
        "legs": short * between(0.65, 1.2),
        "hands": between(0.8, 2.2),
        "feet": between(0.8, 2.0),
        "girth": between(0.7, 2.4),
    }


def _skull(posed: _Posed) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half sizes of the head."""
    size = posed.sizes["head"]
    center = posed.joints[_HEAD] + posed.turns[_HEAD] @ (np.array([0, 0.07, 0.02]) * size)
    return center, size * np.array([0.08, _SKULL, 0.105])


def _puppet(solids: Solids, posed: _Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    """Limbs and trunk of simple solids."""
    joints, turns = posed.joints, posed.turns
    sides = int(rng.choice([4, 6, 8, 12]))
    leg, arm = (posed.sizes["girth"] * base * rng.uniform(0.8, 1.2) for base in (0.068, 0.048))
    taper = rng.uniform(0.7, 1.25)
    upper, lower, thigh, shin = (palette[i] for i in rng.choice([[1, 1, 3, 3], [1, 0, 3, 5], [1, 4, 3, 0], [2, 2, 2, 2]]))
    for side, (hip, knee, ankle, shoulder, elbow, wrist) in enumerate(((1, 4, 7, 16, 18, 20), (2, 5, 8, 17, 19, 21))):
        for first, second, radius, color in (
            (hip, knee, leg, thigh),
            (knee, ankle, leg * taper, shin),
            (shoulder, elbow, arm, upper),
            (elbow, wrist, arm * taper, lower),
        ):
            solids.frustum(joints[first], joints[second], (radius, radius * taper), color, sides=sides)
            if sides > 4:
                solids.ellipsoid(joints[first], [radius] * 3, color)
        foot = 0.09 * posed.sizes["feet"]
        frame = turns[ankle]
        drop = frame @ [0, -0.045 * posed.sizes["feet"], 0.06 * posed.sizes["feet"]]
        solids.ellipsoid(joints[ankle] + drop, [max(0.045 * posed.sizes["feet"], leg), 0.05 * posed.sizes["feet"], foot + 0.3 * leg], palette[5], frame, rng.choice([1.0, 0.5]))
        hand = 0.05 * posed.sizes["hands"]
        outward = turns[wrist] @ [(1 if side == 0 else -1) * hand, 0, 0]
        solids.ellipsoid(joints[wrist] + outward, [1.3 * hand, hand, hand], palette[0] if rng.random() < 0.6 else palette[4], turns[wrist], rng.choice([1.0, 0.6]))
    width = float(np.linalg.norm(joints[16] - joints[17])) / 2
    bottom = max(float(np.linalg.norm(joints[1] - joints[2])) / 2 + leg * 0.8, width * rng.uniform(0.5, 1.2))
    low, high = joints[0] + turns[0] @ [0, -0.05, 0], joints[_NECK] + turns[9] @ [0, -0.02, 0]
    belly = rng.uniform(0.9, 1.4)
    middle = joints[3]
    body_sides = int(rng.choice([4, 8, 12]))
    flat = rng.uniform(0.55, 1.0)
    top = width * rng.uniform(0.75, 1.15)
    solids.frustum(low, middle, (bottom, bottom * belly * 0.9), palette[3], sides=body_sides, flat=flat, turn=turns[0])
    solids.frustum(middle, high, (bottom * belly * 0.9, top), palette[1], sides=body_sides, flat=flat, turn=turns[9])
    solids.frustum(high - 0.02, joints[_HEAD] + 0.02, (0.055, 0.05), palette[0], sides=8)


def _round_head(
    solids: Solids, center: np.ndarray, half: np.ndarray, turn: np.ndarray, palette: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """A head in place of the body's, which it hides; its half sizes."""
    half = half * rng.uniform([1.1, 0.9, 1.0], [1.7, 1.15, 1.35])
    power = float(rng.choice([1.0, 1.0, 0.7, 0.4, 0.2]))
    solids.ellipsoid(center, half, palette[0], turn, power)
    return half, power


def _face(solids: Solids, center: np.ndarray, half: np.ndarray, turn: np.ndarray, rng: np.random.Generator) -> None:
    if rng.random() < 0.12:
        return
    size = half[1] * np.exp(rng.uniform(np.log(0.07), np.log(0.3)))
    tall, apart, high = rng.uniform(0.7, 2.0), rng.uniform(0.3, 0.55), rng.uniform(-0.3, 0.25)
    dark = random_color(rng) * 0.4
    white = rng.random() < 0.5
    for side in (-1, 1):
        spot = np.array([side * apart * half[0], high * half[1], half[2] * 0.93])
        if white:
            solids.ellipsoid(center + turn @ spot, [size, size * tall, size * 0.5], (0.95, 0.95, 0.95), turn)
            spot = spot + [0, 0, 0.3 * size]
        inner = size * (0.6 if white else 1)
        solids.ellipsoid(center + turn @ spot, [inner, inner * tall, size * 0.5], dark, turn)
        if rng.random() < 0.4:
            brow = spot + [0, size * tall * 1.4, 0]
            solids.ellipsoid(center + turn @ brow, [size * 1.3, size * 0.3, size * 0.4], dark, turn)
    if rng.random() < 0.6:
        mouth = center + turn @ [0, -0.55 * half[1], half[2] * 0.88]
        solids.ellipsoid(mouth, [size * rng.uniform(0.5, 1.6), size * rng.uniform(0.15, 0.5), size * 0.5], random_color(rng) * 0.6, turn)
    if rng.random() < 0.5:
        solids.ellipsoid(center + turn @ [0, -0.15 * half[1], half[2]], [size * 0.6] * 3, random_color(rng), turn)
    if rng.random() < 0.15:  # a beard
        solids.ellipsoid(center + turn @ [0, -0.8 * half[1], half[2] * 0.6], half * [0.8, 0.6, 0.5], random_color(rng), turn)


def _headwear(
    solids: Solids, center: np.ndarray, half: np.ndarray, turn: np.ndarray, palette: list[np.ndarray], rng: np.random.Generator
) -> None:
    def at(x: float, y: float, z: float) -> np.ndarray:
        return np.asarray(center + turn @ (half * [x, y, z]))

    color, other = palette[7], palette[6]
    kind = rng.choice(["none", "hair", "hair", "cone", "brimmed", "helmet", "hood", "crown"])
    if kind == "hair" or (kind == "brimmed" and rng.random() < 0.5):
        solids.ellipsoid(at(0, 0.25, -0.2), half * rng.uniform([1.02, 0.85, 0.95], [1.25, 1.0, 1.1]), color, turn, rng.choice([1, 0.6]))
        if rng.random() < 0.4:
            solids.ellipsoid(at(0, -0.6, -0.7), half * [rng.uniform(0.6, 1.2), rng.uniform(0.6, 2.0), 0.4], color, turn)
        if rng.random() < 0.25:
            for side in (-1, 1):
                solids.ellipsoid(at(side * 1.2, rng.uniform(-0.6, 0.5), -0.2), half[1] * rng.uniform(0.2, 0.7) * np.array([1, 1.5, 1]), color, turn)
        for _ in range(int(rng.choice([0, 0, 4, 7]))):
            spike = rng.normal(size=3) * [1, 0.6, 0.6] + [0, 0.6, -0.2]
            spike /= np.linalg.norm(spike)
            solids.frustum(at(*(0.8 * spike)), at(*(rng.uniform(1.2, 1.6) * spike)), (0.4 * half[0], 0.02 * half[0]), color, sides=6)
    if kind == "cone":
        solids.frustum(at(0, 0.45, -0.1), at(rng.uniform(-0.4, 0.4), rng.uniform(1.6, 3.2), rng.uniform(-1, 0.2)), (1.15 * half[0], 0.03), color, sides=10)
    if kind in ("cone", "brimmed"):
        brim = rng.uniform(1.2, 2.2) * half[0]
        solids.frustum(at(0, 0.4, 0), at(0, 0.5, 0), (brim, brim * 0.9), other if kind == "brimmed" else color, sides=12)
    if kind == "brimmed":
        solids.frustum(at(0, 0.45, 0), at(0, rng.uniform(0.9, 1.7), 0), (1.1 * half[0], rng.uniform(0.5, 1.2) * half[0]), color, sides=10)
    if kind == "helmet":
        closed = rng.random() < 0.4
        solids.ellipsoid(at(0, 0.15, -0.2 if not closed else 0.02), half * (1.15 if not closed else 1.1), color, turn, rng.choice([1, 0.5]))
        if closed:
            solids.ellipsoid(at(0, rng.uniform(-0.2, 0.2), 1.0), half * [0.7, rng.uniform(0.06, 0.25), 0.2], other * 0.3, turn, 0.5)
        if rng.random() < 0.4:
            solids.frustum(at(0, 1.0, -0.1), at(0, rng.uniform(1.3, 2.2), -0.5), (0.15 * half[0], 0.35 * half[0]), other, sides=6)
        if rng.random() < 0.3:
            for side in (-1, 1):
                solids.frustum(at(side * 0.9, 0.6, 0), at(side * 1.7, rng.uniform(0.8, 1.9), 0), (0.3 * half[0], 0.02), other, sides=6)
    if kind == "hood":
        solids.ellipsoid(at(0, 0.05, -0.3), half * [1.3, 1.2, 1.1], palette[1], turn)
    if kind == "crown":
        solids.frustum(at(0, 0.6, 0), at(0, 1.2, 0), (0.9 * half[0], 1.0 * half[0]), np.array([0.95, 0.8, 0.2]), sides=8)
    if rng.random() < 0.2:  # ears of animals
        tall = rng.uniform(0.5, 1.8)
        for side in (-1, 1):
            solids.frustum(at(side * 0.6, 0.7, 0), at(side * rng.uniform(0.6, 1), 0.8 + tall, 0), (0.35 * half[0], 0.08 * half[0]), palette[0], sides=6, flat=0.5)


def _clothes(solids: Solids, posed: _Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    joints, turns = posed.joints, posed.turns
    width = float(np.linalg.norm(joints[16] - joints[17])) / 2
    if rng.random() < 0.25:  # skirt or robe
        long = rng.uniform(0.3, 1.05)
        feet = joints[[7, 8]].mean(0)
        end = joints[0] + long * (feet - joints[0])
        solids.frustum(joints[3], end, (width * 0.9, width * rng.uniform(1.0, 2.2)), palette[rng.choice([1, 3])], sides=10, flat=rng.uniform(0.6, 1), turn=turns[0])
    if rng.random() < 0.25:  # cape
        neck = joints[_NECK] + turns[9] @ [0, -0.03, -0.09]
        low = joints[0] + rng.uniform(0.1, 0.95) * (joints[[7, 8]].mean(0) - joints[0]) + turns[0] @ [0, 0, -0.2]
        solids.frustum(neck, low, (width * 0.9, width * rng.uniform(1.1, 2)), palette[6], sides=8, flat=0.12, turn=turns[9])
    if rng.random() < 0.3:  # pauldrons
        size = width * rng.uniform(0.35, 0.7)
        for joint in (16, 17):
            solids.ellipsoid(joints[joint], [size, 0.8 * size, size], palette[4], turns[joint], rng.choice([1, 0.5]))
    if rng.random() < 0.3:  # belt
        solids.frustum(joints[3] + [0, -0.05, 0], joints[3] + [0, 0.0, 0], (width * 1.15,) * 2, palette[5], sides=10, flat=0.8, turn=turns[0])
    if rng.random() < 0.2:  # scarf or collar
        solids.ellipsoid(joints[_NECK], [width * rng.uniform(0.5, 0.9), width * 0.3, width * 0.6], palette[6])
    if rng.random() < 0.15:  # backpack or wings
        reach = width * rng.uniform(0.6, 2.5)
        solids.ellipsoid(joints[9] + turns[9] @ [0, 0, -0.2], [reach, width * rng.uniform(0.7, 1.3), 0.1], palette[2], turns[9], 0.6)
    for joint in (18, 19) if rng.random() < 0.2 else ():  # bracers
        end = joints[joint + 2]
        thick = posed.bone(joint) * rng.uniform(1.1, 1.7)
        solids.frustum(0.6 * joints[joint] + 0.4 * end, end, (thick, thick * 1.2), palette[4], sides=8)


def _props(solids: Solids, posed: _Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    scale = posed.sizes["hands"] ** 0.5
    for side, wrist in ((1, 20), (-1, 21)):
        if rng.random() > 0.2:
            continue
        turn = posed.turns[wrist]
        grip = posed.joints[wrist] + turn @ [side * 0.06 * posed.sizes["hands"], 0, 0]
        along = turn @ [0, rng.choice([0.0, 0.0, 1.0]), rng.choice([1.0, 1.0, -1.0])] + rng.normal(0, 0.2, 3)
        if rng.random() < 0.4:
            along = np.array([0, 1.0, 0.1])
        along /= np.linalg.norm(along)
        kind, color = rng.choice(["sword", "staff", "shield", "ball", "axe"]), random_color(rng)
        if kind == "sword":
            long = rng.uniform(0.4, 1.1) * scale
            solids.frustum(grip, grip + along * long, (0.05 * scale, 0.03 * scale), color, sides=4, flat=0.3)
            solids.frustum(grip + along * 0.05, grip + along * 0.1, (0.14 * scale,) * 2, palette[4], sides=4, flat=0.4)
        elif kind in ("staff", "axe"):
            tip = grip + along * rng.uniform(0.3, 1.0)
            solids.frustum(grip - along * rng.uniform(0.1, 0.9), tip, (0.02 * scale,) * 2, color, sides=6)
            if rng.random() < 0.7:
                solids.ellipsoid(tip, rng.uniform(0.04, 0.2, 3) * scale, random_color(rng))
        elif kind == "shield":
            out = posed.joints[wrist] + np.array([side * 0.05, 0, 0.12])
            solids.frustum(out, out + [side * 0.02, 0, 0.04], (rng.uniform(0.15, 0.4) * scale,) * 2, color, sides=int(rng.choice([4, 8, 12])))
        else:
            solids.ellipsoid(grip + along * 0.1, [rng.uniform(0.06, 0.2) * scale] * 3, color)


def _upright(points: np.ndarray) -> np.ndarray:
    """From y up, facing z, to z up, facing -y."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def clutter(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and colours, z up, of something that is no figure: furniture, plants, animals, heaps, parts."""
    solids = Solids()
    makers: list[Callable[[Solids, np.random.Generator], None]] = [_table, _tree, _animal, _animal, _heap, _heap, _lamp]
    makers[rng.integers(len(makers))](solids, rng)
    vertices, faces, colors = solids.joined()
    return _upright(vertices), faces, colors


def _table(solids: Solids, rng: np.random.Generator) -> None:
    wide, deep, high, color = *rng.uniform([0.3, 0.2, 0.3], [0.9, 0.6, 1.1]), random_color(rng)
    solids.frustum(np.array([0, high, 0]), np.array([0, high + 0.06, 0]), (wide,) * 2, color, sides=int(rng.choice([4, 12])), flat=deep / wide)
    for x in (-0.8, 0.8):
        for z in (-0.8, 0.8):
            solids.frustum(np.array([x * wide, 0, z * deep]), np.array([x * wide, high, z * deep]), (0.03, 0.04), color, sides=4)
    if rng.random() < 0.6:  # a chair's back
        solids.frustum(np.array([0, high, -deep]), np.array([0, high + rng.uniform(0.3, 0.9), -deep]), (wide,) * 2, random_color(rng), sides=4, flat=0.1)
    for _ in range(rng.integers(0, 4)):
        spot = np.array([rng.uniform(-wide, wide), high + 0.15, rng.uniform(-deep, deep)]) * [0.7, 1, 0.7]
        solids.ellipsoid(spot, rng.uniform(0.05, 0.2, 3), random_color(rng), None, rng.choice([1, 0.3]))


def _tree(solids: Solids, rng: np.random.Generator) -> None:
    high, thick, leaf = rng.uniform(0.4, 1.4), rng.uniform(0.03, 0.12), random_color(rng)
    solids.frustum(np.zeros(3), np.array([0, high, 0]), (thick, thick * 0.7), random_color(rng) * 0.6, sides=7)
    for _ in range(rng.integers(0, 5)):
        start = np.array([0, rng.uniform(0.4, 0.95) * high, 0])
        solids.frustum(start, start + rng.normal(0, 0.25, 3) + [0, 0.2, 0], (thick * 0.6, thick * 0.3), leaf * 0.5, sides=5)
    for _ in range(rng.integers(1, 7)):
        if rng.random() < 0.6:
            solids.ellipsoid(np.array([0, high, 0]) + rng.normal(0, 0.2, 3), rng.uniform(0.1, 0.45, 3), leaf * rng.uniform(0.7, 1.2))
        else:
            base = rng.uniform(0.3, 1) * high
            solids.frustum(np.array([0, base, 0]), np.array([0, base + rng.uniform(0.3, 0.7), 0]), (rng.uniform(0.2, 0.5), 0.02), leaf, sides=8)


def _animal(solids: Solids, rng: np.random.Generator) -> None:
    """Four legs, a level trunk and a head in front."""
    color, dark = random_color(rng), random_color(rng)
    long, thick, high = rng.uniform([0.25, 0.1, 0.1], [0.6, 0.28, 0.7])
    ahead = np.array([np.cos(angle := rng.uniform(0, 2 * np.pi)), 0, np.sin(angle)])
    aside = np.cross(ahead, [0, 1, 0])
    frame = np.stack([ahead, [0, 1, 0], aside], axis=1)
    middle = np.array([0, high + thick, 0])
    solids.ellipsoid(middle, [long + thick, thick, thick], color, frame)
    for along in (-1, 1):
        for across in (-1, 1):
            hip = middle + along * long * ahead + across * 0.6 * thick * aside
            foot = hip + rng.normal(0, 0.05, 3)
            foot[1] = 0
            solids.frustum(hip, foot, (0.35 * thick, 0.25 * thick), color, sides=7)
    size = thick * rng.uniform(0.6, 1.2)
    head = middle + (long + thick) * ahead + [0, rng.uniform(-0.1, 0.5), 0]
    solids.frustum(middle + long * ahead, head, (0.6 * thick, 0.5 * size), color, sides=7)
    solids.ellipsoid(head, [1.2 * size, size, size], color, frame)
    solids.ellipsoid(head + 1.2 * size * ahead, [0.6 * size, 0.4 * size, 0.5 * size], dark, frame)
    for across in (-1, 1):
        ear = head + [0, size, 0] + across * 0.5 * size * aside
        solids.frustum(ear - [0, 0.3 * size, 0], ear + [0, rng.uniform(0.1, 1.5) * size, 0], (0.3 * size, 0.05 * size), dark, sides=6)
        solids.ellipsoid(head + 0.8 * size * ahead + [0, 0.3 * size, 0] + across * 0.6 * size * aside, [0.15 * size] * 3, (0.05, 0.05, 0.05))
    if rng.random() < 0.7:
        rear = middle - (long + 0.7 * thick) * ahead
        solids.frustum(rear, rear - ahead * rng.uniform(0.1, 0.5) + [0, rng.uniform(-0.3, 0.5), 0], (0.05, 0.03), dark, sides=6)


def _heap(solids: Solids, rng: np.random.Generator) -> None:
    """Solids anywhere, of the sizes that parts of figures have."""
    for _ in range(rng.integers(1, 14)):
        spot = rng.uniform(-0.6, 0.6, 3) + [0, 0.7, 0]
        if rng.random() < 0.5:
            turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
            solids.ellipsoid(spot, np.exp(rng.uniform(np.log(0.03), np.log(0.4), 3)), random_color(rng), turn, rng.choice([1, 0.5, 0.2]))
        else:
            away = rng.normal(0, 0.3, 3)
            radii = np.exp(rng.uniform(np.log(0.02), np.log(0.3), 2))
            solids.frustum(spot, spot + away, (float(radii[0]), float(radii[1])), random_color(rng), sides=int(rng.choice([4, 6, 10])))


def _lamp(solids: Solids, rng: np.random.Generator) -> None:
    """Solids above each other: lamps, vases, towers, signs."""
    height = 0.0
    for _ in range(rng.integers(2, 6)):
        tall = rng.uniform(0.05, 0.6)
        radii = np.exp(rng.uniform(np.log(0.02), np.log(0.4), 2))
        solids.frustum(np.array([0, height, 0]), np.array([0, height + tall, 0]), (float(radii[0]), float(radii[1])), random_color(rng), sides=int(rng.choice([4, 8, 12])))
        height += tall
