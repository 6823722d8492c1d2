"""The content of `report.json` about a clip."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.reference import Alignment

MODEL_FRAMES = 81
_UNLIKE = 0.1  # of the longer side: a fit that stays this far off is reported


def describe_alignment(alignment: Alignment, clip: ClipPoses) -> dict[str, Any]:
    """The fitted camera against the clip's own, and its distances in pixels."""
    zoom = alignment.intrinsics[[0, 1], [0, 1]] / np.asarray(clip.intrinsics)[[0, 1], [0, 1]]
    return {
        "points": alignment.mode,
        "scale": round(float(zoom[0]), 4),
        "aspect": round(float(zoom[1] / zoom[0]), 4),
        "face": round(alignment.face, 4),
        "pixels_before": round(alignment.before, 2),
        "pixels_after": round(alignment.after, 2),
    }


def describe_people(clip: ClipPoses) -> dict[str, Any]:
    """Frames in which each person is, and their mean score."""
    people: dict[str, Any] = {}
    for number in clip.ids:
        persons = [person for frame in clip.frames for person in frame if person.id == number]
        score = round(float(np.mean([person.score for person in persons])), 3)
        people[str(number)] = {"frames": len(persons), "score": score}
    return people


def unlike_warnings(alignments: Mapping[int, Alignment], clip: ClipPoses) -> list[str]:
    """People whom no camera brings near the reference: its pose differs from theirs when they first appear."""
    limit = _UNLIKE * max(clip.height, clip.width)
    return [
        f"person {number} stays {alignment.after:.0f} pixels from the reference, whose pose is another one, and may "
        "leave the image; take a reference in the video's first pose, or other points (align.mode)"
        for number, alignment in alignments.items()
        if alignment.after > limit
    ]


def model_warnings(clip: ClipPoses) -> list[str]:
    """What the video model was not trained on."""
    words = []
    if len(clip.frames) != MODEL_FRAMES:
        words.append(f"{len(clip.frames)} frames: the video model was trained on {MODEL_FRAMES}")
    if clip.height % 32 or clip.width % 32:
        words.append(f"{clip.width} x {clip.height}: the video model wants multiples of 32")
    return words


class Clock:
    """Seconds of the stages."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.laps[name], self._last = round(now - self._last, 3), now
