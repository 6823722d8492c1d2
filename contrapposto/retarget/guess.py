"""Guess which joints of an unknown skeleton stand for SMPL's: the limbs by their names, the trunk by the tree."""

from __future__ import annotations

from collections.abc import Sequence

from contrapposto.retarget.names import FINGERS, PARTS, split_names
from contrapposto.retarget.skeletons import SIDES, SourceSkeleton
from contrapposto.skeleton import Skeleton

_CHAINS = (("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist"))
_SPINE = ("spine", "abdomen", "ab", "torso", "waist", "chest", "thorax", "lumbar", "上半身", "脊")
_NECK, _HEAD = ("neck", "首", "颈", "脖"), ("head", "頭", "头", "skull")


def guess_skeleton(skeleton: Skeleton) -> SourceSkeleton:
    """Map a skeleton by heuristics; joints that were not recognised are simply not in the result."""
    words = split_names(skeleton.joint_names)
    index = _limbs(words)
    _drop_broken_chains(skeleton, index)
    if "left_hip" in index and "right_hip" in index:
        index["pelvis"] = _common(skeleton, index["left_hip"], index["right_hip"])
        if "left_shoulder" in index and "right_shoulder" in index:
            index.update(_trunk(skeleton, index, words))
    _add_ends(skeleton, index)
    _add_fingers(skeleton, index, words)
    return SourceSkeleton("guessed", {name: skeleton.joint_names[joint] for name, joint in index.items()})


def _limbs(words: Sequence[tuple[str, str]]) -> dict[str, int]:
    result: dict[str, int] = {}
    for side in SIDES:
        stems: dict[str, int] = {}
        for joint, (own, stem) in enumerate(words):
            if own == side and stem:
                stems.setdefault(stem, joint)  # the first is the nearest to the root
        for part, names in PARTS.items():
            word = next((word for word in names if word in stems), None)
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


def _trunk(skeleton: Skeleton, index: dict[str, int], words: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Spine, neck and head: the way from the pelvis to where the arms part, and what goes on from there."""
    chest = _common(skeleton, index["left_shoulder"], index["right_shoulder"])
    below = set(_path(skeleton, index["pelvis"]))
    middle = [joint for joint, (side, stem) in enumerate(words) if not side and stem]
    if chest in below:  # arms and legs hang on one joint: only names tell
        spine = [joint for joint in middle if joint not in below and words[joint][1].startswith(_SPINE)]
        above = [joint for joint in middle if joint not in spine]
    else:
        spine = [joint for joint in _path(skeleton, chest) if joint not in below][::-1]
        above = [joint for joint in middle if joint != chest and chest in _path(skeleton, joint)]
    result: dict[str, int] = {}
    if len(spine) >= 3:
        count = len(spine)
        result.update({f"spine{i}": spine[-(-i * count // 3) - 1] for i in (1, 2, 3)})
    elif spine:
        result.update({"spine1": spine[0], "spine3": spine[-1]} if len(spine) == 2 else {"spine3": spine[0]})
    neck = next((joint for joint in above if any(word in words[joint][1] for word in _NECK)), None)
    head = next((joint for joint in above if words[joint][1].endswith(_HEAD)), None)
    more = [joint for joint in above if words[joint][1].startswith(_SPINE)]
    if neck is None and head is None and more:  # Rigify's spine.004 to spine.006, above the chest
        neck, head = (more[0] if len(more) > 1 else None), more[-1]
    if neck is not None:
        result["neck"] = neck
        head = head if head is not None else next((j for j in above if skeleton.parents[j] == neck), None)
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


def _add_fingers(skeleton: Skeleton, index: dict[str, int], words: Sequence[tuple[str, str]]) -> None:
    """The first three joints of each finger below the wrist; bones inside the palm are ignored."""
    for side in SIDES:
        wrist = index.get(f"{side}_wrist")
        if wrist is None:
            continue
        for finger, names in FINGERS.items():
            joints = [
                joint
                for joint, (own, stem) in enumerate(words)
                if own == side
                and any(word in stem for word in names)
                and not any(word in stem for word in ("inhand", "metacarp", "carpal", "palm", "toe"))
                and joint != wrist
                and wrist in _path(skeleton, joint)
            ]
            index.update({f"{side}_{finger}{number}": joint for number, joint in enumerate(joints[:3], 1)})
