"""LiteRT networks from files, and the rotated squares of an image that they look at."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.files import ASSETS

FOLDER = ASSETS / "blazepose"


class Network:
    """A LiteRT graph with one image as its input.

    Args:
        name: of the file.
        threads: for one run.
        folder: where the file lies; the shipped one otherwise.

    Raises:
        MissingError: no such file, or no LiteRT.
        InputError: a file that LiteRT cannot read.
    """

    def __init__(self, name: str, *, threads: int = 1, folder: Path = FOLDER) -> None:
        path = folder / name
        if not path.is_file():
            raise MissingError(
                f"{path} is not there.",
                expected="a network of the embedded estimator (Apache-2.0, part of the package)",
                fix="install the package again, or python contrapposto/assets/blazepose/build.py",
            )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingError(
                "The embedded estimator needs LiteRT.", found=str(error), fix="pip install ai-edge-litert"
            ) from error
        try:
            with _without_greeting():
                self._graph = Interpreter(str(path), num_threads=threads)
                self._graph.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} is no LiteRT network.", found=str(error).splitlines()[0]) from error
        entry = self._graph.get_input_details()[0]
        self._input, self._outputs = entry["index"], [d["index"] for d in self._graph.get_output_details()]
        self.size = int(entry["shape"][1])

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Outputs, in the file's order, each without its batch axis, for an image (size, size, 3) float32."""
        self._graph.set_tensor(self._input, image[None])
        self._graph.invoke()
        return [self._graph.get_tensor(index)[0] for index in self._outputs]


@contextmanager
def _without_greeting() -> Iterator[None]:
    """LiteRT greets on the process's error stream, past Python; whatever else is written there is passed on."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            for line in captured:
                if not line.startswith(b"INFO: Created TensorFlow Lite"):
                    os.write(2, line)


@dataclass(frozen=True)
class Region:
    """A square in an image, turned about its centre.

    Attributes:
        center: (2,) pixels.
        side: pixels.
        angle: radians, from the image's axes towards +y.
    """

    center: np.ndarray
    side: float
    angle: float = 0.0

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) in units of the side, (0, 0) the top left corner, to pixels."""
        return (points - 0.5) * self.side @ _turn(self.angle).T + self.center

    def moved(self, right: float, down: float, scale: float) -> Region:
        """Shifted by shares of the side along the square's own axes, then enlarged."""
        center = self.center + _turn(self.angle) @ np.array([right, down]) * self.side
        return replace(self, center=center, side=self.side * scale)

    def turned(self, points: np.ndarray) -> np.ndarray:
        """Vectors (..., 3) whose x and y follow the square's axes, along the image's."""
        return np.concatenate([points[..., :2] @ _turn(self.angle).T, points[..., 2:]], axis=-1)


def upright(center: np.ndarray, above: np.ndarray, side: float) -> Region:
    """The square at `center` in which the point `above` lies straight above it."""
    right, down = above - center
    angle = math.pi / 2 - math.atan2(-down, right)
    return Region(center, side, math.remainder(angle, 2 * math.pi))


def whole(image: np.ndarray) -> Region:
    """The square about all of an image."""
    height, width = image.shape[:2]
    return Region(np.array([width / 2, height / 2]), max(height, width))


def crop(image: np.ndarray, region: Region, size: int, *, corners: bool = False) -> np.ndarray:
    """What a region of an image (H, W, 3) uint8 shows: (size, size, 3) float32 in 0..255, black outside.

    Bilinear. With `corners` the square's corner lies at the middle of the first pixel instead of at its corner:
    MediaPipe resizes for its detectors and warps for its landmarks, and the networks notice half a pixel.
    """
    import cv2

    step = _turn(region.angle) * (region.side / size)
    corner = region.center - step @ np.full(2, size / 2)
    if not corners:
        corner += step @ np.full(2, 0.5) - 0.5
    transform = np.concatenate([step, corner[:, None]], axis=1)
    seen = cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return seen.astype(np.float32)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) of logits cut to [-100, 100]."""
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))


def _turn(angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
