"""Windows to learn from, composed of a store's figures, clutter and backgrounds (`figure_images`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrapposto.checks import parsing
from contrapposto.systems.scail_pose.figure_net import MIRRORED, WINDOW, edge_color


class FigureViews:
    """Draws windows at random.

    Args:
        store: folder of `figure_images.prepare_figures`.
        figures: share of the figures that are used, from and to.

    Raises:
        InputError: there is no such store.
    """

    def __init__(self, store: str | Path, figures: tuple[float, float] = (0.0, 1.0)) -> None:
        with parsing(Path(store), "a store of figures", "python prepare.py data=scail_figures"):
            self.figures, self.objects, self.backgrounds = (
                np.load(Path(store) / f"{name}.npy", mmap_mode="r")
                for name in ("figures", "objects", "backgrounds")
            )
            self.points = np.load(Path(store) / "points.npy")
        count = len(self.figures)
        self.first, self.last = round(figures[0] * count), max(round(figures[1] * count), 1)

    def draw(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """A window: `image` (3, 128, 128) float32 in [0, 1]; `points` (15, 3) pixels and depth; `seen` (15,) 0 or 1;
        `present` 1, 0, or -1 where a part of a figure is in it."""
        low, high = _ends(rng)
        image = self._backdrop(rng)
        for _ in range(int(rng.choice([0, 0, 1, 3]))):
            self._lay(image, self.objects[rng.integers(len(self.objects))], self._placed(rng, 0.15, 0.9), rng)
        kind = rng.random()
        points, seen, present = np.zeros((15, 3), np.float32), np.zeros(15, np.float32), 0.0
        if kind < 0.7:
            index = rng.integers(self.first, self.last)
            points = self.points[index].copy()
            matrix = _about(points, rng)
            self._lay(image, self.figures[index], matrix, rng)
            scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
            points[:, :2] = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            points[:, 2] *= scale
            inside = ((points[:, :2] > low) & (points[:, :2] < high)).all(-1)
            seen = inside.astype(np.float32)
            parts = inside[:14].sum()
            present = (
                1.0 if inside[0] and inside[[2, 5]].all() and parts >= 5 else (0.0 if parts <= 1 else -1.0)
            )
        elif kind < 0.95:
            self._lay(image, self.objects[rng.integers(len(self.objects))], self._placed(rng, 0.4, 1.3), rng)
        if rng.random() < 0.12:  # in front
            self._lay(image, self.objects[rng.integers(len(self.objects))], self._placed(rng, 0.1, 0.5), rng)
        image = _ended(_developed(image, rng), low, high)
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            points[:, 0] = WINDOW - points[:, 0]
            points, seen = points[list(MIRRORED)], seen[list(MIRRORED)]
        return {
            "image": np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255,
            "points": points.astype(np.float32),
            "seen": seen.astype(np.float32),
            "present": np.asarray(present, np.float32),
        }

    def _placed(self, rng: np.random.Generator, least: float, most: float) -> np.ndarray:
        """Anywhere, with a size in shares of the window."""
        size = self.objects.shape[1]
        scale = rng.uniform(least, most) * WINDOW / size
        middle = np.array([size / 2, size / 2])
        return _matrix(scale, rng.normal(0, 8), middle, rng.uniform(0.1, 0.9, 2) * WINDOW, 1.0)

    def _backdrop(self, rng: np.random.Generator) -> np.ndarray:
        import cv2

        ground = self.backgrounds[rng.integers(len(self.backgrounds))]
        size = ground.shape[0]
        side = int(rng.integers(size // 3, size + 1))
        x, y = rng.integers(0, size - side + 1, 2)
        cut = np.ascontiguousarray(ground[y : y + side, x : x + side])
        image = cv2.resize(cut, (WINDOW, WINDOW), interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.5:
            grey = image.mean(2, keepdims=True)
            image = (grey + rng.uniform(0, 1) * (image - grey)).astype(np.uint8)
        return image.astype(np.float32)

    def _lay(
        self, image: np.ndarray, layer: np.ndarray, matrix: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Draw a layer over the image, in its own brightness and contrast."""
        import cv2

        layer = np.asarray(layer)
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        if scale < 0.6:
            layer = cv2.GaussianBlur(layer, (0, 0), 0.35 / scale)
        moved = cv2.warpAffine(layer, matrix, (WINDOW, WINDOW), flags=cv2.INTER_LINEAR).astype(np.float32)
        contrast, light = rng.uniform(0.6, 1.3), 128 + rng.normal(0, 15) + rng.normal(0, 8, 3)
        color = (moved[..., :3] - 128) * np.float32(contrast) + light.astype(np.float32)
        image += (color.clip(0, 255) - image) * (moved[..., 3:] * np.float32(1 / 255))


def _about(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where a figure lies in the window, (2, 3): whole, small, or cut off below."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    middle, tall = (low + high) / 2, max(float((high - low).max()), 20.0)
    kind = rng.random()
    aim = np.array([WINDOW / 2, WINDOW / 2])
    if kind < 0.6:
        share, loose = rng.uniform(0.5, 0.95), 0.12
    elif kind < 0.78:
        share, loose = rng.uniform(0.25, 0.5), 0.28
    elif kind < 0.94:  # the upper body
        share, loose = rng.uniform(0.9, 1.9), 0.12
        middle = middle * [1, 0] + [0, low[1] + 0.5 * tall * min(0.9 / share, 1.0)]
    else:  # anywhere, mostly a part
        share, loose = rng.uniform(0.8, 3.0), 0.8
    scale = share * WINDOW / tall
    aim = aim + rng.uniform(-loose, loose, 2) * WINDOW
    return _matrix(scale, rng.normal(0, 5), middle, aim, rng.uniform(0.92, 1.08))


def _matrix(scale: float, degrees: float, middle: np.ndarray, aim: np.ndarray, wide: float) -> np.ndarray:
    turn = np.radians(degrees)
    linear = (
        scale
        * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        @ np.diag([wide, 1 / wide])
    )
    return np.concatenate([linear, (aim - linear @ middle)[:, None]], axis=1)


def _ends(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Corners (2,) of what the window shows of the image that it is cut from: windows may reach beyond."""
    beyond = rng.uniform(0, 0.3, (2, 2)) * (rng.random((2, 2)) < 0.2)
    return np.round(beyond[0] * WINDOW), np.round((1 - beyond[1]) * WINDOW)


def _ended(image: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """One colour beyond corners (2,), as `figure_search` cuts windows."""
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    shown = image[top:bottom, left:right]
    result = np.empty_like(image)
    result[:] = edge_color(shown)
    result[top:bottom, left:right] = shown
    return result


def _developed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What cameras, painters and files do to an image."""
    import cv2

    image = (image - 128) * np.float32(rng.uniform(0.6, 1.3)) + np.float32(128 + rng.normal(0, 15))
    if rng.random() < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.3:
        image = image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 14))
    return np.asarray(image.clip(0, 255), np.float32)
