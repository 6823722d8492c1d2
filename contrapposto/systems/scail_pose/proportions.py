"""The reference's proportions for a driving person: bones of other lengths (docs/specs/scail_pose.md, section 11, item 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from contrapposto.errors import ConfigError
from contrapposto.systems.scail_pose.bones import PARENTS, typical_lengths
from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT, project
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses

_ANKLES = [7, 8]
_HEAD, _LEFT_WRIST, _RIGHT_WRIST = 15, 20, 21
_SOFT = 40.0  # millimetres by which one foot must be lower to be the one that stands
# The joint that each of the 134 keypoints goes along with: body, eyes and ears, feet, face, hands.
_CARRIER = np.array(
    [
        *SMPL_OF_SLOT,
        *[_HEAD] * 4,
        *[7] * 3,
        *[8] * 3,
        *[_HEAD] * 68,
        *[_LEFT_WRIST] * 21,
        *[_RIGHT_WRIST] * 21,
    ]
)
# Bones that one image shows badly one by one take a common ratio: spine and neck, collars, hips.
_TOGETHER = ((3, 6, 9, 12), (13, 14), (1, 2))


def bone_ratios(
    driver: np.ndarray, reference: np.ndarray, bounds: tuple[float, float] = (0.5, 2.0)
) -> np.ndarray:
    """How many times longer each of the 23 bones is in the reference, apart from its size as a whole.

    Args:
        driver: (T, 24, 3) joints of the driving person. reference: (24, 3) of the character. NaN where unknown.
        bounds: of the ratios.

    Returns:
        (23,), that of joint 1 first; 1 where either does not show the bone.
    """
    low, high = bounds
    if not 0 < low <= 1 <= high:
        raise ConfigError("Bounds of ratios of bones", found=f"{low} to {high}", expected="low <= 1 <= high")
    lengths = typical_lengths(driver)[0]
    wanted = typical_lengths(reference[None])[0]
    for group in _TOGETHER:
        bones = [joint - 1 for joint in group]
        known = np.isfinite(lengths[bones]) & np.isfinite(wanted[bones])
        if known.any():
            share = wanted[bones][known].sum() / lengths[bones][known].sum()
            wanted[bones] = np.where(known, lengths[bones] * share, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = wanted / lengths
    known = np.isfinite(ratios)
    if not known.any():
        return np.ones(len(ratios))
    order = np.argsort(ratios[known])
    weights = np.cumsum(lengths[known][order])
    whole = ratios[known][order][
        np.searchsorted(weights, weights[-1] / 2)
    ]  # long bones say more about the size
    return np.clip(np.where(known, ratios / whole, 1.0), low, high)


def scale_bones(joints: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """Joints (T, 24, 3) with each bone so many times longer, the pelvis where it was; NaN stays NaN."""
    shifts = np.zeros_like(joints)
    for joint, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        grown = (ratios[joint - 1] - 1) * (joints[:, joint] - joints[:, parent])
        shifts[:, joint] = shifts[:, parent] + np.nan_to_num(grown)
    return joints + shifts


def plant_feet(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after` (T, 24, 3) moved so that the foot that stands, the lower one, is where it is in `before`.

    Frames without feet move like their neighbours with feet.
    """
    ankles = before[:, _ANKLES]
    known = np.isfinite(ankles).all((1, 2)) & np.isfinite(after[:, _ANKLES]).all((1, 2))
    if not known.any():
        return after
    height = ankles[known, :, 1] / _SOFT  # y points down
    weights = np.exp(height - height.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    moves = (weights[..., None] * (ankles - after[:, _ANKLES])[known]).sum(1)
    frames = np.arange(len(after))
    spread = [np.interp(frames, frames[known], moves[:, axis]) for axis in range(3)]
    return after + np.stack(spread, -1)[:, None]


def reshape_clip(
    clip: ClipPoses, references: Mapping[int, Person], bounds: tuple[float, float] = (0.5, 2.0)
) -> tuple[ClipPoses, dict[int, np.ndarray]]:
    """A clip whose people have the proportions of their references.

    Keypoints follow: hands go along with the wrists, the face with the head.

    Args:
        clip: the driving people.
        references: by their ids.
        bounds: see `bone_ratios`.

    Returns:
        The clip, and the ratios (23,) by id.
    """
    ratios: dict[int, np.ndarray] = {}
    moved: dict[tuple[int, int], Person] = {}
    for number, reference in references.items():
        places = [frame for frame, people in enumerate(clip.frames) if any(p.id == number for p in people)]
        persons = [next(p for p in clip.frames[frame] if p.id == number) for frame in places]
        joints = np.stack([person.joints for person in persons]).astype(np.float64)
        ratios[number] = bone_ratios(joints, np.asarray(reference.joints, np.float64), bounds)
        new = plant_feet(joints, scale_bones(joints, ratios[number]))
        for frame, person, old, place in zip(places, persons, joints, new):
            moved[frame, number] = _carried(person, old, place, clip.intrinsics)
    frames: list[Sequence[Person]] = [
        [moved.get((number, person.id), person) for person in people]
        for number, people in enumerate(clip.frames)
    ]
    return replace(clip, frames=frames), ratios


def _carried(person: Person, old: np.ndarray, new: np.ndarray, intrinsics: np.ndarray) -> Person:
    shifts = project(new, intrinsics)[:, :2] - project(old, intrinsics)[:, :2]
    shifts = np.where(np.isfinite(shifts), shifts, 0.0)
    keypoints = person.keypoints + shifts[_CARRIER]
    return replace(person, keypoints=keypoints.astype(np.float32), joints=new.astype(np.float32))


def describe_ratios(ratios: np.ndarray) -> dict[str, float]:
    """Ratios of the parts that people look at, for reports."""
    parts = {
        "trunk": 3,
        "neck": 12,
        "head": 15,
        "shoulders": 16,
        "upper arm": 18,
        "forearm": 20,
        "thigh": 4,
        "shin": 7,
    }
    return {name: round(float(ratios[joint - 1]), 3) for name, joint in parts.items()}
