"""Clean motion: ghosts and jumps out, short gaps filled, noise smoothed, bones of constant length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.bones import hold_lengths, implausible, typical_lengths
from contrapposto.systems.scail_pose.gait import go_on
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, NUM_KEYPOINTS, Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.smoothing import (
    OneEuro,
    fill_gaps,
    runs,
    savitzky_golay,
    without_outliers,
)

_SEEN = 0.3
_COVERED = 0.3  # of a person's box by another's: the one may hide the other
_INSIDE = 0.7  # of a box: all of it but for its border
_UNSURE = 0.9  # mean score of what may be no person
_CHECKED = 12  # joints that `implausible` judges
FACE, LEFT_HAND, RIGHT_HAND = slice(24, 92), slice(92, 113), slice(113, 134)
_NUM_BODY, _NOSE, _EYES_AND_EARS = 24, 0, (14, 15, 16, 17)
_LEFT_WRIST, _RIGHT_WRIST, _HEAD = [7], [4], [_NOSE, 16, 17]
_SHOULDERS = (16, 17)  # joints


@dataclass(frozen=True)
class Clean:
    """How a clip is repaired; calling it with a clip returns the repaired clip.

    Attributes:
        least: seconds; people who are in the clip for less are left out.
        gap: seconds of absence that are bridged; hands and faces only where wrist or head is known.
        hidden: seconds that are bridged of somebody who is behind somebody else meanwhile.
        window: seconds of the smoothing of what the image shows; 0: none.
        depth_window: seconds of the smoothing of distances, which an image shows badly.
        outliers: whether single points that jump away are taken out.
        bones: whether bones keep their lengths. Impossible lengths lower the person's score.
        faces: whether eyes, ears and nose are left out where no landmark of the face is known, as on the back of a head.
    """

    least: float = 0.25
    gap: float = 0.5
    hidden: float = 2.0
    window: float = 0.3
    depth_window: float = 0.75
    outliers: bool = True
    bones: bool = True
    faces: bool = True

    def __post_init__(self) -> None:
        for name in ("least", "gap", "hidden", "window", "depth_window"):
            check.number(f"clean.{name}", getattr(self, name), 0)

    def __call__(self, clip: ClipPoses) -> ClipPoses:
        """The clip clean. Its frames must be evenly spaced."""
        frames: list[list[Person]] = [[] for _ in clip.frames]
        # Where no face is ever known, faces may not have been looked for: then only the back of a person tells.
        faces = any((person.scores[FACE] >= _SEEN).any() for people in clip.frames for person in people)
        tracks = [Track.of(clip.frames, number) for number in clip.ids]
        tracks = [track for track in tracks if not is_part(track, tracks)]
        for track in tracks:
            if track.seen.sum() / clip.fps < min(self.least, len(clip.frames) / clip.fps):
                continue
            behind = hidden_frames(track, tracks, round(self.hidden * clip.fps))
            clean = self.track(track, clip.fps, clip.height, behind)
            for frame, person in (without_hidden_face(clean, faces) if self.faces else clean).people():
                frames[frame].append(person)
        return replace(clip, frames=[sorted(frame, key=lambda person: person.id) for frame in frames])

    def track(self, track: Track, fps: float, height: int, behind: Sequence[tuple[int, int]] = ()) -> Track:
        """One person clean; `height` of the image in pixels, `behind`: see `hidden_frames`."""
        points, joints = track.points, track.joints
        if self.outliers:
            points = without_outliers(points, 0.03 * height)
            joints = without_outliers(joints, 200.0)
        longest = round(self.gap * fps)
        sure = track.sure
        if self.bones and np.isfinite(joints).any():
            # Bridging such joints was measured to be worse than holding lengths: only the score tells of them.
            sure = sure * (1 - implausible(joints).sum(axis=1) / _CHECKED)
        sure = fill_gaps(sure, longest)
        scores, boxes = fill_gaps(track.scores, longest), fill_gaps(track.boxes, longest)
        points, joints = fill_points(points, longest), fill_gaps(joints, longest)
        for values in (points[:, :_NUM_BODY], joints, scores, boxes, sure):
            bridge(values, behind)
        joints = go_on(joints, behind, fps)
        window, far = round(self.window * fps), round(self.depth_window * fps)
        points = savitzky_golay(points, window)
        boxes = savitzky_golay(boxes, window)
        joints = self._joints(joints, window, far)
        return Track(track.id, boxes, sure, points, scores, joints)

    def _joints(self, joints: np.ndarray, window: int, far: int) -> np.ndarray:
        """Directions and distances smoothed apart, then lengths held."""
        if not np.isfinite(joints).any():
            return joints
        if self.bones:
            _, scale = typical_lengths(joints)
            joints = joints * np.where(np.isfinite(scale), scale, 1.0)[:, None, None]
        depth = joints[..., 2:]
        rays = savitzky_golay(joints[..., :2] / depth, window)
        depth = savitzky_golay(depth, far)
        joints = np.concatenate([rays * depth, depth], axis=-1)
        if not self.bones:
            return joints
        # Noise makes bones longer: their lengths are taken when it is gone. Where a bone lies across the view, holding
        # its length makes noise of its own.
        lengths, _ = typical_lengths(joints)
        return hold_lengths(savitzky_golay(hold_lengths(joints, lengths), window), lengths)


@dataclass(frozen=True, eq=False)
class Track:
    """One person over all T frames of a clip, NaN where not known.

    Attributes:
        id: of the person.
        boxes: (T, 4). sure: (T,) score.
        points: (T, 134, 2) where the score is at least 0.3. scores: (T, 134), NaN where the person is not seen.
        joints: (T, 24, 3).
    """

    id: int
    boxes: np.ndarray
    sure: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    joints: np.ndarray

    @classmethod
    def of(cls, frames: Sequence[Sequence[Person]], number: int) -> Track:
        """Collect a person from the frames of a clip."""
        count = len(frames)
        boxes, sure = np.full((count, 4), np.nan), np.full(count, np.nan)
        points = np.full((count, NUM_KEYPOINTS, 2), np.nan)
        scores = np.full((count, NUM_KEYPOINTS), np.nan)
        joints = np.full((count, NUM_JOINTS, 3), np.nan)
        for frame, here in enumerate(frames):
            for person in here:
                if person.id == number:
                    boxes[frame], sure[frame] = person.box, person.score
                    points[frame], scores[frame] = person.keypoints, person.scores
                    joints[frame] = person.joints
        points[~(scores >= _SEEN)] = np.nan
        return cls(number, boxes, sure, points, scores, joints)

    @property
    def seen(self) -> np.ndarray:
        """(T,) where the person is."""
        return np.isfinite(self.sure)

    def people(self) -> list[tuple[int, Person]]:
        """Frames, and the person in them; a point that is not known has score 0."""
        persons = []
        for frame in np.flatnonzero(self.seen).tolist():
            known = np.isfinite(self.points[frame]).all(axis=-1)
            # A point that was bridged has a place, and the score of one that is just seen.
            scores = np.where(known, np.maximum(np.nan_to_num(self.scores[frame]), _SEEN + 1e-3), 0)
            person = Person(
                self.id,
                self.boxes[frame].astype(np.float32),
                float(self.sure[frame]),
                np.where(known[:, None], self.points[frame], 0).astype(np.float32),
                scores.astype(np.float32),
                self.joints[frame].astype(np.float32),
            )
            persons.append((frame, person))
        return persons


def is_part(track: Track, tracks: Sequence[Track]) -> bool:
    """Whether a person is clothes or limbs of another one of `tracks`: always on them, and never sure."""
    if np.nanmean(track.sure) >= _UNSURE:
        return False
    inside = (_shares(track.boxes, other.boxes) > _INSIDE for other in tracks if other.id != track.id)
    return any(share.sum() > 0.9 * track.seen.sum() for share in inside)


def _shares(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(T,) shares of boxes (T, 4) inside others; NaN where one is not known."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    area = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6).prod(axis=1)
    return np.asarray(np.maximum(sides, 0).prod(axis=1) / area)


def hidden_frames(track: Track, tracks: Sequence[Track], longest: int) -> list[tuple[int, int]]:
    """First and one past the last frame of each absence during which somebody else is in front of a person.

    Args:
        track: of the person.
        tracks: of everybody.
        longest: frames of such an absence.
    """
    spans = []
    boxes = bridge(track.boxes.copy(), gaps := inner_gaps(track.seen))
    covered = np.zeros(len(boxes))
    for other in tracks:
        if other.id != track.id:
            covered = np.fmax(covered, _shares(boxes, other.boxes))
    for start, stop in gaps:
        if stop - start <= longest and (covered[start:stop] > _COVERED).mean() > 0.5:
            spans.append((start, stop))
    return spans


def inner_gaps(seen: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last frame of each absence (T,) between two presences."""
    return [(start, stop) for start, stop in runs(~seen) if start > 0 and stop < len(seen)]


def bridge(values: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Series (T, ...) with straight lines over spans of frames, in place."""
    for start, stop in spans:
        share = np.linspace(0, 1, stop - start + 2)[1:-1].reshape(-1, *[1] * (values.ndim - 1))
        line = (1 - share) * values[start - 1] + share * values[stop]
        gap = values[start:stop]
        values[start:stop] = np.where(np.isfinite(gap), gap, line)
    return values


def fill_points(points: np.ndarray, longest: int) -> np.ndarray:
    """Keypoints (T, 134, 2) with gaps of up to `longest` frames bridged; hands and faces move with wrists and ears.

    A hand is bridged only where its wrist is known, a face where an ear or the nose is.
    """
    filled = points.copy()
    body = fill_gaps(points[:, :_NUM_BODY], longest)
    filled[:, :_NUM_BODY] = body
    for carrier, part in ((_LEFT_WRIST, LEFT_HAND), (_RIGHT_WRIST, RIGHT_HAND), (_HEAD, FACE)):
        place = _nanmean(body[:, carrier])
        bridged = fill_gaps(points[:, part] - place, longest) + place
        filled[:, part] = np.where(np.isfinite(points[:, part]), points[:, part], bridged)
    return filled


def without_hidden_face(track: Track, faces: bool) -> Track:
    """A person without eyes, ears and nose where no landmark of the face is known.

    Args:
        track: of the person.
        faces: whether faces were looked for; if not, only frames that show the back count.
    """
    hidden = ~np.isfinite(track.points[:, FACE]).all(axis=-1).any(axis=-1)
    if not faces:
        left, right = (track.joints[:, joint, 0] for joint in _SHOULDERS)
        hidden &= left < right
    points = track.points.copy()
    points[np.ix_(hidden, [_NOSE, *_EYES_AND_EARS])] = np.nan
    return replace(track, points=points)


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Mean (T, 1, 2) over the points (T, n, 2) of a frame that are known; NaN where none is."""
    known = np.isfinite(values).all(axis=-1, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=1, keepdims=True)
    count = known.sum(axis=1, keepdims=True)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class LiveClean:
    """Smoothing of people as they come, frame by frame, without looking ahead.

    Args:
        least_cutoff: Hz below which motion passes when somebody stands still.
        slope: how fast the filter opens: Hz for each height of the person's box per second.
        forget: seconds after which a person who is away begins anew.
    """

    def __init__(self, *, least_cutoff: float = 1.5, slope: float = 4.0, forget: float = 0.5) -> None:
        self.least_cutoff, self.slope, self.forget = least_cutoff, slope, forget
        self._filters: dict[int, tuple[float, float, OneEuro, OneEuro]] = {}

    def __call__(self, time: float, people: Sequence[Person]) -> list[Person]:
        """The people of the frame at a time in seconds."""
        return [self._smooth(time, person) for person in people]

    def _smooth(self, time: float, person: Person) -> Person:
        last, size, points, joints = self._filters.get(person.id, (-np.inf, 1.0, None, None))
        if points is None or joints is None or time - last > self.forget:
            size = max(float(person.box[3] - person.box[1]), 1.0)
            points = OneEuro(self.least_cutoff, self.slope)
            joints = OneEuro(self.least_cutoff, self.slope / 1700)  # millimetres: a person is 1.7 m high
        self._filters[person.id] = (time, size, points, joints)
        seen = np.where((person.scores >= _SEEN)[:, None], person.keypoints / size, np.nan)
        smooth = points(time, seen) * size
        return replace(
            person,
            keypoints=np.where(np.isfinite(smooth), smooth, person.keypoints).astype(np.float32),
            joints=joints(time, person.joints).astype(np.float32),
        )
