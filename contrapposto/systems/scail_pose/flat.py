"""Limbs for people of whom only keypoints in the image are known: a flat skeleton at one distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.wholebody import THRESHOLD

_HIPS, _NECK, _SHOULDERS = [8, 11], 1, [2, 5]  # keypoints
_TRUNK, _WIDTH, _HEIGHT = 500.0, 340.0, 1700.0  # millimetres of an adult: neck to hips, shoulders, whole
_SPINE = {3: 0.25, 6: 0.5, 9: 0.75}  # joints on the line from the pelvis to the neck
_TOES = {10: 18, 11: 21}  # joints and keypoints


def with_limbs(clip: ClipPoses) -> tuple[ClipPoses, list[str]]:
    """A clip in which people without any joint in space, but with keypoints, have flat limbs; and what to report."""
    flat: dict[int, float] = {}
    for number in clip.ids:
        persons = [person for frame in clip.frames for person in frame if person.id == number]
        if all(np.shape(p.joints) == (NUM_JOINTS, 3) and not p.valid.any() for p in persons):
            distance = _distance(persons, np.asarray(clip.intrinsics, np.float64))
            if np.isfinite(distance):
                flat[number] = distance
    if not flat:
        return clip, []
    frames = [
        [_flat(p, flat[p.id], np.asarray(clip.intrinsics, np.float64)) if p.id in flat else p for p in frame]
        for frame in clip.frames
    ]
    people = "person " + ", ".join(map(str, flat)) if len(flat) > 1 else f"person {next(iter(flat))}"
    return replace(clip, frames=frames), [
        f"{people}: joints in space are not known, so the limbs are drawn flat, all at one depth; "
        "module.estimator.lifter=FILE lifts the keypoints"
    ]


def _distance(persons: Sequence[Person], intrinsics: np.ndarray) -> float:
    """Millimetres at which an adult has the person's size in the image; NaN where too little is known."""
    focal = float(np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]))
    for length, measure in ((_TRUNK, _trunk), (_WIDTH, _width), (_HEIGHT, _height)):
        sizes = [size for person in persons if np.isfinite(size := measure(person)) and size > 1]
        if sizes:  # a high percentile: parts that point at the camera look short
            return focal * length / float(np.percentile(sizes, 75))
    return float("nan")


def _trunk(person: Person) -> float:
    if person.scores[[_NECK, *_HIPS]].min() <= THRESHOLD:
        return float("nan")
    return float(np.linalg.norm(person.keypoints[_NECK] - person.keypoints[_HIPS].mean(axis=0)))


def _width(person: Person) -> float:
    if person.scores[_SHOULDERS].min() <= THRESHOLD:
        return float("nan")
    return float(np.linalg.norm(np.diff(person.keypoints[_SHOULDERS], axis=0)))


def _height(person: Person) -> float:
    known = person.keypoints[person.scores > THRESHOLD]
    return float(np.ptp(known[:, 1])) if len(known) > 1 else float("nan")


def _flat(person: Person, distance: float, intrinsics: np.ndarray) -> Person:
    """The person with joints on the rays of the keypoints, all at one depth."""
    rays = (person.keypoints - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * distance
    points[person.scores <= THRESHOLD] = np.nan
    joints = np.full((NUM_JOINTS, 3), np.nan)
    joints[list(SMPL_OF_SLOT)] = points[: len(SMPL_OF_SLOT)]
    for joint, keypoint in _TOES.items():
        joints[joint] = points[keypoint]
    joints[0] = joints[[1, 2]].mean(axis=0)
    for joint, share in _SPINE.items():
        joints[joint] = (1 - share) * joints[0] + share * joints[12]
    joints[[13, 14]] = 0.5 * (joints[12] + joints[[16, 17]])
    return replace(person, joints=joints.astype(np.float32))
