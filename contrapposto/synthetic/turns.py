"""Small rotations over frames, in numpy."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.synthetic.curves import Array

_MIRROR = np.array([-1.0, 1.0, 1.0])


def apply(matrices: Array, vectors: Array) -> Array:
    """(F, 3) matrices (F, 3, 3) times vectors (F, 3) or (3,)."""
    return (matrices @ np.broadcast_to(vectors, (len(matrices), 3))[:, :, None])[:, :, 0]


def exp(rotation_vectors: Array) -> Array:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians."""
    return rot.axis_angle_to_matrix(torch.from_numpy(np.ascontiguousarray(rotation_vectors))).numpy()


def axis_turn(angle: Array, first: int, second: int) -> Array:
    """(F, 3, 3) turns by (F,) radians in the plane of two axes, from the first to the second."""
    angle = np.asarray(angle, float)
    matrix = np.tile(np.eye(3), (len(angle), 1, 1))
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix[:, first, first] = matrix[:, second, second] = cosine
    matrix[:, first, second], matrix[:, second, first] = -sine, sine
    return matrix


def turn_x(degrees: Array) -> Array:
    """(F, 3, 3) turns about x by (F,) degrees."""
    return axis_turn(np.deg2rad(degrees), 1, 2)


def turn_y(degrees: Array) -> Array:
    """(F, 3, 3) turns about y by (F,) degrees."""
    return axis_turn(np.deg2rad(degrees), 2, 0)


def turn_z(radians: Array) -> Array:
    """(F, 3, 3) turns about z by (F,) radians."""
    return axis_turn(radians, 0, 1)


def euler(pitch: Array, yaw: Array, roll: Array) -> Array:
    """(F, 3, 3) yaw about y, then pitch about x, then roll about z, each in the frame turned so far; (F,) degrees."""
    return turn_y(yaw) @ turn_x(pitch) @ turn_z(np.deg2rad(roll))


def frame(first: Array, second: Array) -> Array:
    """(F, 3, 3) orthonormal columns: along `first`, then `second` made perpendicular, then their cross product."""
    x = first / np.linalg.norm(first, axis=-1, keepdims=True)
    y = second - (x * second).sum(-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -1)


def mirror(matrices: Array) -> Array:
    """Rotations as a mirror at x = 0 shows them."""
    return matrices * np.outer(_MIRROR, _MIRROR)


def wrap(angle: Array) -> Array:
    """Radians brought into [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
