"""What a generated motion shows, one segment after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrapposto.errors import InputError


@dataclass(frozen=True)
class Segment:
    """A stretch of a motion.

    Args:
        actions: (A,) or (B, A) of 0 and 1; None for generators that take none.
        frames: its length.
    """

    actions: Tensor | None
    frames: int


@dataclass(frozen=True)
class Plan:
    """Which action holds when.

    Args:
        hot: (B, A) of every segment, or None.
        frames: length of every segment.
    """

    hot: tuple[Tensor | None, ...]
    frames: tuple[int, ...]

    @classmethod
    def of(cls, segments: Sequence[Segment], count: int, device: torch.device) -> Plan:
        """For `count` motions.

        Raises:
            InputError: no segments, one without frames, or actions for some segments only.
        """
        if not segments or any(segment.frames < 1 for segment in segments):
            raise InputError(
                f"Segments of {[segment.frames for segment in segments]} frames cannot be generated.",
                expected="at least one segment, each of one frame or more",
            )
        if len({segment.actions is None for segment in segments}) > 1:
            raise InputError("Some segments have an action and some have none.")
        hot = tuple(
            None if part.actions is None else part.actions.to(device).expand(count, part.actions.shape[-1])
            for part in segments
        )
        return cls(hot, tuple(segment.frames for segment in segments))

    @property
    def total(self) -> int:
        """Frames of all segments."""
        return sum(self.frames)

    def _segment(self, frame: int) -> tuple[int, int]:
        """Segment of a frame, and the first frame after it; frames before the first belong to the first."""
        end = 0
        for index, count in enumerate(self.frames):
            end += count
            if frame < end:
                return index, end
        return len(self.frames) - 1, end

    def left(self, frame: int) -> int:
        """Frames until the segment of that frame ends."""
        return self._segment(frame)[1] - frame

    def actions(self, start: int, stop: int, per_frame: bool) -> Tensor | None:
        """(B, A) of the window's last frame, or (B, stop - start, A)."""
        if self.hot[0] is None:
            return None
        if not per_frame:
            return self.hot[self._segment(stop - 1)[0]]
        rows = [self.hot[self._segment(frame)[0]] for frame in range(start, stop)]
        return torch.stack([row for row in rows if row is not None], dim=1)
