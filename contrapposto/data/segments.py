"""Labelled stretches of clips, and windows of them: what a generator of actions learns from.

A segment is the part of a clip over which the same labels hold, or a whole clip. A window reaches into the segment's
frames only; where a segment is shorter than the window, its last frame is repeated and the rest is not valid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from contrapposto.data.store import ClipRecord, MotionStore
from contrapposto.data.vocabulary import Vocabulary
from contrapposto.data.windows import WindowReader
from contrapposto.errors import InputError


@dataclass(frozen=True)
class Segments:
    """U stretches of clips.

    Args:
        clips: (U,) numbers of their clips.
        starts: (U,) first frames inside the clips.
        frames: (U,) lengths.
        actions: (U, A) bool, which classes hold; none for stretches without labels.
        problems: labels that gave no segment, by reason.
    """

    clips: np.ndarray
    starts: np.ndarray
    frames: np.ndarray
    actions: np.ndarray
    problems: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.clips)

    def of_clips(self, clips: np.ndarray) -> np.ndarray:
        """Numbers of the segments that lie in these clips."""
        return np.flatnonzero(np.isin(self.clips, clips))


def open_vocabulary(source: str | Path, store: str | Path, at_least: int = 2) -> Vocabulary:
    """A vocabulary by name or file; `auto`: every text that labels a store's clips at least that often.

    Raises:
        MissingError, ConfigError, InputError: no such vocabulary; `auto`, and no text is there often enough.
    """
    if str(source) != "auto":
        return Vocabulary.load(source)
    texts = [label.text for clip in MotionStore.open(store).clips for label in clip.labels]
    counts = Counter(" ".join(text.split()) for text in texts)
    # Alphabetic: with another store the classes come in the same order as far as they are the same.
    names = sorted(text for text, count in counts.items() if text and count >= at_least)
    if not names:
        raise _no_labels(Path(store), f"{len(texts)} labels, none of them {at_least} times")
    return Vocabulary(sorted(Vocabulary.of_texts(names).names))


def label_segments(
    clips: Sequence[ClipRecord], rows: np.ndarray, vocabulary: Vocabulary, *, fps: float, min_frames: int = 16
) -> Segments:
    """One segment per span of labels; labels with the same span make one (docs/specs/posegpt.md, section 8).

    Both ends belong to the span. Times before the clip's beginning count as zero; what lies behind its end is cut off.

    Args:
        clips: records of a store.
        rows: (C,) frames of each clip at `fps`; clips of 0 rows have no segments.
        vocabulary: texts that it does not know are left out, and counted.
        fps: of the frames.
        min_frames: shorter segments are left out.
    """
    problems: Counter[str] = Counter()
    stretches: list[tuple[int, int, int, np.ndarray]] = []
    for number, clip in enumerate(clips):
        spans: dict[tuple[int, int], list[str]] = {}
        for label in clip.labels:
            if label.text not in vocabulary:
                problems["texts that are no action of the vocabulary"] += 1
                continue
            first, last = int(max(label.start, 0) * fps), int(label.end * fps)
            spans.setdefault((first, min(last + 1, int(rows[number]))), []).append(label.text)
        for (first, end), texts in spans.items():
            if end - first < min_frames:
                problems[f"labels of less than {min_frames} frames"] += 1
                continue
            stretches.append((number, first, end - first, vocabulary.encode(texts).bool().numpy()))
    return _segments(stretches, len(vocabulary), problems)


def clip_segments(
    clips: Sequence[ClipRecord], rows: np.ndarray, vocabulary: Vocabulary | None, *, min_frames: int = 16
) -> Segments:
    """Whole clips, with the classes of all their labels; arguments of `label_segments`."""
    stretches = []
    for number, clip in enumerate(clips):
        if rows[number] >= min_frames:
            texts = [label.text for label in clip.labels]
            hot = np.zeros(0, bool) if vocabulary is None else vocabulary.encode(texts).bool().numpy()
            stretches.append((number, 0, int(rows[number]), hot))
    return _segments(stretches, len(vocabulary) if vocabulary else 0, Counter())


def widened(segments: Segments, rows: np.ndarray, *, margin: int, at_least: int) -> Segments:
    """Segments that reach `margin` frames beyond both ends and have at least `at_least` frames, where their clips have.

    Args:
        segments: of the clips.
        rows: (C,) frames of each clip.
    """
    whole = rows[segments.clips]
    first = np.maximum(segments.starts - margin, 0)
    last = np.minimum(segments.starts + segments.frames + margin, whole)
    last = np.minimum(np.maximum(last, first + at_least), whole)
    first = np.maximum(np.minimum(first, last - at_least), 0)
    return replace(segments, starts=first, frames=last - first)


def joined(first: Segments, second: Segments) -> Segments:
    """The segments of both, those of `second` numbered after those of `first`; both know the same classes."""
    columns = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("clips", "starts", "frames", "actions")
    }
    return Segments(**columns, problems=first.problems + second.problems)


def frame_actions(
    clip: ClipRecord, vocabulary: Vocabulary, start: int, frames: int, *, fps: float
) -> np.ndarray:
    """(frames, A) bool: the classes that hold in each frame from `start` on; labels may overlap."""
    hot = np.zeros((frames, len(vocabulary)), bool)
    for label in clip.labels:
        if label.text in vocabulary:
            first, last = int(max(label.start, 0) * fps) - start, int(label.end * fps) - start
            hot[max(first, 0) : max(last + 1, 0), vocabulary.index(label.text)] = True
    return hot


class SegmentReader(WindowReader):
    """Windows of segments: `clips` of the methods are numbers of segments.

    Args:
        pose: .npy file or array (total rows, D).
        clip_rows: (C,) rows of each clip in it.
        segments: of these clips.
        window: frames of the windows; `lengths` of shorter segments are as many, so that each has one window.
    """

    def __init__(
        self, pose: Path | np.ndarray, clip_rows: np.ndarray, segments: Segments, window: int
    ) -> None:
        super().__init__({"pose": pose}, clip_rows)
        self.segments, self.window = segments, window
        self.first = self.offsets[segments.clips] + segments.starts
        self.lengths = np.maximum(segments.frames, window)

    def read(self, clips: np.ndarray, starts: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """`pose` (B, length, D), `valid` (B, length) bool, and `window_ids` (B,), which no other window has."""
        clips, starts = np.asarray(clips), np.asarray(starts)
        place = starts[:, None] + np.arange(length)
        last = self.segments.frames[clips] - 1
        rows = self.first[clips][:, None] + np.minimum(place, last[:, None])
        ids = self.first[clips] + starts
        return {"pose": self._array("pose")[rows], "valid": place <= last[:, None], "window_ids": ids}


def _segments(
    stretches: list[tuple[int, int, int, np.ndarray]], actions: int, problems: Counter[str]
) -> Segments:
    columns = [np.array([item[place] for item in stretches], np.int64) for place in range(3)]
    hot = np.stack([item[3] for item in stretches]) if stretches else np.zeros((0, actions), bool)
    return Segments(columns[0], columns[1], columns[2], hot, problems)


def no_labels(store: Path, segments: Segments) -> InputError:
    """The error to raise where a store has no labels that the vocabulary knows."""
    reasons = "; ".join(f"{count} {reason}" for reason, count in segments.problems.items())
    return _no_labels(store, reasons or "no clip has a label")


def _no_labels(store: Path, reasons: str) -> InputError:
    return InputError(
        f"{store} has no labelled motion to learn actions from.",
        found=reasons,
        expected="clips with labels that the vocabulary knows",
        fix="choose data.vocabulary (a shipped one or a file), prepare.py data=amass options.babel=FOLDER, or data=demo",
    )
