"""Guess which joints of an unknown skeleton stand for SMPL's: the limbs by their names, the trunk by the tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contrapposto.retarget.skeletons import SIDES, SourceSkeleton, clean_name
from contrapposto.skeleton import Skeleton

# Preferred words first. The order of the parts matters too: a joint is given away once, so that `LeftLeg` is the knee
# where there is a `LeftUpLeg`, and the hip where there is a `LeftShin`; `LeftShoulder` likewise.
_WORDS = {
    "knee": ("shin", "calf", "lowerleg", "lowleg", "leglower", "knee", "tibia", "leg"),
    "hip": ("thigh", "upperleg", "upleg", "legupper", "femur", "hip", "leg"),
    "ankle": ("foot", "ankle"),
    "foot": ("toebase", "toes", "toe", "ball"),
    "elbow": ("forearm", "lowerarm", "lowarm", "armlower", "radius", "elbow"),
    "shoulder": ("upperarm", "uparm", "armupper", "humerus", "shldr", "arm", "shoulder"),
    "collar": ("collar", "clavicle", "clav", "shoulder"),
    "wrist": ("hand", "wrist"),
}
_CHAINS = (("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist"))
_PREFIXES = frozenset(
    ("bip", "bone", "def", "jnt", "joint", "bind", "org", "rig",
     "skel", "character", "valvebiped", "cc", "base", "j", "c")
)  # fmt: skip
_SIDE_WORDS = {"left": "left", "l": "left", "right": "right", "r": "right"}


def guess_skeleton(skeleton: Skeleton) -> SourceSkeleton:
    """Map a skeleton by heuristics; joints that were not recognised are simply not in the result."""
    joints = _limbs(skeleton.joint_names)
    index = {name: skeleton.index(source)[0] for name, source in joints.items()}
    _drop_broken_chains(skeleton, index)
    if "left_hip" in index and "right_hip" in index:
        index["pelvis"] = _common(skeleton, index["left_hip"], index["right_hip"])
        if "left_shoulder" in index and "right_shoulder" in index:
            index.update(_trunk(skeleton, index))
    _add_ends(skeleton, index)
    return SourceSkeleton("guessed", {name: skeleton.joint_names[joint] for name, joint in index.items()})


def split_name(name: str) -> tuple[str, str]:
    """The side (`left`, `right` or empty) and the bare word of a joint name: `upper_arm.L` is (left, upperarm)."""
    words = [w.lower() for w in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", clean_name(name))]
    while words and words[0] in _PREFIXES:
        words.pop(0)
    side = next((_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS), "")
    stem = "".join(word for word in words if word not in _SIDE_WORDS)
    known = {word for group in _WORDS.values() for word in group}
    if not side and stem not in known and stem[:1] in _SIDE_WORDS and stem[1:] in known:  # lhumerus
        return _SIDE_WORDS[stem[0]], stem[1:]
    return side, stem


def _limbs(names: Sequence[str]) -> dict[str, str]:
    parts = [(name, *split_name(name)) for name in names if not name.endswith("_end")]
    result: dict[str, str] = {}
    for side in SIDES:
        stems: dict[str, str] = {}
        for name, own, stem in parts:
            if own == side:
                stems.setdefault(stem, name)  # the first is the nearest to the root
        for part, words in _WORDS.items():
            word = next((word for word in words if word in stems), None)
            if word is not None:
                result[f"{side}_{part}"] = stems.pop(word)
    return result


def _drop_broken_chains(skeleton: Skeleton, index: dict[str, int]) -> None:
    """Forget joints that do not hang below the ones before them in the limb: their names misled."""
    for side in SIDES:
        for chain in _CHAINS:
            above: int | None = None
            for part in chain:
                joint = index.get(f"{side}_{part}")
                if joint is None:
                    continue
                if above is not None and above not in _path(skeleton, joint):
                    del index[f"{side}_{part}"]
                else:
                    above = joint


def _path(skeleton: Skeleton, joint: int) -> list[int]:
    """The joint and all above it, up to the root."""
    path = [joint]
    while skeleton.parents[path[-1]] >= 0:
        path.append(skeleton.parents[path[-1]])
    return path


def _common(skeleton: Skeleton, first: int, second: int) -> int:
    above = set(_path(skeleton, second))
    return next(joint for joint in _path(skeleton, first) if joint in above)


def _trunk(skeleton: Skeleton, index: dict[str, int]) -> dict[str, int]:
    """Spine, neck and head: the way from the pelvis to where the arms part, and what goes on from there."""
    chest = _common(skeleton, index["left_shoulder"], index["right_shoulder"])
    below = set(_path(skeleton, index["pelvis"]))
    spine = [joint for joint in _path(skeleton, chest) if joint not in below][::-1]
    result: dict[str, int] = {}
    if len(spine) >= 3:
        count = len(spine)
        result.update({f"spine{i}": spine[-(-i * count // 3) - 1] for i in (1, 2, 3)})
    elif spine:
        result.update({"spine1": spine[0], "spine3": spine[-1]} if len(spine) == 2 else {"spine3": spine[0]})
    middle = [
        j
        for j, name in enumerate(skeleton.joint_names)
        if not split_name(name)[0] and not name.endswith("_end")
    ]
    stems = {
        j: split_name(skeleton.joint_names[j])[1]
        for j in middle
        if j != chest and chest in _path(skeleton, j)
    }
    neck = next((j for j, stem in stems.items() if "neck" in stem), None)
    head = next((j for j, stem in stems.items() if stem.endswith("head")), None)
    if neck is not None:
        result["neck"] = neck
        head = head if head is not None else next((j for j in stems if skeleton.parents[j] == neck), None)
    if head is not None:
        result["head"] = head
    return result


def _add_ends(skeleton: Skeleton, index: dict[str, int]) -> None:
    """Where a limb stops early, the end site of its last joint shows at least where the hand or the toes are."""
    for side in SIDES:
        for upper, part in (("elbow", "wrist"), ("ankle", "foot")):
            above = index.get(f"{side}_{upper}")
            if above is None or f"{side}_{part}" in index:
                continue
            name = f"{skeleton.joint_names[above]}_end"
            if name in skeleton.joint_names:
                index[f"{side}_{part}"] = skeleton.index(name)[0]
