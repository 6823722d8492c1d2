"""What is to be done: one video with its reference, or every video of a folder (docs/specs/scail_pose.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.scail_pose import validate as check
from contrapposto.systems.scail_pose.framing import FITS, target_size
from contrapposto.video_file import SUFFIXES, VideoFile, at_rate
from contrapposto.video_log import ReadLog

FPS = 16.0
DRIVING = "driving.mp4"
REFERENCES = tuple(
    f"{stem}.{suffix}" for stem in ("ref_image", "ref") for suffix in ("jpg", "png", "jpeg", "webp")
)


@dataclass(frozen=True)
class VideoJob:
    """One video to process.

    Attributes:
        name: of the clip, and of its folder where there are several.
        video: file.
        reference: image of the character; None: not aligned.
        resolution: short and long side of the pose video in pixels, or `video` for the video's own size.
        fps: of the pose video; None keeps every frame, and plays them at 16 per second as the original does.
        fit, reference_fit: `cover` or `pad`, see `frame_image`.
        start: seconds to leave out. seconds: no more than this.
        upright: whose orientation the pose video takes: `video` or `reference`.

    Raises:
        ConfigError: an option that cannot be used.
    """

    name: str
    video: Path
    reference: Path | None = None
    resolution: Sequence[int] | str = (512, 896)
    fps: float | None = FPS
    fit: str = "cover"
    reference_fit: str = "cover"
    start: float = 0.0
    seconds: float | None = None
    upright: str = "video"

    def __post_init__(self) -> None:
        object.__setattr__(self, "video", Path(self.video))  # text is a path too
        if self.reference is not None:
            object.__setattr__(self, "reference", Path(self.reference))
        target_size(1, 2, self.resolution)
        if self.fps is not None:
            check.number("fps", self.fps, 1, 120)
        check.choice("fit", self.fit, FITS)
        check.choice("reference_fit", self.reference_fit, FITS)
        check.choice("upright", self.upright, ("video", "reference"))
        check.number("start", self.start, 0)
        if self.seconds is not None and check.number("seconds", self.seconds, 0) == 0:
            raise ConfigError("seconds=0 leaves nothing of the video.", expected="a positive number, or null")

    def check_start(self, file: VideoFile) -> None:
        """Refuse to start behind the end of the video.

        Raises:
            ConfigError: `start` is not before the end.
        """
        if self.start and self.start >= file.seconds:
            raise ConfigError(
                f"start={self.start:g} is behind the end of {file.path.name}.",
                found=f"{file.seconds:.2f} s",
                expected="fewer seconds",
            )

    def frames(self, file: VideoFile, log: ReadLog | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the beginning of the part, and the frame, at no more than `fps`."""
        part = _part(file.frames(log), self.start, self.seconds)
        return part if self.fps is None else at_rate(part, self.fps)

    def count(self, file: VideoFile) -> int:
        """Number of frames that `frames` yields, about."""
        length = max(file.seconds - self.start, 0.0)
        length = length if self.seconds is None else min(length, self.seconds)
        return max(round(length * min(file.fps, self.fps or file.fps)), 1)

    @property
    def out_fps(self) -> float:
        """Frames per second of the pose video."""
        return FPS if self.fps is None else float(self.fps)


def find_jobs(
    video: str | Path | Sequence[str | Path], reference: str | Path | None = None, **options: Any
) -> list[tuple[VideoJob, str]]:
    """Jobs, each with the name of its folder in the output: empty for a single clip.

    Args:
        video: a video; or a folder with `driving.mp4` and perhaps a reference (one of `REFERENCES`); or a folder of
            such folders, or of videos; or several of these.
        reference: image of the character for all; None: the one in the folder of each, if any.
        options: see `VideoJob`.

    Raises:
        InputError: no such file, or no video in a folder.
        ConfigError: an option that cannot be used.
    """
    if reference is not None and not Path(reference).is_file():
        raise InputError(f"There is no file {reference}.")
    paths = [video] if isinstance(video, (str, Path)) else list(video)
    jobs = [job for path in paths for job in _jobs(Path(path), reference, options)]
    names = [job.name for job in jobs]
    if len(jobs) == 1:
        return [(jobs[0], "")]
    return [
        (job, name if names.count(name) == 1 else f"{name}_{number}")
        for number, (job, name) in enumerate(zip(jobs, names))
    ]


def _jobs(path: Path, reference: str | Path | None, options: dict[str, Any]) -> list[VideoJob]:
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.")
    if path.is_file():
        return [VideoJob(path.stem, path, None if reference is None else Path(reference), **options)]
    if (path / DRIVING).is_file():
        own = next((path / name for name in REFERENCES if (path / name).is_file()), None)
        chosen = own if reference is None else Path(reference)
        return [VideoJob(path.resolve().name, path / DRIVING, chosen, **options)]
    entries = sorted(path.iterdir())
    inside = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    inside += [entry for entry in entries if (entry / DRIVING).is_file()]
    if not inside:
        raise InputError(
            f"There are no videos in {path}.",
            expected=f"{DRIVING} and a reference, folders with these, or files ending in {' '.join(SUFFIXES)}",
        )
    return [job for entry in inside for job in _jobs(entry, reference, options)]


def _part(
    frames: Iterator[tuple[float, np.ndarray]], start: float, seconds: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    for when, image in frames:
        if seconds is not None and when >= start + seconds:
            return
        if when >= start:
            yield when - start, image
