"""Writing images and videos: whole or not at all."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path, existing_parent
from contrapposto.render.camera import check_size
from contrapposto.threads import ENCODER

MAX_SIDE = 4096
"""Longest side of an H.264 image that browsers and hardware decoders still play."""


class VideoWriter:
    """An H.264 file (yuv420p, index first) that every browser plays; a context manager.

    Frames are (H, W, 3) uint8 sRGB. Sides that are odd get one more row or column, a copy of the last. The file appears
    under its name when the block ends without an exception; after an exception nothing is left.

    Args:
        path: ends in .mp4.
        fps: frames per second.
        size: width and height of the frames.
        quality: 0 (small file) to 10 (hardly any loss).
        progress: called with the number of frames written after each frame.
        credit: licence and attribution, for the file's copyright entry.

    Raises:
        InputError: settings that cannot be used, a frame of another shape, no frames at all, a folder that cannot be
            written to, a full disk, or an encoder that died (with its own words).
        MissingError: no ffmpeg program.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        quality: float = 8,
        progress: Callable[[int], None] | None = None,
        credit: str = "",
    ) -> None:
        self.path, self.fps, self.size, self.quality = Path(path), float(fps), size, quality
        self.credit = " ".join(credit.split())
        self.num_frames = 0
        self._progress = progress
        check_size(*size)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"A video must be an mp4 file: {self.path}", fix="end the name in .mp4")
        if not 0 < self.fps <= 240 or not 0 <= quality <= 10:
            raise InputError(
                "A video cannot be written with these settings.",
                found=f"{fps} frames/s, quality {quality}",
                expected="up to 240 frames/s, quality 0 to 10",
            )
        if max(size) > MAX_SIDE:
            raise InputError(
                f"A video of {size[0]} x {size[1]} is too large.",
                expected=f"sides of at most {MAX_SIDE} pixels",
            )

    def __enter__(self) -> VideoWriter:
        self._stack = contextlib.ExitStack()
        try:
            target = self._stack.enter_context(atomic_path(self.path))
            self._log: IO[bytes] = self._stack.enter_context(tempfile.TemporaryFile())
            self._process = self._start(target)
        except BaseException as error:
            if not self._stack.__exit__(type(error), error, error.__traceback__):
                raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Add a frame (H, W, 3) uint8."""
        width, height = self.size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise InputError(
                f"Frame {self.num_frames} of {self.path.name} does not fit the video.",
                found=f"{frame.shape} {frame.dtype}",
                expected=f"({height}, {width}, 3) uint8",
            )
        if width % 2 or height % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:  # the pipe broke: the encoder is gone
            raise self._failure() from error
        self.num_frames += 1
        if self._progress is not None:
            self._progress(self.num_frames)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except BaseException as failure:
            self._stop()
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        if error is not None:
            self._stop()
        self._stack.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self.num_frames == 0:
            raise InputError(f"A video without frames was not written: {self.path}")
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # the exit status tells
            self._process.stdin.close()
        if self._process.wait() != 0:
            raise self._failure()

    def _stop(self) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _failure(self) -> InputError:
        """What to tell when the encoder died: its last words, and the free space when that is the likely cause."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        self._log.seek(0)
        words = self._log.read().decode(errors="replace").strip().splitlines()
        last = " / ".join(words[-2:]) or f"exit status {self._process.returncode}"
        full = any("No space left" in line for line in words)
        return InputError(
            f"The disk is full: {self.path} was not written."
            if full
            else f"The video encoder stopped: {self.path} was not written.",
            found=last,
            fix=f"free some space at {existing_parent(self.path.parent)}; nothing half-written was left behind"
            if full
            else "check the folder and the free space; nothing half-written was left behind",
        )

    def _start(self, target: Path) -> subprocess.Popen[bytes]:
        from imageio_ffmpeg import get_ffmpeg_exe

        try:
            command = [get_ffmpeg_exe(), *self._options(target)]
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log
            )
        except (RuntimeError, FileNotFoundError) as error:
            raise MissingError(
                "There is no ffmpeg to write videos with.",
                found=str(error).splitlines()[0],
                fix="pip install --force-reinstall imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to an ffmpeg program",
            ) from error

    def _options(self, target: Path) -> list[str]:
        width, height = (side + side % 2 for side in self.size)
        crf = round(36 - 2 * self.quality, 1)
        # BT.709 is what browsers assume; without the tags an image's colours depend on the player
        tags = "colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
        colour = f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,setparams={tags}"
        return [
            *("-hide_banner", "-loglevel", "error", "-nostdin", "-y"),
            *(
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-s",
                f"{width}x{height}",
                "-r",
                f"{self.fps:.6g}",
                "-i",
                "pipe:0",
            ),
            *("-vf", colour, "-c:v", "libx264", "-preset", "superfast", "-bf", "0", "-crf", str(crf)),
            *("-threads", str(ENCODER), "-filter_threads", "1"),
            *(("-metadata", f"copyright={self.credit}") if self.credit else ()),
            *("-movflags", "+faststart", "-f", "mp4", str(target)),
        ]


def write_png(path: str | Path, image: np.ndarray) -> Path:
    """Write (H, W, 3) or (H, W) uint8 values as PNG, whole or not at all.

    Raises:
        InputError: another shape or type, a name that does not end in .png, or a place that cannot be written to.
    """
    from PIL import Image

    path = Path(path)
    image = np.asarray(image)
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (3,), (4,))
        or 0 in image.shape
    ):
        raise InputError(
            f"This is no image to write as {path.name}.",
            found=f"{image.shape} {image.dtype}",
            expected="(H, W), (H, W, 3) or (H, W, 4) uint8",
        )
    if path.suffix.lower() != ".png":
        raise InputError(f"An image must be a png file: {path}", fix="end the name in .png")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")
    return path
