"""Keeping the centre of mass over the feet of a standing figure."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from contrapposto.skeleton import SMPLH52, forward_kinematics
from contrapposto.synthetic.curves import Array
from contrapposto.synthetic.rig import BALL, INDEX, Feet, solve

# Share of the body's mass and where it sits between two joints (de Leva 1996, mean of women and men, rounded).
SEGMENTS: tuple[tuple[int, int, float, float], ...] = (
    *((0, 3, 0.112, 0.4), (3, 9, 0.163, 0.5), (9, 12, 0.159, 0.45), (12, 15, 0.068, 1.6)),
    *((1, 4, 0.144, 0.40), (2, 5, 0.144, 0.40), (4, 7, 0.046, 0.44), (5, 8, 0.046, 0.44)),
    *((7, 10, 0.013, 0.45), (8, 11, 0.013, 0.45), (16, 18, 0.026, 0.57), (17, 19, 0.026, 0.57)),
    *((18, 20, 0.015, 0.46), (19, 21, 0.015, 0.46), (20, 25, 0.005, 0.8), (21, 40, 0.005, 0.8)),
)


def centre_of_mass(joints: Array) -> Array:
    """(..., 3) centre of mass of (..., 52, 3) joint positions."""
    total = sum(share for *_, share, _ in SEGMENTS)
    points = [(joints[..., a, :] * (1 - at) + joints[..., b, :] * at) * share for a, b, share, at in SEGMENTS]
    return sum(points[1:], points[0]) / total


def balanced(channels: Array, path: Array, heading: Array, feet: Feet, rate: float) -> Array:
    """Move the pelvis so that the centre of mass is over the feet, by the share `balance`.

    `support` selects the foot: -1 the right foot, 0 the middle, 1 the left foot.

    Args and returns as `rig.solve`; channels (F, C) come back with pelvis_left and pelvis_forward changed.
    """
    weight = channels[:, INDEX["balance"]]
    if not (weight > 1e-3).any():
        return channels
    every = max(1, round(rate / 25))
    few = slice(0, None, every)
    sparse, way, turn, stand = channels[few].copy(), path[few], heading[few], feet[few]
    columns = [INDEX["pelvis_left"], INDEX["pelvis_forward"]]
    before = sparse[:, columns].copy()
    target = _target(sparse, stand)
    left = np.stack([np.cos(turn), np.sin(turn)], 1)
    forward = np.stack([np.sin(turn), -np.cos(turn)], 1)
    for _ in range(3):
        local, translation = solve(sparse, way, turn, stand, rate / every)
        _, joints = forward_kinematics(
            SMPLH52.parents,
            torch.from_numpy(local),
            torch.from_numpy(SMPLH52.offsets.astype(float)),
            torch.from_numpy(translation),
        )
        off = target - centre_of_mass(joints.numpy())[:, :2]
        step = 1.1 * np.stack([(off * left).sum(1), (off * forward).sum(1)], 1)
        sparse[:, columns] += step * np.clip(sparse[:, INDEX["balance"]], 0, 1)[:, None]
    shift = sparse[:, columns] - before
    out = channels.copy()
    moments = np.arange(len(channels))
    smooth = (
        CubicSpline(moments[few], shift)(np.minimum(moments, moments[few][-1])) if len(shift) > 1 else shift
    )
    out[:, columns] += smooth
    return out


def _target(channels: Array, feet: Feet) -> Array:
    """(F, 2) the point of the ground under which the centre of mass belongs: between heel and ball of the feet."""
    middle = 0.42 * BALL[2]
    points = feet.place + middle * np.stack([np.sin(feet.yaw), -np.cos(feet.yaw)], -1)
    support = np.clip(channels[:, INDEX["support"]], -1, 1)[:, None]
    return 0.5 * (points[:, 0] + points[:, 1]) + 0.5 * support * (points[:, 0] - points[:, 1])
