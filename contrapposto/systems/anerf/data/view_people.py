"""Who is who before several calibrated cameras: rays to the same person's joints meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.anerf.data.from_video import choose_person
from contrapposto.systems.anerf.data.from_views import ViewCamera, seen_rays, triangulated

if TYPE_CHECKING:
    from contrapposto.systems.scail_pose.people import ClipPoses

_APART = 0.15  # metres between rays and the joints that they meet in: the median of one person is about 0.03
_FRAMES = 40
_COMBINATIONS = 3000


@dataclass(frozen=True)
class _Candidate:
    """A person of a camera: None where it sees nobody of the group; (T, 24, 2) rays, NaN where not known."""

    number: int | None
    rays: np.ndarray

    @property
    def frames(self) -> int:
        return int(np.isfinite(self.rays).all(-1).any(-1).sum())


def match_people(
    cameras: Sequence[ViewCamera], clips: Sequence[ClipPoses], person: str | int = "longest"
) -> list[int | None]:
    """The numbers of one person before several cameras; None where a camera does not see the person.

    Every combination of people, one of each camera, is triangulated; those whose rays meet are one person.

    Args:
        cameras: calibrated.
        clips: what each sees, frame by frame at the same times.
        person: `longest` in view of all cameras together, `largest` in the image of the first camera that sees the
            person, or the person's number before the first camera.

    Raises:
        InputError: no rays of two cameras meet, or there is no such person.
    """
    first = None if person == "longest" else choose_person(clips[0], person)
    candidates = _candidates(cameras, clips)
    if first is not None:
        candidates[0] = [candidate for candidate in candidates[0] if candidate.number == first]
    best: tuple[float, float] | None = None
    chosen: tuple[_Candidate, ...] = ()
    nearest = np.inf
    for group in product(*candidates):
        if sum(candidate.number is not None for candidate in group) < 2:
            continue
        apart = _apart(cameras, [candidate.rays for candidate in group])
        nearest = min(nearest, apart)
        rank = float(sum(candidate.frames for candidate in group)), -apart
        if apart < _APART and (best is None or rank > best):
            best, chosen = rank, group
    if not chosen:
        raise InputError(
            "No person is seen at the same place by two cameras.",
            found=f"rays to the joints are {nearest:.2f} m apart"
            if np.isfinite(nearest)
            else "no common frames",
            expected=f"less than {_APART} m (median of each camera)",
            fix="check cameras.json, and that the videos start at the same time",
        )
    return [candidate.number for candidate in chosen]


def _candidates(cameras: Sequence[ViewCamera], clips: Sequence[ClipPoses]) -> list[list[_Candidate]]:
    """Those of each camera who are seen longest, and nobody; few enough that all combinations can be tried."""
    count = min(len(clip.frames) for clip in clips)
    some = np.unique(np.linspace(0, count - 1, min(count, _FRAMES)).astype(int))
    most = max(int(_COMBINATIONS ** (1 / len(cameras))) - 1, 1)
    result = []
    for camera, clip in zip(cameras, clips):
        people = [_Candidate(number, seen_rays(camera, clip, number)[some]) for number in clip.ids]
        people = sorted(people, key=lambda candidate: -candidate.frames)[:most]
        result.append([*people, _Candidate(None, np.full((len(some), 24, 2), np.nan))])
    return result


def _apart(cameras: Sequence[ViewCamera], rays: Sequence[np.ndarray]) -> float:
    """Distance of rays from the points where they meet, metres: the median of the camera where it is largest.

    Infinite where a camera shares no joint with another.
    """
    joints = triangulated(cameras, rays)
    medians = []
    for camera, own in zip(cameras, rays):
        seen = np.isfinite(own).all(-1)
        if not seen.any():
            continue
        local = joints @ camera.rotation.T + camera.shift
        beside = np.linalg.norm(local[..., :2] - own * local[..., 2:], axis=-1)
        beside[local[..., 2] <= 0] = np.inf  # behind the camera
        values = beside[seen & np.isfinite(joints).all(-1)]
        medians.append(float(np.median(values)) if len(values) else np.inf)
    return max(medians, default=np.inf)
