"""From frames to people: a clip sent through an estimator; and images as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.background import BackgroundWatch
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.framing import frame_image
from contrapposto.systems.scail_pose.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.people import ClipPoses

# White of grey images by PIL's mode: integers have 8, 10, 12, 14, 16 or 32 bits; floating-point numbers reach 1, or 255.
_FULL_SCALES = {
    "I": (255.0, 1023.0, 4095.0, 16383.0, 65535.0, 2.0**31 - 1),
    "F": (1.0, 255.0, 65535.0),
}


def extract(
    frames: Iterable[tuple[float, np.ndarray]],
    estimator: PoseEstimator,
    height: int,
    width: int,
    fps: float,
    *,
    fit: str = "cover",
    background: BackgroundWatch | None = None,
    progress: Callable[[int], None] | None = None,
) -> ClipPoses:
    """The people of a clip; frames are read and dropped one by one.

    Args:
        frames: seconds and (H0, W0, 3) uint8 RGB.
        estimator: sees the frames in the size of the result.
        height, width: of the pose video in pixels.
        fps: of the frames, on average.
        fit: see `frame_image`.
        background: sees the frames as well, to tell how the camera moves.
        progress: called with the number of frames done.

    Raises:
        InputError: no frame at all.
    """
    times: list[float] = []

    def resized() -> Iterator[np.ndarray]:
        for time, image in frames:
            times.append(time)
            shown = frame_image(image, height, width, fit)
            if background is not None:
                background.see(shown)
            yield shown

    intrinsics = default_intrinsics(height, width)
    people: list[list[Person]] = []
    for here in estimator.people(_ahead(resized()), intrinsics):
        people.append(here)
        if progress is not None:
            progress(len(people))
    if not people:
        raise InputError("The video has no frames.")
    return ClipPoses(height, width, fps, intrinsics, people, np.array(times[: len(people)]))


def _ahead(items: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same items, the next one made in a thread meanwhile."""
    import torch

    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        # The estimator keeps the cores busy: with more threads, resizing costs twice as much and is no sooner done.
        threads = torch.get_num_threads()
        pool.submit(torch.set_num_threads, 1).result()
        torch.set_num_threads(threads)  # of this thread and of new ones; the pool's keeps its own
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item


def read_image(path: str | Path) -> np.ndarray:
    """An image file as (H, W, 3) uint8 RGB, turned as its EXIF mark states, transparency over white.

    Raises:
        InputError: no such file, or no image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            image = _eight_bits(ImageOps.exif_transpose(opened)).convert("RGBA")
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.") from None
    except Exception as error:  # PIL meets damage with SyntaxError, struct.error and others
        raise InputError(f"{path} is not an image that can be read.", found=str(error)) from error
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return np.array(Image.alpha_composite(white, image).convert("RGB"))


def _eight_bits(image: Any) -> Any:
    """A grey image of 16 or 32 bits, or of floating-point numbers, with 8 bits; others unchanged."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float64)
    top = float(np.nanmax(values, initial=0.0))
    full = next((limit for limit in _FULL_SCALES[image.mode[0]] if top <= limit), top)
    return Image.fromarray(np.nan_to_num(values / full * 255).clip(0, 255).round().astype(np.uint8))
