"""What is wrong with the arrays of a scene, in words: before anything is written, and for `validate_h5`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from contrapposto.systems.anerf.kinematics import NUM_JOINTS

_SHAPES: dict[str, tuple[int | None, ...]] = {
    "kp3d": (None, NUM_JOINTS, 3),
    "bones": (None, NUM_JOINTS, 3),
    "skts": (None, NUM_JOINTS, 4, 4),
    "cyls": (None, 5),
    "rest_pose": (NUM_JOINTS, 3),
    "c2ws": (None, 4, 4),
}


def value_problems(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Problems of poses and cameras, one sentence each; none if all is well.

    Args:
        arrays: `kp3d`, `bones`, `skts`, `cyls`, `rest_pose`, `c2ws`, `focals` and optionally `centers`, as in a scene;
            those that are missing are ignored.
    """
    result = _shape_problems(arrays)
    if result:
        return result
    lengths = {name: len(arrays[name]) for name in ("kp3d", "bones", "skts", "cyls") if name in arrays}
    if len(set(lengths.values())) > 1:
        result.append("the poses differ in number: " + ", ".join(f"{n} has {k}" for n, k in lengths.items()))
    for name in (*_SHAPES, "focals", "centers"):
        if name in arrays and not np.isfinite(arrays[name]).all():
            rows = ~np.isfinite(np.asarray(arrays[name]).reshape(len(arrays[name]), -1)).all(1)
            result.append(
                f"{name} has values that are not finite in {rows.sum()} of {len(rows)} rows, "
                f"the first is number {rows.argmax()}"
            )
    return result or _camera_problems(arrays) + _pose_problems(arrays)


def mask_problems(covered: np.ndarray, largest: int) -> list[str]:
    """Problems of masks.

    Args:
        covered: (N,) number of foreground pixels of every image.
        largest: largest value in any mask.
    """
    result = []
    if not covered.any():
        result.append("the masks of all images are empty: no image shows the person")
    if largest > 1:
        result.append(f"masks hold values up to {largest}; they must be 0 or 1")
    return result


def _shape_problems(arrays: Mapping[str, Any]) -> list[str]:
    result = []
    for name, shape in _SHAPES.items():
        if name not in arrays:
            continue
        have = np.shape(arrays[name])
        if len(have) != len(shape) or any(want not in (None, size) for want, size in zip(shape, have)):
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            result.append(f"{name} has shape {have}, expected ({wanted})")
    if "focals" in arrays:
        have = np.shape(arrays["focals"])
        if len(have) not in (1, 2) or (len(have) == 2 and have[1] != 2):
            result.append(f"focals has shape {have}, expected (any) or (any, 2)")
    return result


def _camera_problems(arrays: Mapping[str, np.ndarray]) -> list[str]:
    result = []
    if "focals" in arrays:
        wrong = np.asarray(arrays["focals"]).reshape(len(arrays["focals"]), -1).min(1) <= 0
        if wrong.any():
            result.append(
                f"{wrong.sum()} of {len(wrong)} cameras have a focal length that is not above zero, "
                f"the first is number {wrong.argmax()}"
            )
    if "c2ws" in arrays:
        turn = np.asarray(arrays["c2ws"], np.float64)[:, :3, :3]
        error = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
        wrong = (error > 1e-3) | (np.linalg.det(turn) < 0)
        if wrong.any():
            result.append(
                f"{wrong.sum()} of {len(wrong)} camera matrices hold no rotation, the first is number {wrong.argmax()}"
            )
    return result


def _pose_problems(arrays: Mapping[str, np.ndarray]) -> list[str]:
    result = []
    if "cyls" in arrays and (np.asarray(arrays["cyls"])[:, 2] <= 0).any():
        result.append("cyls has a radius that is not above zero")
    if "kp3d" in arrays and "skts" in arrays:
        matrix = np.asarray(arrays["skts"], np.float64)
        turn, shift = matrix[..., :3, :3], matrix[..., :3, 3]
        if np.abs(turn @ turn.swapaxes(-1, -2) - np.eye(3)).max() > 1e-3:
            result.append("skts holds matrices that are no rigid transforms")
            return result
        place = -(turn.swapaxes(-1, -2) @ shift[..., None])[..., 0]
        size = float(np.ptp(np.asarray(arrays["kp3d"]), axis=1).max()) or 1.0
        off = np.abs(place[:, 0] - arrays["kp3d"][:, 0]).max(-1) > 0.01 * size
        if off.any():
            result.append(
                f"skts and kp3d place the root differently in {off.sum()} of {len(off)} poses, "
                f"the first is number {off.argmax()}"
            )
    return result
