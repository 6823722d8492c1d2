"""Layouts of a 3D annotation tool, and keypoints checked against it (docs/specs/scail_pose.md, section 9).

The tool gives 20 points of a body, 9 of a face and 20 of each hand as (row, column, score), divided by the image's
size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrapposto.errors import InputError

# OpenPose slot <- point of the body's 20, from 20 on of the face's 9.
_BODY_AND_FACE = (24, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 14, 15, 16, 28, 27, 21, 20, 18, 19, 17, 12, 13, 11)
_WRISTS = (3, 6)
_FACE_KEPT = (2, 3)
HAND_LIMBS = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
BODY_LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)


def body_to_openpose(body: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Body (20, 3) and face (9, 3) of the tool to OpenPose's 24 points (24, 2) as (x, y)."""
    if body.shape != (20, 3) or face.shape != (9, 3):
        raise InputError(
            "The tool's points", found=f"{body.shape} and {face.shape}", expected="(20, 3), (9, 3)"
        )
    return np.concatenate([body, face])[list(_BODY_AND_FACE), 1::-1]


def hands_to_openpose(left: np.ndarray, right: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The tool's hands (20, 3), with the wrists of its body (20, 3), as (2, 21, 2) in (x, y)."""
    hands = [np.concatenate([body[wrist, None], hand]) for wrist, hand in zip(_WRISTS, (left, right))]
    return np.stack(hands)[..., 1::-1]


def face_points(face: np.ndarray) -> np.ndarray:
    """The tool's face (9, 3) as (9, 2) in (x, y): two points of it, the others -1, not known."""
    points = np.full((9, 2), -1, face.dtype)
    points[list(_FACE_KEPT)] = face[list(_FACE_KEPT), 1::-1]
    return points


def to_pixel(
    point: np.ndarray,
    pixel: np.ndarray,
    focal: Sequence[float],
    center: Sequence[float],
    height: int,
    width: int,
) -> np.ndarray:
    """The point (3,) moved, at its depth, onto the ray of a pixel (2,) that is divided by the image's size."""
    away = pixel * np.array([width, height]) - np.asarray(center)
    return np.array([*(away / np.asarray(focal) * point[2]), point[2]])


def beside_displaced(
    points: np.ndarray,
    reference: np.ndarray,
    limbs: Sequence[tuple[int, int]],
    *,
    limit: float = 0.1,
) -> np.ndarray:
    """Which points (n,) have a neighbour that lies far from its place in a reference, and are not far themselves.

    The original drops these and keeps the displaced ones. Its limit is not known; any from 0.08 to 0.55 gives the
    answers of it that are.

    Args:
        points, reference: (n, 2), divided by the image's size.
        limbs: pairs of neighbours.
        limit: distance in the same unit.
    """
    far = displaced(points, reference, limit=limit)
    beside = np.zeros(len(points), bool)
    for first, second in limbs:
        beside[first] |= far[second]
        beside[second] |= far[first]
    return beside & ~far


def displaced(points: np.ndarray, reference: np.ndarray, *, limit: float = 0.1) -> np.ndarray:
    """Which points (n,) lie farther from those of a reference (n, 2) than a limit."""
    return np.linalg.norm(points - reference, axis=-1) > limit
