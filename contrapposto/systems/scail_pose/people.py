"""The people of a frame and of a clip: what estimators return (docs/specs/scail_pose.md, section 12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose, pack_pose

CHOICES = ("all", "first", "largest", "central")
_LARGEST = 2**15  # pixels


@dataclass(frozen=True, eq=False)
class ClipPoses:
    """The people of a clip.

    Raises:
        InputError: a size or a frame rate that no video has.

    Attributes:
        height, width: of the frames in pixels.
        fps: frames per second.
        intrinsics: (3, 3) of the camera that `joints` are in.
        frames: for each frame its people; empty where there is nobody.
        times: (T,) seconds of the frames; None: frame t is at t / fps.
        source: what it was made from, for reports.
    """

    height: int
    width: int
    fps: float
    intrinsics: np.ndarray
    frames: Sequence[Sequence[Person]]
    times: np.ndarray | None = None
    source: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (1 <= self.height <= _LARGEST and 1 <= self.width <= _LARGEST):
            size = f"{self.width} x {self.height}"
            raise InputError("A clip has an impossible size.", found=size, expected=f"1 to {_LARGEST} pixels")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise InputError("A clip has no frame rate.", found=str(self.fps), expected="frames per second")

    @property
    def ids(self) -> list[int]:
        """Everybody's, in the order in which they appear."""
        return list(dict.fromkeys(person.id for frame in self.frames for person in frame))

    def only(self, ids: Sequence[int]) -> ClipPoses:
        """Some of the people."""
        kept = set(ids)
        return replace(self, frames=[[p for p in frame if p.id in kept] for frame in self.frames])


def pack_people(
    people: Sequence[Person], height: int, width: int, *, hands_by_side: bool = False
) -> WholeBodyPose:
    """Keypoints of the people of a frame as a pose; see `pack_pose`."""
    points = (
        np.stack([person.keypoints for person in people]) if people else np.zeros((0, 134, 2), np.float32)
    )
    scores = np.stack([person.scores for person in people]) if people else np.zeros((0, 134), np.float32)
    return pack_pose(points, scores, height, width, hands_by_side=hands_by_side)


def join_poses(poses: Sequence[WholeBodyPose]) -> WholeBodyPose:
    """People of several poses as one pose."""
    if not poses:
        return pack_people([], 1, 1)
    parts = [[getattr(pose, name) for pose in poses] for name in ("candidate", "subset", "faces", "hands")]
    return WholeBodyPose(*(np.concatenate(part) for part in parts))


def choose_people(clip: ClipPoses, choice: str | int | Sequence[int]) -> list[int]:
    """Ids of those to draw.

    Args:
        clip: all people.
        choice: `all`; `largest` or `central` (by their boxes over the clip, seconds in view counting); `first` (the
            one with the highest score in the first frame that has anybody); or ids.

    Raises:
        InputError: an id that is not in the clip, or another word.
    """
    ids = clip.ids
    if choice == "all":
        return ids
    if choice == "first":
        first: Sequence[Person] = next((frame for frame in clip.frames if frame), [])
        return [max(first, key=lambda person: person.score).id] if first else []
    if choice in ("largest", "central"):
        totals = dict.fromkeys(ids, 0.0)
        for person in (person for frame in clip.frames for person in frame):
            away = np.hypot(*((person.box[:2] + person.box[2:]) / 2 / [clip.width, clip.height] - 0.5))
            area = float(np.maximum(person.box[2:] - person.box[:2], 0).prod())
            totals[person.id] += area if choice == "largest" else 1 / (0.05 + away)
        return sorted(ids, key=lambda number: -totals[number])[:1]
    chosen = (
        [choice] if isinstance(choice, int) else [] if isinstance(choice, str) else [int(i) for i in choice]
    )
    if not chosen or not set(chosen) <= set(ids):
        raise InputError(
            "People to draw", found=repr(choice), expected=f"all, first, largest, central, or ids of {ids}"
        )
    return chosen
