"""Clothes for the shipped body by vertex colours, different left and right, front and back."""

from __future__ import annotations

import numpy as np

from contrapposto.body import BodyModel

SKIN = (0.85, 0.64, 0.52)
HAIR = (0.20, 0.12, 0.07)
EYES = (0.10, 0.10, 0.14)
SHIRT = (0.16, 0.36, 0.66)
STRIPE = (0.93, 0.90, 0.82)
LEFT_SLEEVE = (0.87, 0.30, 0.20)
EMBLEM = (0.98, 0.80, 0.15)
TROUSERS = (0.32, 0.33, 0.36)
SEAM = (0.80, 0.20, 0.25)
BELT = (0.12, 0.09, 0.08)
SHOES = (0.50, 0.33, 0.68)
LEFT_SHOE = (0.25, 0.65, 0.35)


def clothe(body: BodyModel) -> np.ndarray:
    """(V, 3) colours in [0, 1] for the vertices of a body of the SMPL layout.

    Skin, hair, eyes; a striped shirt with an emblem on the chest and one sleeve of another colour; trousers with a seam
    at the outer sides; a belt; shoes, the left one of another colour.
    """
    rest = body.rest_vertices()[0].double().numpy()
    joints = body.rest_joints()[0].double().numpy()
    owner = body.skinning.weights.argmax(1).numpy()
    across, height, depth = rest.T
    colours = np.tile(np.array(SKIN), (len(rest), 1))

    def paint(colour: tuple[float, float, float], where: np.ndarray) -> None:
        """Over the vertices that are true; shares between 0 and 1 blend."""
        share = np.asarray(where, np.float64)[:, None]
        colours[:] = (1 - share) * colours + share * np.array(colour)

    trunk = np.isin(owner, (3, 6, 9, 13, 14)) | ((owner == 12) & (height < joints[12, 1] - 0.005))
    upper_arm = np.isin(owner, (16, 17))
    waist = joints[3, 1] - 0.02
    legs = np.isin(owner, (0, 1, 2, 4, 5)) | (trunk & (height < waist))
    feet = np.isin(owner, (7, 8, 10, 11)) & (height < joints[7, 1] - 0.01)
    shirt = (trunk | upper_arm) & ~legs
    paint(SHIRT, shirt)
    # edges as soft as the mesh is coarse: hard ones would be jagged
    wave = np.cos((height - waist) * 2 * np.pi / 0.13)
    paint(STRIPE, (shirt & ~upper_arm) * np.clip((wave - 0.1) / 0.5 + 0.5, 0, 1))
    paint(LEFT_SLEEVE, upper_arm & (across > 0))
    chest = joints[9, 1] + 0.06
    disc = np.clip((0.075 - np.hypot(across, height - chest)) / 0.03, 0, 1)
    paint(EMBLEM, (shirt & (depth > 0.03)) * disc)
    paint(TROUSERS, (legs | (np.isin(owner, (7, 8)) & ~feet)) & ~shirt)
    outside = np.abs(across) - np.abs(np.interp(height, *_leg_axis(joints)))
    seam = (outside > 0.035) & (np.abs(depth - np.interp(height, *_leg_axis(joints, 2))) < 0.03)
    paint(SEAM, seam & np.isin(owner, (1, 2, 4, 5)))
    paint(BELT, (legs | shirt) & ~upper_arm & (np.abs(height - waist) < 0.018) & (np.abs(across) < 0.25))
    paint(SHOES, feet)
    paint(LEFT_SHOE, feet & (across > 0))
    _head(colours, rest, joints, owner)
    return colours


def _head(colours: np.ndarray, rest: np.ndarray, joints: np.ndarray, owner: np.ndarray) -> None:
    """Hair on top and behind, eyes."""
    head = (owner == 15) | ((owner == 12) & (rest[:, 1] > joints[12, 1] + 0.02))
    top = float(rest[head, 1].max())
    front, back = float(rest[head, 2].max()), float(rest[head, 2].min())
    share = (rest[:, 2] - back) / (front - back)  # 0 at the back of the head, 1 at the tip of the nose
    line = top - 0.05 - 0.13 * np.clip(1 - share / 0.62, 0, 1)
    colours[head & (rest[:, 1] > line) & (share < 0.8)] = HAIR
    colours[head & (rest[:, 1] > top - 0.05)] = HAIR
    for side in (-1, 1):
        eye = np.array([side * 0.033, top - 0.115])
        near = np.linalg.norm(rest[:, :2] - eye, axis=1) < 0.012
        colours[head & near & (share > 0.6)] = EYES


def _leg_axis(joints: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Heights of ankle, knee and hip of the left leg, and a coordinate there, for `np.interp`."""
    leg = joints[[7, 4, 1]]
    return leg[:, 1], leg[:, axis]


class LooseClothes:
    """Loose clothes and big hair over a body: a thickness over the skin, with wrinkles that depend on the pose.

    No skinning of any mesh shows the same, so that a scene with them judges avatars fairly.

    Args:
        body: of the SMPL layout.
    """

    def __init__(self, body: BodyModel) -> None:
        rest = body.rest_vertices()[0].double().numpy()
        faces = body.faces.numpy()
        self.owner = body.skinning.weights.argmax(1).numpy()
        self.height = rest[:, 1]
        trunk = np.isin(self.owner, (0, 3, 6, 9, 13, 14, 16, 17))
        thigh, shin = np.isin(self.owner, (1, 2)), np.isin(self.owner, (4, 5))
        head = self.owner == 15
        hair = head & (self.height > self.height.max() - 0.1) & (rest[:, 2] < rest[head, 2].max() - 0.06)
        self.thickness = 0.02 * trunk + 0.02 * thigh + 0.04 * shin + 0.035 * hair
        self.cloth = trunk | thigh | shin
        edges = np.concatenate([faces[:, pair] for pair in ((0, 1), (1, 2), (2, 0))])
        self.edges = np.unique(np.sort(edges, axis=1), axis=0)
        self.faces = faces

    def __call__(self, vertices: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """(V, 3) posed vertices, metres, in clothes; `rotations` (24, 3) are the axis-angles of the pose."""
        angle = np.linalg.norm(rotations, axis=1)[self.owner]
        phase = 4 * angle + 3 * rotations[self.owner, 0]
        wrinkle = np.sin(2 * np.pi * self.height / 0.09 + phase) * (0.3 + np.minimum(angle, 1.5))
        out = self._smooth(self.thickness + 0.012 * self.cloth * wrinkle)
        corners = vertices[self.faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        direction = np.zeros_like(vertices)
        for corner in range(3):
            np.add.at(direction, self.faces[:, corner], normal)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-12
        return (vertices + out[:, None] * direction).astype(np.float32)

    def _smooth(self, values: np.ndarray, rounds: int = 8) -> np.ndarray:
        """Values of vertices (V,), half replaced by the mean of the neighbours in each round: soft seams."""
        first, second = self.edges.T
        count = np.maximum(np.bincount(self.edges.ravel(), minlength=len(values)), 1)
        for _ in range(rounds):
            total = np.bincount(first, values[second], len(values))
            total += np.bincount(second, values[first], len(values))
            values = (values + total / count) / 2
        return values
