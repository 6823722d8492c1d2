"""Map a clip on any human skeleton onto SMPL-H.

Every mapped joint copies the *global* rotation of its source joint, relative to a pose in which both figures can be
compared (`contrapposto.retarget.alignment`). Limbs whose bones point elsewhere in that pose (lowered arms, legs apart)
are turned by the shortest way first, so that the direction of every limb bone is kept exactly; hands and feet go along
with the bone above them. The path is scaled by the length of the legs, and the clip is lifted or lowered so that
standing soles are on the ground.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.motion import Motion
from contrapposto.progress import late
from contrapposto.retarget.alignment import align
from contrapposto.retarget.ground import floor_height
from contrapposto.retarget.guess import guess_skeleton
from contrapposto.retarget.skeletons import KNOWN, REQUIRED, SIDES, SourceSkeleton, known_skeleton
from contrapposto.skeleton import SMPL22, SMPLH52, Skeleton, local_from_global

__all__ = ["KNOWN", "SourceSkeleton", "joint_index", "recognise", "to_smpl", "with_joint_map"]

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
            by default the rest pose is taken for one, if it is one.
        ground: whether to move the clip vertically so that standing soles are at height 0 (ankles are not equally high
            in all skeletons); SMPL figures always keep their height.

    Returns:
        The clip with labels and metadata; `retargeted_from`, `scale` and `ground_shift` are added to the metadata.

    Raises:
        InputError: joints could not be found, the named frame is not an upright figure, or left and right are exchanged.
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
    index = joint_index(motion.skeleton, known)
    if _begins_with_pose(motion, index):
        motion = motion.frames(1, motion.num_frames)
        reference_frame = None if reference_frame is None else max(reference_frame - 1, 0)
    alignment = align(motion, known, index, reference_frame)
    rotations, positions = (tensor.double().numpy() for tensor in motion.kinematics())
    turned = _globals(rotations, known, index, alignment.turns)
    scale = _leg_length(SMPLH52.rest_positions, dict(zip(SMPLH52.joint_names, range(52)))) / _leg_length(
        alignment.positions, index
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
    return _grounded(result) if ground and not alignment.own else result


def recognise(skeleton: Skeleton) -> SourceSkeleton:
    """The known skeleton that has these joint names, else a guess.

    Raises:
        InputError: essential joints were not found; the message lists them.
    """
    source = _completed(known_skeleton(skeleton.joint_names), guess_skeleton(skeleton))
    missing = [name for name in REQUIRED if name not in source.joints]
    if missing:
        raise InputError(
            f"The skeleton {skeleton.name} cannot be mapped: no joint was recognised as {', '.join(missing)}.",
            found=f"joints {', '.join(skeleton.joint_names)[:600]}",
            expected=f"the names of {', '.join(KNOWN)}, or names like LeftUpLeg, thigh.L, r_foot",
            fix="say which joint is which: joint_map=FILE, a yaml file with lines such as LeftThigh: left_hip",
        )
    return source


def _completed(known: SourceSkeleton | None, guess: SourceSkeleton) -> SourceSkeleton:
    """A known skeleton with guesses for joints of the body that its table does not have."""
    if known is None:
        return guess
    used = set(known.joints.values())
    more = {
        name: joint
        for name, joint in guess.joints.items()
        if name in SMPL22.joint_names and name not in known.joints and joint not in used
    }
    return replace(known, joints={**known.joints, **more})


def with_joint_map(skeleton: Skeleton, names: Mapping[str, str]) -> SourceSkeleton:
    """A skeleton with the joints of a map, and for the others a guess.

    Args:
        skeleton: the file's.
        names: its joint names to SMPL's, or the other way round.

    Raises:
        ConfigError: names that neither skeleton has, or two joints for one.
    """
    ours = set(SMPLH52.joint_names)
    turned_round = not set(names.values()) <= ours and set(names) <= ours
    pairs = {key: value for value, key in names.items()} if turned_round else dict(names)
    for name in pairs:
        if name not in skeleton.joint_names:
            raise ConfigError(
                f"joint_map names a joint {name!r} that the file does not have.",
                expected=nearest(name, skeleton.joint_names),
            )
    for name in pairs.values():
        if name not in ours:
            raise ConfigError(
                f"joint_map names {name!r}, which is no SMPL joint.", expected=nearest(name, ours)
            )
    joints = {ours: theirs for theirs, ours in pairs.items()}
    if len(joints) < len(pairs):
        raise ConfigError(
            "joint_map gives two joints to one SMPL joint.", found=", ".join(pairs.values())[:300]
        )
    guessed = guess_skeleton(skeleton).joints.items()
    rest = {name: joint for name, joint in guessed if name not in joints and joint not in pairs}
    return SourceSkeleton("joint_map", {**rest, **joints})


def _source(skeleton: Skeleton, source: str | SourceSkeleton | None) -> SourceSkeleton:
    if source is None:
        return recognise(skeleton)
    if isinstance(source, SourceSkeleton):
        return source
    if source not in KNOWN:
        raise ConfigError(f"There is no skeleton {source!r}.", expected=nearest(source, KNOWN))
    return KNOWN[source]


def _begins_with_pose(motion: Motion, index: dict[str, int]) -> bool:
    """Whether the first frame is a T-pose out of which the figure jumps: no part of the motion (cgspeed's CMU files)."""
    if motion.num_frames < 3:
        return False
    places = motion.frames(0, 3).joint_positions().astype(np.float64)
    places = places - places[:, [index["pelvis"]]]
    arms = [
        (places[0, index[f"{side}_elbow"]] - places[0, index[f"{side}_shoulder"]], sign)
        for side, sign in zip(SIDES, (1, -1))
    ]
    across = places[0, index["left_hip"]] - places[0, index["right_hip"]]
    stretched = [sign * (arm @ across) / (np.linalg.norm(arm) * np.linalg.norm(across)) for arm, sign in arms]
    jumps = np.linalg.norm(np.diff(places, axis=0), axis=-1).max(axis=1)
    return min(stretched) > 0.9 and jumps[0] > max(0.25 * _leg_length(places[0], index), 3 * jumps[1])


def joint_index(skeleton: Skeleton, known: SourceSkeleton) -> dict[str, int]:
    """SMPL joint to the number of the joint that stands for it.

    Raises:
        InputError: the skeleton has not the joints, or essential ones are missing in the map.
    """
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
    source: np.ndarray, known: SourceSkeleton, index: dict[str, int], turns: dict[str, np.ndarray]
) -> np.ndarray:
    """(F, 52, 3, 3) global rotations of the SMPL-H joints, from (F, J, 3, 3) ones of the source."""
    result = np.tile(np.eye(3), (len(source), SMPLH52.num_joints, 1, 1))
    step = late("mapping motion, joints")
    for number, (name, joint) in enumerate(index.items(), 1):
        step(number, len(index))
        if name not in known.stiff:
            result[:, SMPLH52.index(name)[0]] = source[:, joint] @ turns[name]
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
