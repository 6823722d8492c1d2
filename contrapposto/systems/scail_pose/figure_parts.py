"""Parts of stylised figures, of simple solids: trunk, limbs, heads, faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.systems.scail_pose.figure_solids import Solids, random_color

NECK, HEAD = 12, 15


@dataclass(eq=False)
class Posed:
    """A skeleton in a pose, y up, facing z."""

    joints: np.ndarray
    turns: np.ndarray
    sizes: dict[str, float]

    @property
    def bone(self) -> float:
        """Thickness of limbs, metres."""
        return 0.05 * self.sizes["girth"]


def puppet(solids: Solids, posed: Posed, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    """Limbs and trunk of simple solids."""
    joints, turns = posed.joints, posed.turns
    sides = int(rng.choice([4, 6, 8, 12]))
    leg, arm = (posed.sizes["girth"] * base * rng.uniform(0.8, 1.2) for base in (0.068, 0.048))
    taper = rng.uniform(0.7, 1.25)
    upper, lower, thigh, shin = (
        palette[i] for i in rng.choice([[1, 1, 3, 3], [1, 0, 3, 5], [1, 4, 3, 0], [2, 2, 2, 2]])
    )
    for side, (hip, knee, ankle, shoulder, elbow, wrist) in enumerate(
        ((1, 4, 7, 16, 18, 20), (2, 5, 8, 17, 19, 21))
    ):
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
        solids.ellipsoid(
            joints[ankle] + drop,
            [max(0.045 * posed.sizes["feet"], leg), 0.05 * posed.sizes["feet"], foot + 0.3 * leg],
            palette[5],
            frame,
            rng.choice([1.0, 0.5]),
        )
        hand = 0.05 * posed.sizes["hands"]
        outward = turns[wrist] @ [(1 if side == 0 else -1) * hand, 0, 0]
        solids.ellipsoid(
            joints[wrist] + outward,
            [1.3 * hand, hand, hand],
            palette[0] if rng.random() < 0.6 else palette[4],
            turns[wrist],
            rng.choice([1.0, 0.6]),
        )
    width = float(np.linalg.norm(joints[16] - joints[17])) / 2
    bottom = max(float(np.linalg.norm(joints[1] - joints[2])) / 2 + leg * 0.8, width * rng.uniform(0.5, 1.2))
    low, high = joints[0] + turns[0] @ [0, -0.05, 0], joints[NECK] + turns[9] @ [0, -0.02, 0]
    belly = rng.uniform(0.9, 1.4)
    middle = joints[3]
    body_sides = int(rng.choice([4, 8, 12]))
    flat = rng.uniform(0.55, 1.0)
    top = width * rng.uniform(0.75, 1.15)
    solids.frustum(
        low, middle, (bottom, bottom * belly * 0.9), palette[3], sides=body_sides, flat=flat, turn=turns[0]
    )
    solids.frustum(
        middle, high, (bottom * belly * 0.9, top), palette[1], sides=body_sides, flat=flat, turn=turns[9]
    )
    solids.frustum(high - 0.02, joints[HEAD] + 0.02, (0.055, 0.05), palette[0], sides=8)


def round_head(
    solids: Solids,
    center: np.ndarray,
    half: np.ndarray,
    turn: np.ndarray,
    palette: list[np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """A head in place of the body's, which it hides; its half sizes."""
    half = half * rng.uniform([1.1, 0.9, 1.0], [1.7, 1.15, 1.35])
    power = float(rng.choice([1.0, 1.0, 0.7, 0.4, 0.2]))
    solids.ellipsoid(center, half, palette[0], turn, power)
    return half


def face(
    solids: Solids, center: np.ndarray, half: np.ndarray, turn: np.ndarray, rng: np.random.Generator
) -> None:
    """Eyes, brows, mouth, nose, beard; some have none."""
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
            spot = spot + np.array([0, 0, 0.3 * size])
        inner = size * (0.6 if white else 1)
        solids.ellipsoid(center + turn @ spot, [inner, inner * tall, size * 0.5], dark, turn)
        if rng.random() < 0.4:
            brow = spot + np.array([0, size * tall * 1.4, 0])
            solids.ellipsoid(center + turn @ brow, [size * 1.3, size * 0.3, size * 0.4], dark, turn)
    if rng.random() < 0.6:
        mouth = center + turn @ [0, -0.55 * half[1], half[2] * 0.88]
        solids.ellipsoid(
            mouth,
            [size * rng.uniform(0.5, 1.6), size * rng.uniform(0.15, 0.5), size * 0.5],
            random_color(rng) * 0.6,
            turn,
        )
    if rng.random() < 0.5:
        solids.ellipsoid(
            center + turn @ [0, -0.15 * half[1], half[2]], [size * 0.6] * 3, random_color(rng), turn
        )
    if rng.random() < 0.15:  # a beard
        solids.ellipsoid(
            center + turn @ [0, -0.8 * half[1], half[2] * 0.6],
            half * [0.8, 0.6, 0.5],
            random_color(rng),
            turn,
        )
