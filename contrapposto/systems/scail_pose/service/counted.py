"""Frames chosen by their number, as in the original service (docs/specs/scail_pose.md, section 10)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.video_file import VideoFile
from contrapposto.video_log import ReadLog

LEAST, MIDDLE, MOST = 65, 81, 96


def chosen_frames(count: int) -> np.ndarray:
    """Indices of the 65 or 81 frames out of `count` that the video model is given.

    Raises:
        InputError: fewer than 65 frames.
    """
    if count < LEAST:
        raise InputError(
            "The video has too few frames for this choice.",
            found=f"{count}",
            expected=f"at least {LEAST}",
            fix='ask for frames: "time", which takes any number',
        )
    if MIDDLE <= count < MOST:
        return np.arange(MIDDLE)
    return np.linspace(0, count - 1, LEAST if count < MIDDLE else MIDDLE).astype(int)


class CountedJob(VideoJob):
    """A clip of which `chosen_frames` are drawn, played at 16 frames per second; `fps` must be None."""

    def frames(self, file: VideoFile, log: ReadLog | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds and image of the frames that are chosen."""
        wanted = set(chosen_frames(sum(1 for _ in super().frames(file))).tolist())
        for number, frame in enumerate(super().frames(file, log)):
            if number in wanted:
                yield frame
