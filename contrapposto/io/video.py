"""Reading videos, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".gif")


@dataclass(frozen=True)
class VideoFile:
    """A video on disk, turned upright as its own marks say.

    Attributes:
        path: of the file.
        height, width: of the frames in pixels.
        fps: frames per second on average.
        seconds: how long it is; 0 where the file does not say.
    """

    path: Path
    height: int
    width: int
    fps: float
    seconds: float

    @classmethod
    def open(cls, path: str | Path) -> VideoFile:
        """Look into a file.

        Raises:
            InputError: no such file, no video, or one of which no frame can be read.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"There is no file {path}.")
        with _container(path) as container:
            stream = container.streams.video[0]
            first = next(_decoded(container), None)
            if first is None:
                raise InputError(
                    f"{path.name} has no frame that can be read.",
                    expected="a video that plays",
                    fix="the file may be cut off or damaged: save or download it again",
                )
            height, width = _upright(first).shape[:2]
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            length = stream.duration * stream.time_base if stream.duration and stream.time_base else 0
            return cls(path, height, width, rate, float(length))

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the first frame, and the frame (H, W, 3) uint8 RGB; ends early where the file is damaged.

        Times never go back, whatever the file says.
        """
        with _container(self.path) as container:
            start, last = None, 0.0
            for number, frame in enumerate(_decoded(container)):
                image = _upright(frame)
                if image.shape[:2] != (self.height, self.width):
                    break  # another video behind the first
                time = number / self.fps if frame.time is None else float(frame.time)
                start = time if start is None else start
                last = max(time - start, last)
                yield last, image


def at_rate(frames: Iterator[tuple[float, np.ndarray]], fps: float) -> Iterator[tuple[float, np.ndarray]]:
    """The frames shown at 0, 1/fps, 2/fps, ... seconds: some are left out; none is shown twice.

    Of frames closer together than 1/fps those nearest to the wanted times stay, so that a frame's time is at most
    half a period of the source away from it; a slower video passes as it is.
    """
    number, previous = 0, None
    for time, image in frames:
        if previous is not None and abs(previous[0] - number / fps) <= abs(time - number / fps):
            yield previous
            number = max(number + 1, int(np.floor(previous[0] * fps)) + 1)
        previous = time, image
    if previous is not None and previous[0] >= (number - 0.5) / fps:
        yield previous


def _container(path: Path) -> Any:
    import av

    try:
        container = av.open(str(path), metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(
            f"{path.name} is not a video that can be read.",
            found=str(error).splitlines()[0],
            expected="a whole file such as mp4, mov or webm",
        ) from error
    if not container.streams.video:
        container.close()
        raise InputError(f"{path.name} has no images in it.", expected="a video")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _decoded(container: Any) -> Iterator[Any]:
    """Frames until the end, or until the first place that cannot be read."""
    import av

    try:
        yield from container.decode(container.streams.video[0])
    except av.error.FFmpegError:
        return


def _upright(frame: Any) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
