"""Reading videos one frame at a time, past damaged places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.video_end import ends_early
from contrapposto.video_log import ReadLog

SUFFIXES = (
    ".mp4",
    ".mov",
    ".m4v",
    ".avi",
    ".mkv",
    ".webm",
    ".gif",
    ".flv",
    ".mpg",
    ".mpeg",
    ".ts",
    ".wmv",
    ".ogv",
)

_MAX_PIXEL_ASPECT = 8.0  # beyond it the mark is an error of the file, not the shape of its pixels
_MAX_RETRIES = 200  # errors of the container in a row before reading ends
_LONGEST_END = 0.25  # seconds between the last frame and the stated end
_MAX_RATE = 240.0  # frames/s; some files give the ticks of their clock as the rate


@dataclass(frozen=True)
class VideoFile:
    """A video on disk, shown as a player shows it: turned upright, with square pixels.

    Attributes:
        path: of the file.
        height, width: of the frames in pixels.
        fps: frames per second on average.
        seconds: duration; where the file does not state one, the time of its last packet.
        pixel_aspect: width of the stored pixels over their height.
    """

    path: Path
    height: int
    width: int
    fps: float
    seconds: float
    pixel_aspect: float = 1.0

    @classmethod
    def open(cls, path: str | Path) -> VideoFile:
        """Read the first frame and the duration of a file.

        Raises:
            InputError: no such file, no video, or no frame can be decoded.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"There is no file {path}.")
        with _container(path) as container:
            stream = container.streams.video[0]
            aspect = _pixel_aspect(stream)
            first = next(_decoded(container, ReadLog()), None)
            if first is None:
                raise InputError(
                    f"{path.name} has no frame that can be read.",
                    expected="a video that plays",
                    fix="the file may be cut off or damaged: save or download it again",
                )
            height, width = _upright(first, aspect).shape[:2]
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            seconds = _declared_seconds(container)
        if not seconds:
            seconds, rate = _scanned(path, rate)
        return cls(path, height, width, rate, seconds, aspect)

    def frames(self, log: ReadLog | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the first frame, and the frame (H, W, 3) uint8 RGB.

        Frames that cannot be decoded are left out. Frames of another size are rescaled to the first one's, with black
        beside them where their shape differs. Times never go back.

        Args:
            log: counts the faults; exact when the iterator has ended.
        """
        log = ReadLog() if log is None else log
        with _container(self.path) as container:
            base, start, last = container.streams.video[0].time_base, None, 0.0
            for number, frame in enumerate(_decoded(container, log)):
                image = _upright(frame, self.pixel_aspect)
                if image.shape[:2] != (self.height, self.width):
                    image = _fitted(image, self.height, self.width)
                    log.resized += 1
                # Not frame.time: the last frames out of the decoder lack their time base.
                time = number / self.fps if frame.pts is None else float(frame.pts * base)
                start = time if start is None else start
                last = max(time - start, last)
                log.times.append(last)
                log.damaged += frame.is_corrupt
                yield last, image
            log.missing = max(log.missing, self._cut_off(last, log.frames))
            log.cut = ends_early(self.path)

    def _cut_off(self, last: float, frames: int) -> int:
        """Frames between the last one that was read and the end that the file states; 0 where it may be held so long."""
        expected = round(self.seconds * self.fps)
        early = self.seconds - last - 1 / self.fps > _LONGEST_END
        return max(expected - frames, 0) if early else 0


def at_rate(frames: Iterator[tuple[float, np.ndarray]], fps: float) -> Iterator[tuple[float, np.ndarray]]:
    """The frames shown at 0, 1/fps, 2/fps, ... seconds: some are left out; none is shown twice.

    Of frames closer together than 1/fps those nearest to the wanted times stay, so that a frame's time is at most
    half a period of the source away from it; a slower video passes unchanged.
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
        raise InputError(f"{path.name} has no video stream.", expected="a video")
    if container.streams.video[0].codec_context is None:
        container.close()
        raise InputError(
            f"{path.name} is coded in a way that cannot be decoded here.",
            expected="H.264 or another common codec",
            fix="the file may be damaged, or convert it: ffmpeg -i FILE out.mp4",
        )
    container.streams.video[0].thread_type = "AUTO"
    return container


@dataclass
class _Packets:
    """Packets of a stream, read on after an error of the container."""

    container: Any
    stream: Any
    total: int = 0  # all, with those that an edit list discards
    shown: int = 0  # packets of frames to show
    errors: int = 0

    def __iter__(self) -> Iterator[Any]:
        import av

        failed = 0
        while failed <= _MAX_RETRIES:
            try:
                for packet in self.container.demux(self.stream):
                    if packet.size:  # an empty packet marks the end; the decoder is flushed below
                        failed = 0
                        self.total += 1
                        self.shown += not packet.is_discard
                        yield packet
                return
            except av.error.FFmpegError:
                failed += 1
                self.errors += 1


def _decoded(container: Any, log: ReadLog) -> Iterator[Any]:
    """Frames, past packets that cannot be decoded; counts into `log`."""
    import av

    stream = container.streams.video[0]
    packets = _Packets(container, stream)
    for packet in packets:
        try:
            frames = stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            frames = []
            log.missing += 1  # an estimate until the end is reached
        for frame in frames:
            log.frames += 1
            yield frame
    try:
        for frame in stream.codec_context.decode(None):
            log.frames += 1
            yield frame
    except av.error.FFmpegError:
        pass
    cut_off = max(int(stream.frames or 0) - packets.total, 0)
    log.missing = max(packets.shown - log.frames, 0) + cut_off


def _declared_seconds(container: Any) -> float:
    """Duration of the video stream, else of the container; 0 where neither states one."""
    stream = container.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return max(float(container.duration or 0) / 1e6, 0.0)  # microseconds


def _scanned(path: Path, rate: float) -> tuple[float, float]:
    """Duration in seconds and frames per second by the times of the packets, which need not be decoded."""
    times = []
    with _container(path) as container:
        stream = container.streams.video[0]
        for packet in _Packets(container, stream):
            if packet.pts is not None:
                times.append(float(packet.pts * packet.time_base))
    if len(times) < 2 or max(times) <= min(times):
        return (len(times) or 1) / rate, rate
    length = max(times) - min(times)
    measured = (len(times) - 1) / length
    rate = rate if rate <= _MAX_RATE else measured
    return length + 1 / measured, rate


def _pixel_aspect(stream: Any) -> float:
    aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    return aspect if 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT else 1.0


def _upright(frame: Any, pixel_aspect: float) -> np.ndarray:
    """A frame (H, W, 3) uint8 RGB with square pixels, turned as its marks say."""
    import cv2

    image = frame.to_ndarray(format="rgb24")
    width = max(round(image.shape[1] * pixel_aspect), 1)
    if width != image.shape[1]:
        image = cv2.resize(image, (width, image.shape[0]), interpolation=_interpolation(pixel_aspect))
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image (H0, W0, 3) in the middle of (height, width, 3), as large as fits, black beside it."""
    import cv2

    scale = min(height / image.shape[0], width / image.shape[1])
    inner = max(round(image.shape[0] * scale), 1), max(round(image.shape[1] * scale), 1)
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    resized = cv2.resize(image, inner[::-1], interpolation=_interpolation(scale))
    result[top : top + inner[0], left : left + inner[1]] = resized
    return result


def _interpolation(scale: float) -> int:
    import cv2

    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
