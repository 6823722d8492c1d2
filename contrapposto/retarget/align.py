"""The T-pose in which a foreign skeleton is compared with SMPL's, and the turns between the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.retarget.skeletons import SIDES, SourceSkeleton
from contrapposto.skeleton import SMPLH52

FLAT_FEET = 12.0
"""Degrees. A T-pose whose shins are further from the vertical does not stand on flat feet: they are tilted as well."""

_CHILD = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}


@dataclass(frozen=True)
class Reference:
    """A T-pose of the source: (J, 3, 3) global rotations and (J, 3) positions, y up, facing z."""

    rotations: np.ndarray
    positions: np.ndarray


def reference_pose(
    motion: Motion, known: SourceSkeleton, index: dict[str, int], reference_frame: int | None
) -> Reference:
    """The T-pose of the source: its rest pose, the given rotations, or a frame of the clip.

    Raises:
        InputError: the pose is not that of an upright figure.
    """
    skeleton = motion.skeleton
    rotations = np.tile(np.eye(3), (skeleton.num_joints, 1, 1))
    if reference_frame is not None:
        if not -motion.num_frames <= reference_frame < motion.num_frames:
            raise InputError(
                f"There is no frame {reference_frame}.", found=f"a clip of {motion.num_frames} frames"
            )
        chosen = motion.frames(reference_frame % motion.num_frames, reference_frame % motion.num_frames + 1)
        rotations = chosen.kinematics()[0][0].double().numpy()
    elif known.reference:
        given = {index[name]: matrix for name, matrix in known.reference.items() if name in index}
        for joint, parent in enumerate(skeleton.parents):
            rotations[joint] = given.get(joint, rotations[max(parent, 0)])
    positions = np.zeros((skeleton.num_joints, 3))
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            positions[joint] = positions[parent] + rotations[parent] @ skeleton.offsets[joint]
    turn = _upright(positions, index, known.name)
    reference = Reference(turn @ rotations, positions @ turn.T)
    _check_pose(reference.positions, index, known.name)
    return reference


def _upright(positions: np.ndarray, index: dict[str, int], name: str) -> np.ndarray:
    """(3, 3) rotation by quarter turns that makes the figure upright in y and facing z."""
    hips = (positions[index["left_hip"]] + positions[index["right_hip"]]) / 2
    up = (positions[index["left_shoulder"]] + positions[index["right_shoulder"]]) / 2 - hips
    left = positions[index["left_hip"]] - positions[index["right_hip"]]
    rows: list[np.ndarray] = []
    for direction in (left, up):
        norm = float(np.linalg.norm(direction))
        axis = int(np.abs(direction).argmax())
        if norm < 1e-6 or abs(direction[axis]) < 0.8 * norm or any(row[axis] for row in rows):
            raise _not_upright(name)
        rows.append(np.eye(3)[axis] * np.sign(direction[axis]))
    return np.stack([*rows, np.cross(rows[0], rows[1])])


def _check_pose(positions: np.ndarray, index: dict[str, int], name: str) -> None:
    """Legs must point down, and arms to the side or down: otherwise the pose is no reference."""
    for side, sign in zip(SIDES, (1, -1)):
        hip, knee, ankle, shoulder, elbow = (
            positions[index[f"{side}_{part}"]] for part in ("hip", "knee", "ankle", "shoulder", "elbow")
        )
        legs = [
            (upper - lower)[1] / (np.linalg.norm(upper - lower) + 1e-9)
            for upper, lower in ((hip, knee), (knee, ankle))
        ]
        arm = (elbow - shoulder) / (np.linalg.norm(elbow - shoulder) + 1e-9)
        if min(legs) < 0.7 or max(sign * arm[0], -arm[1]) < 0.7:
            raise _not_upright(name)


def _not_upright(name: str) -> InputError:
    return InputError(
        f"The rest pose of the skeleton ({name}) is not that of a standing figure: its angles mean nothing for SMPL.",
        expected="a T-pose, or one with lowered arms, upright, on axes of the file",
        fix="if a frame of the clip is one, pass reference_frame=; else pass source=SourceSkeleton(..., reference=...)",
    )


def alignment(positions: np.ndarray, index: dict[str, int]) -> dict[str, np.ndarray]:
    """(3, 3) rotation for each limb joint: from the direction of SMPL's bone at rest to the source's in its T-pose."""
    rest = dict(zip(SMPLH52.joint_names, SMPLH52.rest_positions.astype(np.float64)))
    result: dict[str, np.ndarray] = {}
    for side in SIDES:
        for part, child in _CHILD.items():
            joint, end = f"{side}_{part}", f"{side}_{child}"
            if end in index:
                result[joint] = _shortest(
                    rest[end] - rest[joint], positions[index[end]] - positions[index[joint]]
                )
            elif part == "elbow":
                result[joint] = result[f"{side}_shoulder"]
        for name in index:
            if name.startswith(side) and not name.endswith(
                ("hip", "knee", "shoulder", "elbow", "collar", "ankle", "foot")
            ):
                result[name] = result[f"{side}_elbow"]  # hand and fingers
        result[f"{side}_ankle"] = result[f"{side}_foot"] = _foot(side, rest, positions, index)
    return result


def _foot(side: str, rest: dict[str, np.ndarray], positions: np.ndarray, index: dict[str, int]) -> np.ndarray:
    """Flat on the ground, turned until the toes point the same way.

    The slope from ankle to toes is not compared: it differs between skeletons whose soles are equally flat. Where the
    legs of the T-pose are far apart (CMU: 20 degrees), its feet are tilted with them.
    """
    axis = positions[index[f"{side}_knee"]] - positions[index[f"{side}_ankle"]]
    axis = axis / np.linalg.norm(axis)
    up = np.array([0.0, 1.0, 0.0])
    flat = np.eye(3)
    if axis @ up < np.cos(np.radians(FLAT_FEET)):
        flat, up = _shortest(up, axis), axis
    if f"{side}_foot" not in index:
        return flat
    ours = flat @ (rest[f"{side}_foot"] - rest[f"{side}_ankle"])
    theirs = positions[index[f"{side}_foot"]] - positions[index[f"{side}_ankle"]]
    ours, theirs = ours - up * (ours @ up), theirs - up * (theirs @ up)
    if np.linalg.norm(theirs) < 1e-3:
        return flat
    angle = np.arctan2(np.cross(ours, theirs) @ up, ours @ theirs)
    return Rotation.from_rotvec(up * angle).as_matrix() @ flat


def _shortest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by the smallest angle that turns one direction into another."""
    norm = float(np.linalg.norm(start) * np.linalg.norm(end))
    if norm < 1e-9:
        return np.eye(3)
    axis, cosine = np.cross(start, end) / norm, float(start @ end) / norm
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:  # parallel; opposite directions do not pass `_check_pose`
        return np.eye(3)
    return Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
