"""Frames of a video as images in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.anerf.data.masks import SUFFIXES, read_image
from contrapposto.video_file import VideoFile
from contrapposto.video_log import ReadLog

FPS = 25.0
"""Images do not say how many of them a second has."""


@dataclass(frozen=True)
class FrameFolder(VideoFile):
    """A video whose frames are images.

    Attributes:
        files: in the order of the last number in their names.
    """

    files: tuple[Path, ...] = ()

    @classmethod
    def open(cls, path: str | Path) -> FrameFolder:
        """Read the first image of a folder.

        Raises:
            MissingError: no images. InputError: a name has no number, or the first image cannot be read.
        """
        images = [file for file in Path(path).iterdir() if file.suffix.lower() in SUFFIXES]
        if not images:
            raise MissingError(
                f"There are no images in {path}.",
                expected="frames such as 000017.png, or cameras.json and the videos of several cameras",
            )
        numbers = {file: re.findall(r"\d+", file.stem) for file in images}
        bad = sorted(file.name for file, digits in numbers.items() if not digits)
        if bad:
            raise InputError(f"The name of the frame {bad[0]} has no number.", expected="such as 000017.png")
        files = sorted(images, key=lambda file: (int(numbers[file][-1]), file.name))
        height, width = read_image(files[0]).shape[:2]
        return cls(Path(path), height, width, FPS, len(files) / FPS, files=tuple(files))

    def frames(self, log: ReadLog | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Seconds since the first frame, and the frame (H, W, 3) uint8 RGB.

        Raises:
            InputError: an image cannot be read, or is of another size than the first.
        """
        for number, file in enumerate(self.files):
            image = read_image(file)
            if image.shape[:2] != (self.height, self.width):
                raise InputError(
                    f"The frame {file.name} has another size than the first.",
                    found=f"{image.shape[1]} x {image.shape[0]}",
                    expected=f"{self.width} x {self.height}",
                )
            if log is not None:
                log.times.append(number / self.fps)
            yield number / self.fps, image


def open_frames(path: str | Path) -> VideoFile:
    """A video file, or a folder of frames."""
    return FrameFolder.open(path) if Path(path).is_dir() else VideoFile.open(path)


def files_of(video: VideoFile) -> tuple[Path, ...]:
    """The files that a video is read from."""
    return video.files if isinstance(video, FrameFolder) else (video.path,)
