"""What went wrong while a video was read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

_STEADY = 0.8  # share of the frames that come at equal times, from which a gap between others is a fault
_LEAST_FRAMES = 12  # fewer do not show whether they come at equal times


@dataclass
class ReadLog:
    """Faults of a video; complete when its last frame has been read.

    Attributes:
        frames: that were read.
        missing: frames that could not be decoded or are cut off, as far as the file states how many it has.
        damaged: frames that were decoded in part.
        cut: whether the file stops in the middle, where it does not state how many frames it has.
        resized: frames of another size than the first one, brought to that size.
        times: seconds of the frames that were read.
    """

    frames: int = 0
    missing: int = 0
    damaged: int = 0
    resized: int = 0
    cut: bool = False
    times: list[float] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of fault."""
        words = []
        lost, (longest, where) = find_gaps(self.times)
        if self.missing:
            missing = max(self.missing, lost)
            words.append(
                f"{missing} of {self.frames + missing} frames of the video could not be read: "
                "the file is damaged or cut off"
            )
        elif lost:
            words.append(
                f"{lost} of {self.frames + lost} frames seem to be missing between others (the longest gap has "
                f"{longest:.2f} s, at {where:.2f} s): the file is damaged, or its frame rate varies"
            )
        if self.cut and not self.missing:
            words.append("the file stops in the middle: it is cut off, and how much is lost is not known")
        if self.damaged:
            words.append(
                f"{self.damaged} of {self.frames} frames could be decoded only in part: the file is damaged"
            )
        if self.resized:
            words.append(
                f"{self.resized} of {self.frames} frames have another size than the first and were rescaled"
            )
        return words


def find_gaps(times: list[float]) -> tuple[int, tuple[float, float]]:
    """Frames that are missing between others, by their times; none if most of the frames come at uneven times.

    Args:
        times: of the frames in seconds, ascending.

    Returns:
        Number of frames; seconds of the longest gap, and where it begins.
    """
    nothing = 0, (0.0, 0.0)
    if len(times) < _LEAST_FRAMES:
        return nothing
    steps = np.diff(times)
    usual = float(np.median(steps))
    if usual <= 0 or np.mean(np.abs(steps - usual) <= 0.25 * usual) < _STEADY:
        return nothing
    gaps = np.flatnonzero(steps > 1.5 * usual)
    if not len(gaps):
        return nothing
    longest = int(gaps[steps[gaps].argmax()])
    lost = int((steps[gaps] / usual).round().sum()) - len(gaps)
    lost -= int((steps < 0.5 * usual).sum())  # frames of a damaged part whose times are wrong
    return max(lost, 0), (float(steps[longest]), times[longest])
