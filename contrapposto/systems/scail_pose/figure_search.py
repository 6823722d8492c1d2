"""One stylised figure in a reference image, where the estimator sees nobody (`figure_net`).

Windows of several sizes are looked at; about the best ones the network looks again, closer, and in a mirror. A figure
counts where the looks agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT
from contrapposto.systems.scail_pose.figure_net import (
    MIRRORED,
    SHIPPED,
    WINDOW,
    FigureNet,
    edge_color,
    read_points,
)
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, NUM_KEYPOINTS, Person

_SIZES = (1.25, 0.9, 0.65, 0.45)  # sides of the windows over the longer side of the image
_STEP = 0.3  # between windows, sides
_STARTS = 4  # best windows that are looked at again
_ROUNDS = 2
_ROOM = (1.35, 1.6)  # sides of close-ups over the longer side of the figure's box
_PRESENT = 0.95  # least mean probability of a figure in the close-ups; clutter has up to 0.94
_CLEAR = 0.62  # least mean score of the points; clutter has up to 0.59, animals with a head and four legs a little more
_LEAST_CUT = 6  # points
_CUT = 0.1  # of a figure's box: nearer than that to the image's lower edge, its legs may be below
_SCORE = 0.35  # of a point: least score of one that counts
_AGREE = 0.08  # of the figure's box: largest mean distance between looks
_AROUND = 0.06  # of the points' box with its room: how far heads, hands and clothes reach beyond it
_HEIGHT = 1700.0  # millimetres: figures are taken to be as high as adults


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure in an image.

    Attributes:
        points: (15, 2) pixels of the image, see `figure_net`.
        depth: (15,) pixels behind the hips.
        scores: (15,) in [0, 1].
        present: mean probability of a figure in the close-ups.
        apart: mean distance between the looks, shares of the box.
        box: (4,) xyxy of the figure, pixels: of its points, with room for what surrounds them.
        clear: mean score of the points that should be seen, see `_clear`.
    """

    points: np.ndarray
    depth: np.ndarray
    scores: np.ndarray
    present: float
    apart: float
    box: np.ndarray
    clear: float

    @property
    def sure(self) -> bool:
        """Whether the looks agree on a figure."""
        trunk = (self.scores[[0, 2, 5]] > _SCORE).all()
        return bool(trunk and self.present > _PRESENT and self.clear > _CLEAR and self.apart < _AGREE)


class FigureFinder:
    """Finds one stylised figure.

    Args:
        weights: file of the network.

    Raises:
        MissingError, InputError: see `FigureNet.from_pretrained`.
    """

    def __init__(self, weights: str | Path = SHIPPED) -> None:
        self.network = FigureNet.from_pretrained(weights)

    def find(self, image: np.ndarray) -> Figure | None:
        """The figure of an image (H, W, 3) uint8 RGB that the looks agree on best; None where there is none."""
        best = self.best(image)
        return best if best is not None and best.sure else None

    def best(self, image: np.ndarray) -> Figure | None:
        """The likeliest figure, sure or not; None where no window shows enough points."""
        pyramid = _pyramid(image)
        windows = _windows(*image.shape[:2])
        _, _, scores, present = self._look(pyramid, windows)
        lowest = windows[:, 1] + windows[:, 2] >= image.shape[0]
        rank = np.argsort(-present * [_clear(*one) for one in zip(scores, lowest)])
        figures: list[Figure] = []
        for start in rank[:_STARTS]:
            figure = self._closer(pyramid, windows[start])
            if figure is not None:
                figures.append(figure)
        return max(figures, key=lambda f: f.present * f.clear - f.apart, default=None)

    def _closer(self, pyramid: list[np.ndarray], window: np.ndarray) -> Figure | None:
        """Follow the figure of a window: from its points to a box, and look at that."""
        squares = window[None]
        for _ in range(_ROUNDS):
            points, _, scores, _ = self._look(pyramid, squares)
            box = _box(points.mean(0), scores.mean(0))
            if box is None:
                return None
            squares = np.stack([_square(box, room) for room in _ROOM])
        points, depth, scores, present = self._look(pyramid, np.concatenate([squares, squares]), mirrored=2)
        middle, weight = points.mean(0), scores.mean(0)
        box = _box(middle, weight)
        if box is None:
            return None
        known = weight > _SCORE
        away = np.linalg.norm(points - middle, axis=-1)[:, known].mean() if known.any() else np.inf
        size = float((box[2:] - box[:2]).max())
        clear = _clear(weight, bool(box[3] > pyramid[0].shape[0] - _CUT * size))
        box += _AROUND * size * np.array([-1, -1, 1, 1])
        return Figure(middle, depth.mean(0), weight, float(present.mean()), float(away) / size, box, clear)

    @torch.inference_mode()
    def _look(
        self, pyramid: list[np.ndarray], squares: np.ndarray, mirrored: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Points (n, 15, 2) and depths (n, 15) in pixels of the image, scores, presence, of squares (n, 3): corner, side.

        The last `mirrored` squares are looked at in a mirror.
        """
        beyond = edge_color(pyramid[-1])
        cuts = np.stack([_cut(pyramid, square, beyond) for square in squares])
        plain = len(cuts) - mirrored
        cuts[plain:] = cuts[plain:, :, ::-1]
        images = torch.from_numpy(np.ascontiguousarray(cuts.transpose(0, 3, 1, 2))).float() / 255
        results = [read_points(self.network(part)) for part in images.split(16)]
        points, depth, scores, present = (torch.cat(values).numpy() for values in zip(*results))
        if mirrored:
            points[plain:, :, 0] = WINDOW - points[plain:, :, 0]
            for values in (points, depth, scores):
                values[plain:] = values[plain:, list(MIRRORED)]
        scale = squares[:, 2] / WINDOW
        return points * scale[:, None, None] + squares[:, None, :2], depth * scale[:, None], scores, present


def as_person(figure: Figure, scale: np.ndarray, shift: np.ndarray, intrinsics: np.ndarray) -> Person:
    """The figure as a person of an output that shows the image at `scale` and `shift`, (2,) each.

    Joints in space are those of a figure as high as an adult, by the network's depths.
    """
    keypoints, scores = np.zeros((NUM_KEYPOINTS, 2)), np.zeros(NUM_KEYPOINTS)
    keypoints[:14] = figure.points[:14] * scale + shift
    scores[:14] = np.where(figure.scores[:14] > _SCORE, figure.scores[:14].clip(0.5, 1), 0)
    box = figure.box * np.tile(scale, 2) + np.tile(shift, 2)
    focal = float(np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]))
    tall = max(float(box[3] - box[1]), 1.0)
    distance = focal * _HEIGHT / tall
    depth = distance + figure.depth[:14] * float(np.sqrt(scale.prod())) * _HEIGHT / tall
    rays = (keypoints[:14] - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    points = np.concatenate([rays, np.ones((14, 1))], axis=1) * depth[:, None]
    points[scores[:14] == 0] = np.nan
    joints = np.full((NUM_JOINTS, 3), np.nan)
    joints[list(SMPL_OF_SLOT)] = points
    joints[0] = joints[[1, 2]].mean(axis=0)
    for joint, share in {3: 0.25, 6: 0.5, 9: 0.75}.items():
        joints[joint] = (1 - share) * joints[0] + share * joints[12]
    joints[[13, 14]] = 0.5 * (joints[12] + joints[[16, 17]])
    return Person(
        0,
        box.astype(np.float32),
        figure.present,
        keypoints.astype(np.float32),
        scores.astype(np.float32),
        joints.astype(np.float32),
    )


def _clear(scores: np.ndarray, cut: bool) -> float:
    """Mean score of the points (15,) that should be seen: all of the body, or where the image ends at the figure (`cut`)
    those that are in view, if these are enough for a head and arms."""
    body = scores[:14]
    known = body[body > _SCORE]
    return float(known.mean() if cut and len(known) >= _LEAST_CUT else body.mean())


def _windows(height: int, width: int) -> np.ndarray:
    """(n, 3) corners and sides of squares over an image."""
    squares = []
    for size in _SIZES:
        side = size * max(height, width)
        ranges = []
        for length in (width, height):
            room = length - side
            count = 1 if room <= 0 else 1 + int(np.ceil(room / (_STEP * side)))
            ranges.append([room / 2] if count == 1 else np.linspace(0, room, count))
        squares += [[x, y, side] for y in ranges[1] for x in ranges[0]]
    return np.array(squares)


def _square(box: np.ndarray, room: float) -> np.ndarray:
    side = room * max(float((box[2:] - box[:2]).max()), 4.0)
    return np.array([*((box[:2] + box[2:]) / 2 - side / 2), side])


def _box(points: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
    """About the points that are in view, with some room for hands and feet; None with fewer than four."""
    known = points[scores > _SCORE]
    if len(known) < 4:
        return None
    low, high = known.min(0), known.max(0)
    room = 0.04 * float((high - low).max())
    return np.concatenate([low - room, high + room])


def _pyramid(image: np.ndarray) -> list[np.ndarray]:
    """The image, half of it, a quarter, ..."""
    import cv2

    levels = [np.ascontiguousarray(image)]
    while min(levels[-1].shape[:2]) > 64:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return levels


def _cut(pyramid: list[np.ndarray], square: np.ndarray, beyond: list[float]) -> np.ndarray:
    """A square (3,): corner and side, as an image (128, 128, 3), with one colour beyond the image."""
    import cv2

    height, width = pyramid[0].shape[:2]
    scale = WINDOW / float(square[2])
    level = int(np.clip(np.floor(-np.log2(scale)), 0, len(pyramid) - 1))
    source = pyramid[level]
    step = scale * np.array([width / source.shape[1], height / source.shape[0]])
    offset = -square[:2] * scale + 0.5 * step - 0.5
    matrix = np.array([[step[0], 0, offset[0]], [0, step[1], offset[1]]])
    return np.asarray(
        cv2.warpAffine(
            source,
            matrix,
            (WINDOW, WINDOW),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=beyond,
        )
    )
