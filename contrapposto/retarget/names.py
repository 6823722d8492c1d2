"""Joint names of other programs, taken apart: which side a joint is on, and the bare word for its part.

`upper_arm.L`, `mixamorig:LeftArm`, `m_avg_L_Shoulder`, `LUArm`, `b_l_arm`, `CC_Base_L_Upperarm` and `01_L_UpArm_JNT` all
are a left upper arm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from contrapposto.errors import ConfigError

# Preferred words first. The order of the parts matters too: a joint is used once, so that `LeftLeg` is the knee
# where there is a `LeftUpLeg`, and the hip where there is a `LeftShin`; likewise `LeftShoulder`, and `LeftFoot`, which
# is the toe where there is a `LeftAnkle`.
PARTS = {
    "knee": (
        *("shin", "shank", "calf", "lowerleg", "lowleg", "loleg", "leglower", "knee", "tibia", "crus"),
        *("ひざ", "膝", "小腿", "膝盖", "leg"),
    ),
    "hip": ("thigh", "upperleg", "upleg", "uleg", "legupper", "femur", "hip", "leg", "大腿", "足", "脚"),
    "ankle": (
        "ankle",
        "footankle",
        "足首",
        "脚踝",
        "脚腕",
        "foot",
        "脚",
    ),  # Chinese and Japanese differ about 脚
    "foot": ("toebase", "football", "toes", "toe", "ball", "つま先", "脚趾", "脚尖", "foot"),
    "elbow": (
        *("forearm", "lowerarm", "lowarm", "loarm", "farm", "armlower", "radius", "ulna", "elbow"),
        *("ひじ", "肘", "前臂", "小臂"),
    ),
    "shoulder": (
        *("upperarm", "uparm", "uarm", "armupper", "humerus", "shldr", "bicep", "arm", "上臂", "大臂"),
        *("shoulder", "腕"),
    ),
    "collar": ("collar", "clavicle", "clav", "scapula", "锁骨", "shoulder", "肩"),
    "wrist": ("wrist", "handwrist", "手首", "手腕", "hand", "手"),
}
FINGERS = {
    "index": ("index", "人指", "人差指"),
    "middle": ("middle", "mid", "中指"),
    "pinky": ("pinky", "little", "小指"),
    "ring": ("ring", "薬指"),
    "thumb": ("thumb", "親指"),
}
_SIDES = {"left": "left", "l": "left", "左": "left", "right": "right", "r": "right", "右": "right"}
_FILLERS = frozenset(
    ("joint", "jnt", "jt", "bone", "bind", "skin", "bend", "sk", "rig", "def", "org", "base", "x")
)
_PREFIXES = frozenset(
    ("bip", "bone", "def", "jnt", "joint", "bind", "org", "rig", "biped",
     "skel", "character", "valvebiped", "valve", "cc", "base", "j", "c")
)  # fmt: skip
_HELPERS = frozenset(
    ("twist", "roll", "ik", "pole", "target", "helper", "nub", "end", "tip", "effector", "ctrl", "control",
     "corrective", "muscle", "breast", "site", "socket", "attach", "weapon", "prop", "捩", "先")
)  # fmt: skip
_KNOWN = {word for group in PARTS.values() for word in group}
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[左右]|[\u3040-\u30ff\u4e00-\u9fff]+")


_MIXAMO = {
    **{
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Spine2",
        "neck": "Neck",
        "head": "Head",
    },
    **{"hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase"},
    **{"collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand"},
    **{f"{finger}{n}": f"Hand{finger.capitalize()}{n}" for finger in FINGERS for n in (1, 2, 3)},
}
_VRM_ENDS = {1: "Proximal", 2: "Intermediate", 3: "Distal"}
_VRM = {
    **{
        "pelvis": "hips",
        "spine1": "spine",
        "spine2": "chest",
        "spine3": "upperChest",
        "neck": "neck",
        "head": "head",
    },
    **{"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toes"},
    **{"collar": "Shoulder", "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand"},
    **{
        f"{finger}{n}": ("Little" if finger == "pinky" else finger.capitalize()) + end
        for finger in FINGERS
        for n, end in _VRM_ENDS.items()
    },
    **{"thumb1": "ThumbMetacarpal", "thumb2": "ThumbProximal", "thumb3": "ThumbDistal"},
}
WRITTEN = ("smplh", "smpl", "mixamo", "vrm")
"""Names that written files may have."""


def written_name(joint: str, names: str) -> str:
    """The name of an SMPL-H joint in a family of `WRITTEN`: `mixamorig:LeftUpLeg`, `leftUpperLeg`, `L_Hip`.

    Raises:
        ConfigError: no such family.
    """
    if names not in WRITTEN:
        raise ConfigError(f"There are no joint names {names!r}.", expected=", ".join(WRITTEN))
    side, _, part = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
    if names == "smplh":
        return joint
    if names == "smpl":
        return f"{side[0].upper()}_{part.capitalize()}" if side else part.capitalize()
    if names == "mixamo":
        return f"mixamorig:{side.capitalize()}{_MIXAMO.get(part, part)}"
    return f"{side}{_VRM.get(part, part)}"


def clean_name(name: str) -> str:
    """A joint name without the namespace that exporters put in front (`mixamorig:`, `mixamorig1_`, `Character:`)."""
    return re.sub(r"^mixamorig\d*_?", "", re.split(r"[:|]", name)[-1])


def split_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Side (`left`, `right` or empty) and bare word of every joint; helpers (twist bones, ends) have the word ''.

    Words that most names begin or end with (`m_avg_`, `CC_Base_`, `_JNT`) are no part of any.
    """
    tokens = [_WORDS.findall(clean_name(name)) for name in names]
    for end in (0, -1):
        while (word := _common_word(tokens, end)) is not None:
            tokens = [_without(words, word, end) for words in tokens]
    return [_side_and_word(words, name.endswith("_end")) for words, name in zip(tokens, names)]


def _without(words: list[str], word: str, end: int) -> list[str]:
    if len(words) < 2 or words[end].lower() != word:
        return words
    return words[1:] if end == 0 else words[:-1]


def split_name(name: str) -> tuple[str, str]:
    """Side and bare word of one name: `upper_arm.L` is (left, upperarm)."""
    return _side_and_word(_WORDS.findall(clean_name(name)), name.endswith("_end"))


def _common_word(tokens: list[list[str]], end: int) -> str | None:
    """A word without meaning of its own that stands first (or last) in more than half of the names."""
    counts = Counter(words[end].lower() for words in tokens if len(words) > 1)
    for word, count in counts.most_common(2):
        meaning = word in _SIDES or word in _KNOWN or word in _HELPERS
        if count > 0.5 * len(tokens) and not meaning:
            return word
    return None


def _side_and_word(tokens: Sequence[str], is_end: bool) -> tuple[str, str]:
    words = [word.lower() for word in tokens if word.lower() != "stretch" or len(tokens) == 1]
    if is_end or (_HELPERS & set(words) and "neck" not in words):  # NeckTwist01 is a neck
        return "", ""
    while len(words) > 1 and words[0] in _PREFIXES:
        words.pop(0)
    while len(words) > 1 and words[-1] in _FILLERS and "".join(words) not in _KNOWN:
        words.pop()
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    stem = "".join(word for word in words if word not in _SIDES)
    if not stem:
        return "", "".join(words)  # L5, a vertebra
    if side or stem in _KNOWN:
        return side, stem
    for prefix in ("left", "right", "l", "r"):
        rest = stem.removeprefix(prefix)
        if rest != stem and (rest in _KNOWN or (len(prefix) > 1 and rest)):  # lhumerus, LUArm, leftupleg
            return _SIDES[prefix], rest
    for suffix in ("left", "right"):
        if stem.endswith(suffix) and stem != suffix:
            return suffix, stem.removesuffix(suffix)
    return "", stem
