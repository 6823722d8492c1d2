"""People of a clip at other times than its frames' (docs/specs/scail_pose.md, section 11, item 12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses

_LONGEST_GAP = 0.5  # seconds between frames over which nothing is invented


def retime(clip: ClipPoses, fps: float) -> ClipPoses:
    """The clip at 0, 1/fps, 2/fps, ... seconds, straight lines between its frames.

    A person who is in one of two neighbouring frames only is there until half-way; so is a point that is known in one
    of them only.

    Raises:
        InputError: a rate that is not positive.
    """
    if not 0 < fps <= 240:
        raise InputError("Frame rate", found=f"{fps}", expected="up to 240 frames/s")
    times = np.arange(len(clip.frames)) / clip.fps if clip.times is None else np.asarray(clip.times)
    wanted = times_at(times, fps)
    after = np.clip(np.searchsorted(times, wanted), 1, max(len(times) - 1, 1))
    frames: list[list[Person]] = []
    for time, second in zip(wanted, after):
        if len(times) == 1:
            frames.append(list(clip.frames[0]))
            continue
        gap = float(times[second] - times[second - 1])
        share = float(np.clip((time - times[second - 1]) / gap, 0, 1)) if gap > 0 else 1.0
        if gap > _LONGEST_GAP:
            share = round(share)
        frames.append(_between(clip.frames[second - 1], clip.frames[second], share))
    return replace(clip, fps=fps, frames=frames, times=wanted)


def times_at(times: np.ndarray, fps: float) -> np.ndarray:
    """0, 1/fps, 2/fps, ... seconds, to the last of some times."""
    return np.arange(max(round(float(times[-1]) * fps), 0) + 1) / fps


def _between(first: Sequence[Person], second: Sequence[Person], share: float) -> list[Person]:
    later = {person.id: person for person in second}
    earlier = {person.id for person in first}
    people = []
    for person in first:
        if person.id in later:
            people.append(_blend(person, later[person.id], share))
        elif share < 0.5:
            people.append(person)
    return people + [person for person in second if person.id not in earlier and share >= 0.5]


def _blend(first: Person, second: Person, share: float) -> Person:
    if share in (0.0, 1.0):
        return second if share else first
    near = second if share >= 0.5 else first

    def mix(name: str, known: np.ndarray) -> np.ndarray:
        a, b = getattr(first, name), getattr(second, name)
        return np.where(known, a * (1 - share) + b * share, getattr(near, name))

    points = ((first.scores > 0) & (second.scores > 0))[:, None]
    joints = (first.valid & second.valid)[:, None]
    return replace(
        near,
        box=first.box * (1 - share) + second.box * share,
        keypoints=mix("keypoints", points),
        scores=mix("scores", points[:, 0]),
        joints=mix("joints", joints),
    )
