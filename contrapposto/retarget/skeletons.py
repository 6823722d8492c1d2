"""Skeletons that are known by the names of their joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.retarget.names import clean_name
from contrapposto.skeleton import SMPLH52

SIDES = ("left", "right")
REQUIRED = (
    "pelvis",
    *(f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow") for side in SIDES),
)
"""SMPL joints without which no figure can be mapped."""


@dataclass(frozen=True)
class SourceSkeleton:
    """How a foreign skeleton stands for the SMPL joints.

    Args:
        name: for messages and metadata.
        joints: SMPL joint to source joint; joints that are not named follow their neighbours.
        reference: SMPL joint to the (3, 3) global rotation of its source joint while the figure stands in a T-pose
            on flat feet (y up, facing z), for files whose rest pose is not that of a standing figure.
        own: whether these are SMPL's own names: if the rest pose is SMPL's too, the rotations are taken as they are.
        stiff: SMPL joints whose source shows a direction but whose own rotation is not used.
    """

    name: str
    joints: Mapping[str, str]
    reference: Mapping[str, np.ndarray] = field(default_factory=dict)
    own: bool = False
    stiff: tuple[str, ...] = ()


def known_skeleton(joint_names: Sequence[str]) -> SourceSkeleton | None:
    """The first known skeleton all of whose essential joints are among `joint_names`, or nothing."""
    lookup = {clean_name(name): name for name in reversed(joint_names)}
    for known in KNOWN.values():
        essential = [known.joints[joint] for joint in (*REQUIRED, "left_wrist", "right_wrist")]
        if all(name in lookup for name in essential):
            joints = {joint: lookup[name] for joint, name in known.joints.items() if name in lookup}
            return replace(known, joints=joints)
    return None


# One marker holds CMU's toes: measured, their angles put the tips no nearer to the ground than stiff feet do, and in
# some clips (131_01) they wave by 30 degrees while the foot stands.
_TOES = ("left_foot", "right_foot")


def _both(middle: Mapping[str, str], sided: Mapping[str, str], left: str, right: str) -> dict[str, str]:
    """Joint map from the middle line's names and patterns with `*` where the side's letters stand."""
    pairs = [
        (f"{side}_{part}", name.replace("*", mark))
        for side, mark in zip(SIDES, (left, right))
        for part, name in sided.items()
    ]
    return {**middle, **dict(pairs)}


def _axes(text: str, pitch: float = 0.0) -> np.ndarray:
    """(3, 3) rotation whose columns are where local x, y and z point (`+y-x+z`), pitched toes down by degrees."""
    columns = []
    for sign, letter in zip(text[::2], text[1::2]):
        column = np.zeros(3)
        column["xyz".index(letter)] = 1.0 if sign == "+" else -1.0
        columns.append(column)
    return Rotation.from_euler("x", pitch, degrees=True).as_matrix() @ np.stack(columns, axis=1)


def _bandai_reference() -> dict[str, np.ndarray]:
    # Bandai-Namco's bones point along local x on the left and along -x on the right; nothing of its rest pose is a
    # T-pose. Feet: the pitch measured in its clips where a foot stands still (39.6 and 22.7 degrees, +-0.3).
    result = {"pelvis": _axes("+y-x+z")}
    result.update({joint: _axes("+y+z+x") for joint in ("spine1", "spine3", "neck", "head")})
    for side, leg, foot, arm in (
        ("left", "-y+x+z", "+z+x+y", "+x+y+z"),
        ("right", "+y+x-z", "-z+x-y", "+x-y-z"),
    ):
        result.update({f"{side}_{part}": _axes(arm) for part in ("collar", "shoulder", "elbow", "wrist")})
        result.update({f"{side}_{part}": _axes(leg) for part in ("hip", "knee")})
        result.update({f"{side}_ankle": _axes(foot, 39.6), f"{side}_foot": _axes(foot, 22.7)})
    return result


def _known() -> tuple[SourceSkeleton, ...]:
    cmu_asf = _both(
        {
            "pelvis": "root",
            "spine1": "lowerback",
            "spine2": "upperback",
            "spine3": "thorax",
            "neck": "lowerneck",
            "head": "head",
        },
        {"hip": "*femur", "knee": "*tibia", "ankle": "*foot", "foot": "*toes"}
        | {"collar": "*clavicle", "shoulder": "*humerus", "elbow": "*radius", "wrist": "*hand"},
        "l",
        "r",
    )
    # cgspeed's conversions of the CMU database, made for MotionBuilder and for 3ds Max. What ASF calls hand is their
    # finger base or lhand; the wrist joint above it only twists.
    cmu_bvh = _both(
        {
            "pelvis": "Hips",
            "spine1": "LowerBack",
            "spine2": "Spine",
            "spine3": "Spine1",
            "neck": "Neck",
            "head": "Head",
        },
        {"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase"}
        | {"collar": "*Shoulder", "shoulder": "*Arm", "elbow": "*ForeArm", "wrist": "*FingerBase"},
        "Left",
        "Right",
    )
    cmu_max = _both(
        {
            "pelvis": "Hips",
            "spine1": "lowerback",
            "spine2": "Chest",
            "spine3": "Chest2",
            "neck": "lowerneck",
            "head": "Head",
        },
        {"hip": "*Hip", "knee": "*Knee", "ankle": "*Ankle", "foot": "*Toe"}
        | {"collar": "*Collar", "shoulder": "*Shoulder", "elbow": "*Elbow"},
        "Left",
        "Right",
    ) | {"left_wrist": "lhand", "right_wrist": "rhand"}
    bandai = _both(
        {"pelvis": "Hips", "spine1": "Spine", "spine3": "Chest", "neck": "Neck", "head": "Head"},
        {"hip": "UpperLeg_*", "knee": "LowerLeg_*", "ankle": "Foot_*", "foot": "Toes_*"}
        | {"collar": "Shoulder_*", "shoulder": "UpperArm_*", "elbow": "LowerArm_*", "wrist": "Hand_*"},
        "L",
        "R",
    )
    fingers = {
        f"{f}{i}": f"*Hand{f.capitalize()}{i}"
        for f in ("index", "middle", "pinky", "ring", "thumb")
        for i in (1, 2, 3)
    }
    mixamo = _both(
        {
            "pelvis": "Hips",
            "spine1": "Spine",
            "spine2": "Spine1",
            "spine3": "Spine2",
            "neck": "Neck",
            "head": "Head",
        },
        {"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase"}
        | {"collar": "*Shoulder", "shoulder": "*Arm", "elbow": "*ForeArm", "wrist": "*Hand"}
        | fingers,
        "Left",
        "Right",
    )
    return (
        SourceSkeleton("smpl", {name: name for name in SMPLH52.joint_names}, own=True),
        SourceSkeleton("cmu_asf", cmu_asf, stiff=_TOES),
        SourceSkeleton("cmu_bvh", cmu_bvh, stiff=_TOES),
        SourceSkeleton("cmu_bvh_max", cmu_max, stiff=_TOES),
        SourceSkeleton("bandai", bandai, _bandai_reference()),
        SourceSkeleton("mixamo", mixamo),
    )


KNOWN = {skeleton.name: skeleton for skeleton in _known()}
