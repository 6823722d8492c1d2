"""Frames of several videos under each other in one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from contrapposto.render.text import draw_text
from contrapposto.render.video import write_png
from contrapposto.video_file import VideoFile

_GAP, _HEAD = 3, 24  # pixels between frames, and for a title


def video_sheet(
    path: str | Path, videos: Mapping[str, Path], *, width: int = 1080, height: int = 200
) -> Path:
    """Write an image with a row of frames of every video, at the same times, until the shortest one ends.

    Args:
        path: ends in .png.
        videos: title to file, from above.
        width: of the image in pixels.
        height: of a row, about: there are as many frames as fit, from three to eight.

    Raises:
        InputError: a file that is no video.
    """
    opened = {title: VideoFile.open(file) for title, file in videos.items()}
    widest = max(video.width / video.height for video in opened.values())
    count = int(np.clip(width // (widest * height), 3, 8))
    end = min((video.seconds for video in opened.values() if video.seconds), default=0.0)
    times = np.linspace(0, max(end - 0.05, 0), count)
    cell = (width - _GAP * (count - 1)) // count
    rows = []
    for title, video in opened.items():
        scale = min(cell / video.width, 1.3 * height / video.height)
        size = max(round(video.width * scale), 1), max(round(video.height * scale), 1)
        row = np.full((size[1], width, 3), 255, np.uint8)
        for number, frame in enumerate(_at_times(video, times)):
            left = number * (cell + _GAP) + (cell - size[0]) // 2
            small = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
            row[:, left : left + size[0]] = np.asarray(small)
        head = np.full((_HEAD, width, 3), 255, np.uint8)
        draw_text(head, title, (0, 0), size=13)
        rows += [head, row]
    return write_png(path, np.concatenate(rows))


def _at_times(video: VideoFile, times: np.ndarray) -> list[np.ndarray]:
    """The frames (H, W, 3) shown at increasing times; the last one where the video ends before."""
    results: list[np.ndarray] = []
    last = None
    for time, frame in video.frames():
        while last is not None and len(results) < len(times) and times[len(results)] < time - 1e-6:
            results.append(last)
        if len(results) == len(times):
            return results
        last = frame
    assert last is not None
    return results + [last] * (len(times) - len(results))
