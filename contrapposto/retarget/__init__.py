"""Map a clip on any human skeleton onto SMPL-H.

Every mapped joint copies the *global* rotation of its source joint, relative to a T-pose of both figures. Limbs whose
bones point elsewhere in the two T-poses (lowered arms, legs apart) are turned by the shortest way first, so that
the direction of every limb bone is kept exactly; hands and feet go along with the bone above them. The path is scaled
by the length of the legs, and the clip is lifted or lowered so that standing soles are on the ground.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.motion import Motion
from contrapposto.retarget.align import Reference, alignment, reference_pose
from contrapposto.retarget.ground import floor_height
from contrapposto.retarget.guess import guess_skeleton
from contrapposto.retarget.skeletons import KNOWN, REQUIRED, SIDES, SourceSkeleton, known_skeleton
from contrapposto.skeleton import SMPLH52, Skeleton, local_from_global

__all__ = ["KNOWN", "SourceSkeleton", "recognise", "to_smpl"]

MAX_GROUND_SHIFT = 0.15
"""Metres. A floor further off is no matter of ankle heights (stairs, a trampoline): such clips stay where they are."""

_TRUNK = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")


def to_smpl(
    motion: Motion,
    source: str | SourceSkeleton | None = None,
    *,
    reference_frame: int | None = None,
    ground: bool = True,
) -> Motion:
    """Map a clip onto the SMPL-H skeleton (52 joints).

    Args:
        motion: the clip, on its own skeleton in the canonical frame.
        source: how to read its skeleton: a name of `KNOWN`, an own `SourceSkeleton`, or nothing to recognise it by its
            joint names, by heuristics if need be.
        reference_frame: frame of the clip in which the figure stands in a T-pose (or with lowered arms) on flat feet;
            by default the rest pose is taken for one.
        ground: whether to move the clip vertically so that standing soles are at height 0 (ankles are not equally high
            in all skeletons); clips with SMPL's own joint names always keep their height.

    Returns:
        The clip with labels and metadata; `retargeted_from`, `scale` and `ground_shift` are added to the metadata.

    Raises:
        InputError: joints could not be found, or the reference is not an upright figure.
        ConfigError: no known skeleton has the name `source`.
    """
    if motion.skeleton.joint_names[0] == "pelvis" and motion.skeleton.name in (
        "smpl22",
        "smpl24",
        "smplh52",
        "smplx55",
    ):
        return motion.to_skeleton(SMPLH52)
    known = _source(motion.skeleton, source)
    index = _indices(motion.skeleton, known)
    if known.leading_pose and _begins_with_pose(motion):
        motion = motion.frames(1, motion.num_frames)
    reference = reference_pose(motion, known, index, reference_frame)
    rotations, positions = (tensor.double().numpy() for tensor in motion.kinematics())
    turned = _globals(rotations, known, index, reference)
    scale = _leg_length(SMPLH52.rest_positions, dict(zip(SMPLH52.joint_names, range(52)))) / _leg_length(
        reference.positions, index
    )
    hips = positions[:, [index["left_hip"], index["right_hip"]]].mean(axis=1) * scale
    rest = SMPLH52.rest_positions
    rest_hips = rest[SMPLH52.index("left_hip", "right_hip")].mean(axis=0) - rest[0]
    pelvis = hips - turned[:, 0] @ rest_hips
    local = local_from_global(SMPLH52.parents, torch.from_numpy(turned))
    result = replace(
        motion,
        rotations=rot.matrix_to_axis_angle(local).numpy(),
        root_translation=pelvis - rest[0],
        skeleton=SMPLH52,
        metadata={**motion.metadata, "retargeted_from": known.name, "scale": f"{scale:.4f}"},
    )
    return _grounded(result) if ground and known.aligned else result


def recognise(skeleton: Skeleton) -> SourceSkeleton:
    """The known skeleton that has these joint names, else a guess.

    Raises:
        InputError: essential joints were not found; the message lists them.
    """
    found = known_skeleton(skeleton.joint_names) or guess_skeleton(skeleton)
    missing = [name for name in REQUIRED if name not in found.joints]
    if missing:
        raise InputError(
            f"The skeleton {skeleton.name} cannot be mapped: no joint was recognised as {', '.join(missing)}.",
            found=f"joints {', '.join(skeleton.joint_names)[:600]}",
            expected=f"the names of {', '.join(KNOWN)}, or names like LeftUpLeg, thigh.L, r_foot",
            fix="pass source=SourceSkeleton(name, {'pelvis': ..., 'left_hip': ..., ...}) to retarget.to_smpl",
        )
    return found


def _source(skeleton: Skeleton, source: str | SourceSkeleton | None) -> SourceSkeleton:
    if source is None:
        return recognise(skeleton)
    if isinstance(source, SourceSkeleton):
        return source
    if source not in KNOWN:
        raise ConfigError(f"There is no skeleton {source!r}.", expected=nearest(source, KNOWN))
    return KNOWN[source]


def _begins_with_pose(motion: Motion) -> bool:
    """Whether the first frame stands where the second does, in quite another pose."""
    if motion.num_frames < 3 or np.abs(np.diff(motion.root_translation[:2], axis=0)).max() > 1e-4:
        return False
    steps = np.abs(np.diff(motion.rotations[:3], axis=0)).reshape(2, -1).max(axis=1)
    return bool(steps[0] > 0.3 and steps[0] > 5 * steps[1])


def _indices(skeleton: Skeleton, known: SourceSkeleton) -> dict[str, int]:
    missing = [name for name in REQUIRED if name not in known.joints]
    try:
        index = {name: skeleton.index(joint)[0] for name, joint in known.joints.items()}
    except KeyError as error:
        raise InputError(
            f"The clip does not have the joints of {known.name}.", found=str(error.args[0])[:600]
        ) from error
    unknown = [name for name in index if name not in SMPLH52.joint_names]
    if missing or unknown:
        raise InputError(
            f"The map {known.name} is not complete.",
            found=f"missing {', '.join(missing) or 'none'}; not SMPL joints: {', '.join(unknown) or 'none'}",
        )
    return index


def _globals(
    source: np.ndarray, known: SourceSkeleton, index: dict[str, int], reference: Reference
) -> np.ndarray:
    """(F, 52, 3, 3) global rotations of the SMPL-H joints, from (F, J, 3, 3) ones of the source."""
    aligned = alignment(reference.positions, index) if known.aligned else {}
    result = np.tile(np.eye(3), (len(source), SMPLH52.num_joints, 1, 1))
    for name, joint in index.items():
        if name in known.stiff:
            continue
        offset = reference.rotations[joint].T if known.aligned else np.eye(3)
        result[:, SMPLH52.index(name)[0]] = source[:, joint] @ (offset @ aligned.get(name, np.eye(3)))
    _fill_trunk(result, index)
    for joint, (name, parent) in enumerate(zip(SMPLH52.joint_names, SMPLH52.parents)):
        if name not in _TRUNK and (name not in index or name in known.stiff):
            result[:, joint] = result[:, parent]
    return result


def _fill_trunk(rotations: np.ndarray, index: dict[str, int]) -> None:
    """Give joints of the trunk that the source does not have their share of the bend between the ones it has."""
    for start, name in enumerate(_TRUNK):
        if name in index:
            continue
        below = SMPLH52.index(_TRUNK[start - 1])[0]  # mapped, or filled in the round before
        joint = SMPLH52.index(name)[0]
        above = next((i for i in range(start, len(_TRUNK)) if _TRUNK[i] in index), None)
        rotations[:, joint] = rotations[:, below]
        if above is not None:
            low = Rotation.from_matrix(rotations[:, below])
            high = Rotation.from_matrix(rotations[:, SMPLH52.index(_TRUNK[above])[0]])
            share = (low.inv() * high).as_rotvec() / (above - start + 1)
            rotations[:, joint] = (low * Rotation.from_rotvec(share)).as_matrix()


def _leg_length(positions: np.ndarray, index: dict[str, int]) -> float:
    total = 0.0
    for side in SIDES:
        hip, knee, ankle = (positions[index[f"{side}_{part}"]] for part in ("hip", "knee", "ankle"))
        total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)) / 2
    return total


def _grounded(motion: Motion) -> Motion:
    height = floor_height(motion)
    if height is None or abs(height) > MAX_GROUND_SHIFT:
        return motion
    return replace(
        motion,
        root_translation=motion.root_translation - np.array([0, 0, height], np.float32),
        metadata={**motion.metadata, "ground_shift": f"{-height:.4f}"},
    )
