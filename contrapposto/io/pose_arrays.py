"""Pose arrays of the SMPL family under the names that people use: one array, parts, matrices.

`poses` holds the whole body (AMASS, AIST++), or the root stands apart (`root_orient` or `global_orient`) and the rest is
one array of 63 to 165 numbers or several (`pose_body`, `pose_hand`; smplx: `body_pose`, `left_hand_pose`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import note
from contrapposto.errors import InputError
from contrapposto.skeleton import SKELETONS, SMPL22, SMPL24, SMPLH52, SMPLX55, Skeleton

WHOLE = ("poses", "smpl_poses", "pose", "fullpose", "full_pose", "thetas")
ROOT = ("root_orient", "global_orient", "root_pose", "orient", "Rh")
BODY = ("pose_body", "body_pose")
JAW, EYES = ("pose_jaw", "jaw_pose"), ("pose_eye",)
EYE_PAIR = (("leye_pose", "left_eye_pose"), ("reye_pose", "right_eye_pose"))
HANDS = ("pose_hand", "hand_pose")
HAND_PAIR = (("left_hand_pose", "lhand_pose"), ("right_hand_pose", "rhand_pose"))
TRANSLATION = (
    "trans",
    "transl",
    "translation",
    "smpl_trans",
    "root_trans",
    "root_translation",
    "root_transl",
)
ORIGIN_TRANSLATION = ("Th",)
"""EasyMocap's: the figure is turned (`Rh`) about the origin, not about its pelvis, and then moved."""
USED = {
    name
    for group in (WHOLE, ROOT, BODY, JAW, EYES, *EYE_PAIR, HANDS, *HAND_PAIR, TRANSLATION, ORIGIN_TRANSLATION)
    for name in group
}
LAYOUTS: dict[int, Skeleton] = {3 * skeleton.num_joints: skeleton for skeleton in SKELETONS.values()}
_WITHOUT_ROOT = {width - 3: skeleton for width, skeleton in LAYOUTS.items()}

Read = Callable[[str], np.ndarray]


def read_poses(names: Sequence[str], read: Read) -> tuple[Skeleton, np.ndarray] | None:
    """The skeleton and rotations (F, J, 3) of the arrays of a file; None where it has none.

    Args:
        names: of its arrays.
        read: returns one of them as numbers.

    Raises:
        InputError: arrays whose widths belong to no skeleton, or that have different lengths.
    """

    def first(choices: Sequence[str]) -> np.ndarray | None:
        name = next((name for name in choices if name in names), None)
        return None if name is None else _axis_angles(name, read(name))

    whole, root, body = first(WHOLE), first(ROOT), first(BODY)
    if whole is not None:
        skeleton = LAYOUTS.get(whole.shape[1])
        if skeleton is not None:
            if root is not None and root.shape == (len(whole), 3) and not whole[:, :3].any():
                whole = np.concatenate([root, whole[:, 3:]], axis=1)  # the root stands apart
            return skeleton, whole.reshape(len(whole), skeleton.num_joints, 3)
        if whole.shape[1] not in _WITHOUT_ROOT:
            raise _no_layout(f"poses of {whole.shape[1]} numbers a frame")
        if root is None:
            raise InputError(
                "The poses have no rotation of the root.",
                found=f"poses of {whole.shape[1]} numbers a frame, and none of {', '.join(ROOT[:2])}",
                expected=f"poses of {' or '.join(map(str, sorted(LAYOUTS)))} numbers, or root_orient beside them",
            )
        return _joined([root, whole], _WITHOUT_ROOT[whole.shape[1]])
    if body is None:
        return None
    if root is None:
        raise InputError("There is a body_pose, but no rotation of the root.", expected=", ".join(ROOT[:2]))
    if body.shape[1] not in (63, 69):
        raise _no_layout(f"body_pose of {body.shape[1]} numbers a frame")
    return _parts(root, body, first)


def about_origin(turns: np.ndarray, places: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(F, 3) translations of SMPL, from (F, 3) axis-angles about the origin and (F, 3) moves after them."""
    pelvis = skeleton.rest_positions[0]
    return np.asarray(places + Rotation.from_rotvec(turns).apply(pelvis) - pelvis, np.float32)


def _parts(
    root: np.ndarray, body: np.ndarray, first: Callable[[Sequence[str]], np.ndarray | None]
) -> tuple[Skeleton, np.ndarray]:
    """The skeleton that the parts add up to; hands in PCA coefficients are left out with a note."""
    zeros = np.zeros((len(body), 3))
    hands = first(HANDS)
    if hands is None:
        pair = [first(names) for names in HAND_PAIR]
        hands = None if any(hand is None for hand in pair) else np.concatenate(pair, axis=1)  # type: ignore[arg-type]
    if hands is not None and hands.shape[1] != 90:
        note(f"hands of {hands.shape[1]} numbers are no rotations of 30 joints (PCA?): they stay at rest")
        hands = None
    if body.shape[1] == 69 or hands is None:
        return _joined([root, body], SMPL24 if body.shape[1] == 69 else SMPL22)
    jaw, eyes = first(JAW), first(EYES)
    if jaw is None and eyes is None:
        return _joined([root, body, hands], SMPLH52)
    if eyes is None:
        pair = [first(names) for names in EYE_PAIR]
        eyes = np.concatenate([zeros if eye is None else eye for eye in pair], axis=1)
    return _joined([root, body, zeros if jaw is None else jaw, eyes, hands], SMPLX55)


def _joined(parts: list[np.ndarray], skeleton: Skeleton) -> tuple[Skeleton, np.ndarray]:
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise InputError(
            "The arrays of the pose have different lengths.", found=", ".join(map(str, sorted(lengths)))
        )
    poses = np.concatenate(parts, axis=1)
    if poses.shape[1] != 3 * skeleton.num_joints:
        raise _no_layout(f"{poses.shape[1]} numbers a frame in all")
    return skeleton, poses.reshape(len(poses), skeleton.num_joints, 3)


def _axis_angles(name: str, values: np.ndarray) -> np.ndarray:
    """(F, 3 J) axis-angles of (F, 3 J), (F, J, 3) or rotation matrices (F, J, 3, 3), perhaps in a batch of one."""
    if values.ndim in (3, 4) and values.shape[0] == 1 and values.shape[2] != 3:
        values = values[0]
    if values.ndim == 4 and values.shape[2:] == (3, 3):
        flat = values.reshape(-1, 3, 3).astype(np.float64)
        if not np.isfinite(flat).all() or np.abs(np.linalg.det(flat) - 1).max(initial=0) > 0.05:
            raise InputError(f"{name} is no array of rotation matrices.", found=f"shape {values.shape}")
        return Rotation.from_matrix(flat).as_rotvec().reshape(len(values), -1)
    if values.ndim == 3 and values.shape[2] == 3:
        return values.reshape(len(values), 3 * values.shape[1])
    if values.ndim == 2:
        return values
    raise InputError(
        f"{name} has none of the shapes of poses.",
        found=f"{values.shape}",
        expected="(F, 3 J), (F, J, 3) or (F, J, 3, 3)",
        fix="quaternions and six numbers a joint differ in their order: turn them into axis-angles first",
    )


def _no_layout(shape: str) -> InputError:
    widths = ", ".join(map(str, sorted(LAYOUTS)))
    return InputError(
        "The arrays do not have the shapes of AMASS.",
        found=shape,
        expected=f"poses (F, {widths}), or 3 fewer with root_orient (F, 3) beside them; trans (F, 3)",
    )
