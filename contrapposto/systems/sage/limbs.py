"""Arms and legs bent in closed form so that their ends stand at target positions (two-bone inverse kinematics)."""

from __future__ import annotations

import numpy as np

UPPER, MIDDLE, END = np.array([16, 17, 1, 2]), np.array([18, 19, 4, 5]), np.array([20, 21, 7, 8])
"""Left arm, right arm, left leg, right leg: first joint, elbow or knee, wrist or ankle."""
COLLARS = np.array([13, 14])
# A straight limb bends with its elbow or knee towards this direction in the first bone's frame; metres, small.
_BEND = 1e-3 * np.array([0, 0, 1.0])
_BACKWARD = np.array([-1.0, -1.0, 1.0, 1.0])
_EYE, _ONES = np.eye(3), np.ones(3)
_NEXT, _AFTER = np.array([1, 2, 0]), np.array([2, 0, 1])
_SKEW = np.array([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0.0]])
_SLACK = 1e-4  # metres by which a limb stays short of straight


def swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations (..., 3, 3) that turn unit vectors `start` (..., 3) into `end`."""
    axis = cross(start, end)
    cosine = dot(start, end)
    matrix = skew(axis)
    # Directly opposite directions have no smallest rotation; the factor is cut where they nearly are.
    factor = 1 / np.maximum(1 + cosine, 1e-4)
    return _EYE + matrix + factor[..., None, None] * (matrix @ matrix)


def bend(
    rotations: np.ndarray, positions: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Arms and legs that put their ends at targets.

    The elbow or knee stays on the side where it was. A target out of reach is approached as far as the limb is long.

    Args:
        rotations: (N, 22, 3, 3) global.
        positions: (N, 22, 3) metres.
        targets: (N, 4, 3) metres, in the order of `END`.

    Returns:
        Global rotations of the first and second bone (N, 4, 3, 3) each; positions of the middles and ends (N, 4, 3)
        each.
    """
    first, middle, end = positions[:, UPPER], positions[:, MIDDLE], positions[:, END]
    upper, lower = middle - first, end - middle
    a, b = norm(upper), norm(lower)
    way, old_way = targets - first, end - first
    direction, distance = _unit(way), norm(way)
    distance = np.minimum(np.maximum(distance, np.abs(a - b) + _SLACK), a + b - _SLACK)
    along = (a * a - b * b + distance * distance) / (2 * distance)
    across = np.sqrt(np.maximum(a * a - along * along, 0))
    first_rotation = rotations[:, UPPER]
    side = (
        swing(_unit(old_way), direction) @ (upper + _BACKWARD[:, None] * (first_rotation @ _BEND))[..., None]
    )[..., 0]
    side = _unit(side - dot(side, direction)[..., None] * direction)
    new_upper = along[..., None] * direction + across[..., None] * side
    new_lower = distance[..., None] * direction - new_upper
    new_middle = first + new_upper
    return (
        swing(upper / a[..., None], new_upper / a[..., None]) @ first_rotation,
        swing(lower / b[..., None], new_lower / b[..., None]) @ rotations[:, MIDDLE],
        new_middle,
        new_middle + new_lower,
    )


def shrug(positions: np.ndarray, targets: np.ndarray, most: float = 0.35) -> np.ndarray | None:
    """Rotations (N, 2, 3, 3) of the collar bones in the world that bring targets within the arms' reach.

    Args:
        positions: (N, 22, 3) metres.
        targets: (N, 2, 3) metres, of the wrists.
        most: radians by which a collar bone turns at most.

    Returns:
        None where all targets are within reach already.
    """
    shoulder, elbow = positions[:, UPPER[:2]], positions[:, MIDDLE[:2]]
    reach = norm(elbow - shoulder) + norm(positions[:, END[:2]] - elbow) - 2 * _SLACK
    if (norm(targets - shoulder) <= reach).all():
        return None
    collar = positions[:, COLLARS]
    bone, way = shoulder - collar, targets - collar
    c, d = norm(bone), np.maximum(norm(way), 1e-6)
    now = np.arccos(np.clip(dot(bone, way) / (c * d), -1, 1))
    needed = np.arccos(np.clip((c**2 + d**2 - reach**2) / (2 * c * d), -1, 1))
    angle = np.clip(now - needed, 0, most)[..., None, None]
    matrix = skew(_unit(cross(bone, way)))
    return _EYE + np.sin(angle) * matrix + (1 - np.cos(angle)) * (matrix @ matrix)


def skew(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) to the matrices (..., 3, 3) of the cross products by them."""
    return (vectors @ _SKEW).reshape(*vectors.shape, 3)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...) products of (..., 3); a matrix product is faster than a sum for single vectors."""
    return (a * b) @ _ONES


def norm(vectors: np.ndarray) -> np.ndarray:
    """Lengths (...) of (..., 3)."""
    return np.sqrt(dot(vectors, vectors))


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """np.cross of (..., 3), which takes ten times as long for single vectors."""
    return a[..., _NEXT] * b[..., _AFTER] - a[..., _AFTER] * b[..., _NEXT]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(norm(vectors), 1e-9)[..., None]
