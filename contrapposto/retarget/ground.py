"""Where the soles of an SMPL-H figure are, and where a clip's floor is."""

from __future__ import annotations

import numpy as np

from contrapposto.motion import Motion
from contrapposto.skeleton import SMPLH52

SOLE_BELOW_BALL = 0.0265
"""Metres from the `foot` joint (ball of the foot) down to the sole of the shipped figure in its rest pose."""

STILL = 0.25
"""Metres per second below which the lowest point of the soles counts as standing."""


def sole_places(motion: Motion) -> np.ndarray:
    """Places (F, 4, 3) in metres of the soles under heels and balls: left heel, left ball, right heel, right ball."""
    rest = SMPLH52.rest_positions
    ankles, balls = SMPLH52.index("left_ankle", "right_ankle"), SMPLH52.index("left_foot", "right_foot")
    rotations, joints = (tensor.numpy() for tensor in motion.to_skeleton(SMPLH52).kinematics())
    points = []
    for ankle, ball in zip(ankles, balls):
        sole = float(rest[ball, 1]) - SOLE_BELOW_BALL
        heel = np.array([0, sole - rest[ankle, 1], -0.03])
        tip = np.array(
            [rest[ball, 0] - rest[ankle, 0], sole - rest[ankle, 1], rest[ball, 2] - rest[ankle, 2]]
        )
        points += [joints[:, ankle] + rotations[:, ankle] @ local for local in (heel, tip)]
    return np.stack(points, axis=1)


def sole_heights(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Height in metres and speed in m/s, both (F, 4), of the points of `sole_places`."""
    places = sole_places(motion)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1) * motion.fps
    speeds = np.concatenate([steps[:1], steps]) if len(steps) else np.zeros(places.shape[:2])
    return places[..., 2], speeds


def floor_height(motion: Motion) -> float | None:
    """Median height of the lowest sole point over the frames in which it stands still; nothing if it never does."""
    heights, speeds = sole_heights(motion)
    lowest = heights.argmin(axis=1)
    rows = np.arange(len(lowest))
    still = speeds[rows, lowest] < STILL
    return float(np.median(heights[rows, lowest][still])) if still.any() else None
