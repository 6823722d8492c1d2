"""Who is who from frame to frame: motion, keypoints and the colours of clothes decide together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import linear_sum_assignment

_POINTS = 14  # of the 134: the body without its face
_LEAST_SCORE = 0.3
_LEAP = 0.1  # distance from where somebody is expected in the next frame, in sizes, that nobody walks
_MOTION_LASTS = 24  # frames for which the motion of the last ones is a good guess
_UNLIKE = 0.55  # distance of colours beyond which two people wear different clothes
# Parts whose colours are compared: points on and beside lines between keypoints.
_PARTS = (
    ((2, 8), (5, 11), (2, 11), (5, 8)),  # trunk
    ((2, 3), (5, 6)),  # upper arms
    ((8, 9), (11, 12)),  # thighs
    ((9, 10), (12, 13)),  # shins
)
_WEIGHTS = np.array([3.0, 1.0, 2.0, 1.0])  # of these: large ones are seen surely
_STEPS = np.linspace(0.1, 0.9, 24)
_BESIDE = 0.06  # of the trunk's length
# A colour is a cell of CIELAB as OpenCV gives it (0 to 255): 4 of lightness, 8 x 8 of hue about grey.
_SHADES, _TONES = 4, 8


@dataclass(frozen=True)
class Sighting:
    """What is compared of a person in a frame.

    Attributes:
        points: (14, 2) keypoints of the body, pixels.
        scores: (14,).
        colors: (4, 256) shares of the colours of the trunk, arms, thighs and shins; NaN where they are not seen.
    """

    points: np.ndarray
    scores: np.ndarray
    colors: np.ndarray

    @property
    def size(self) -> float:
        """Diagonal of the box about the visible points, pixels."""
        seen = self.points[self.scores > _LEAST_SCORE]
        return max(float(np.linalg.norm(np.ptp(seen, axis=0))), 1.0) if len(seen) > 1 else 1.0


def sight(image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> Sighting:
    """Keypoints (134, 2) and scores (134,) of a person in an image (H, W, 3) uint8."""
    points, scores = keypoints[:_POINTS].astype(np.float64), scores[:_POINTS]
    colors = np.full((len(_PARTS), _SHADES * _TONES**2), np.nan)
    beside = _BESIDE * np.linalg.norm(points[[2, 5]].mean(axis=0) - points[[8, 11]].mean(axis=0))
    for row, lines in enumerate(_PARTS):
        seen = [line for line in lines if scores[list(line)].min() > _LEAST_SCORE]
        if seen:
            colors[row] = _histogram(image, points[np.array(seen)], float(beside))
    return Sighting(points, scores, colors)


def _histogram(image: np.ndarray, ends: np.ndarray, beside: float) -> np.ndarray | float:
    """(256,) shares of the colours about lines (n, 2 ends, 2), or NaN where they are out of the image."""
    import cv2

    along = ends[:, 1] - ends[:, 0]
    across = along[:, ::-1] * [-1, 1] / np.maximum(np.linalg.norm(along, axis=1), 1)[:, None] * beside
    places = ends[:, None, None, 0] + _STEPS[:, None, None] * along[:, None, None]
    places = places + np.array([-1.0, 0.0, 1.0])[:, None] * across[:, None, None]
    pixels = places.reshape(-1, 2).astype(int)
    pixels = pixels[((pixels >= 0) & (pixels < image.shape[1::-1])).all(axis=1)]
    if not len(pixels):
        return float("nan")
    lab = cv2.cvtColor(image[pixels[:, 1], pixels[:, 0]][:, None], cv2.COLOR_RGB2LAB)[:, 0].astype(int)
    shade, tone = lab[:, 0] * _SHADES // 256, ((lab[:, 1:] - 64) * _TONES // 128).clip(0, _TONES - 1)
    cells = np.ravel_multi_index((shade, tone[:, 0], tone[:, 1]), (_SHADES, _TONES, _TONES))
    # Neighbouring colours count as alike: light changes, and a colour may lie at the edge of a cell.
    spread = _alike() @ np.bincount(cells, minlength=_SHADES * _TONES**2)
    return np.asarray(spread / spread.sum())


@cache
def _alike() -> np.ndarray:
    """(256, 256) how much each cell of colours counts for each other."""
    return np.kron(_near(_SHADES), np.kron(_near(_TONES), _near(_TONES)))


def _near(count: int) -> np.ndarray:
    """(count, count) weights of neighbouring cells."""
    away = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    weights = np.exp(-(away**2) / (2 * 0.6**2))
    return np.asarray(weights / weights.sum(axis=0))


@dataclass
class _Known:
    """A person met before."""

    sighting: Sighting
    velocity: np.ndarray
    frame: int
    colors: np.ndarray
    meetings: int = 1


class Tracker:
    """Gives each person the same number in all frames.

    A person is expected where the last frames' motion leads; who was away may come back anywhere, if the clothes fit.

    Args:
        patience: frames for which someone who is not seen is remembered.
        reach: how far, in sizes of the person, somebody may be from where they are expected.
        clothes: weight of the colours against the distance.
    """

    def __init__(self, *, patience: int = 160, reach: float = 0.6, clothes: float = 2.0) -> None:
        self.patience, self.reach, self.clothes = patience, reach, clothes
        self._known: dict[int, _Known] = {}
        self._next = 0

    def number(
        self,
        frame: int,
        sightings: list[Sighting],
        taken: Collection[int] = (),
        doubted: Collection[int] = (),
    ) -> list[int]:
        """The numbers of the people of a frame, none of them `taken`; frames come in order.

        Sightings that are `doubted`, given by their places in the list, are of nobody new: -1 if they fit nobody known.
        """
        self._known = {k: one for k, one in self._known.items() if frame - one.frame <= self.patience}
        numbers = self.fit(frame, sightings, [k for k in self._known if k not in taken])
        for row, sighting in enumerate(sightings):
            if numbers[row] < 0 and row in doubted:
                continue
            if numbers[row] < 0:
                numbers[row], self._next = self._next, self._next + 1
            self.meet(numbers[row], frame, sighting)
        return numbers

    def fit(
        self,
        frame: int,
        sightings: Sequence[Sighting],
        ids: Sequence[int],
        crowded: Collection[int] = (),
    ) -> list[int]:
        """Which of some known people each sighting is of, with the least total cost; -1 for none of them.

        People who are `crowded`, close to others, must be where they are expected and wear their own clothes.
        """
        numbers = [-1] * len(sightings)
        if not ids or not sightings:
            return numbers
        cost = np.array([[self.cost(k, frame, one, k in crowded) for k in ids] for one in sightings])
        never = 1e6
        for row, column in zip(*linear_sum_assignment(np.minimum(cost, never))):
            if cost[row, column] < never:
                numbers[row] = ids[column]
        return numbers

    def lost(self, frame: int, patience: int) -> list[int]:
        """Those who were lost in the last frames."""
        return [k for k, known in self._known.items() if 0 < frame - known.frame <= patience]

    def shift(self, number: int, frame: int) -> np.ndarray:
        """(2,) pixels from where somebody was seen last to where they are expected."""
        known = self._known[number]
        return known.velocity * min(frame - known.frame, _MOTION_LASTS)

    def expected(self, frame: int, patience: int) -> list[tuple[np.ndarray, float]]:
        """Where those are expected who were lost in the last frames: middles (2,) and sizes, pixels."""
        places = []
        for number in self.lost(frame, patience):
            known = self._known[number]
            seen = known.sighting.points[known.sighting.scores > _LEAST_SCORE]
            middle = seen.mean(axis=0) if len(seen) else known.sighting.points.mean(axis=0)
            places.append((middle + self.shift(number, frame), known.sighting.size))
        return places

    def cost(self, number: int, frame: int, sighting: Sighting, crowded: bool = False) -> float:
        """How little a sighting fits a person known; infinite where it cannot be the same."""
        known = self._known[number]
        gap = frame - known.frame
        distance, unlike = self._distance(known, frame, sighting), _unlike(known.colors, sighting.colors)
        if distance > self.reach * (1 + 0.15 * gap) or ((crowded or gap > 1) and unlike > _UNLIKE):
            return float("inf")
        if crowded and distance > _LEAP * gap:
            return float("inf")
        return distance / (1 + 0.05 * gap) + self.clothes * unlike

    def _distance(self, known: _Known, frame: int, sighting: Sighting) -> float:
        """From where somebody is expected, in sizes."""
        expected = known.sighting.points + known.velocity * min(frame - known.frame, _MOTION_LASTS)
        weights = np.minimum(known.sighting.scores, sighting.scores) + 1e-3
        away = np.linalg.norm(sighting.points - expected, axis=-1)
        return float(weights @ away / weights.sum()) / max(known.sighting.size, sighting.size)

    def meet(self, number: int, frame: int, sighting: Sighting, crowded: bool = False) -> None:
        """Remember how somebody looks in a frame; `crowded`, close to others, they look like these in part."""
        old = self._known.get(number)
        if old is None:
            self._known[number] = _Known(sighting, np.zeros(2), frame, sighting.colors)
            return
        gap = max(frame - old.frame, 1)
        step = np.median(sighting.points - old.sighting.points, axis=0) / gap
        # Slowly, lest a track that is led astray by somebody else forgets where it was going.
        share = max(0.05 if crowded else 0.2, 1 / old.meetings)
        velocity = (1 - share) * old.velocity + share * step if gap <= _MOTION_LASTS else np.zeros(2)
        colors = old.colors
        if not crowded:
            mixed = 0.9 * old.colors + 0.1 * sighting.colors
            colors = np.where(np.isfinite(old.colors), old.colors, sighting.colors)
            colors = np.where(np.isfinite(mixed), mixed, colors)
        self._known[number] = _Known(sighting, velocity, frame, colors, old.meetings + 1)


def _unlike(colors: np.ndarray, others: np.ndarray) -> float:
    """Distance in [0, 1] of the colours (4, 256) of two people: Hellinger's, the mean of the parts seen of both."""
    both = np.isfinite(colors).all(axis=1) & np.isfinite(others).all(axis=1)
    if not both.any():
        return 0.5 * _UNLIKE
    shared = np.sqrt(colors[both] * others[both]).sum(axis=1)
    return float(_WEIGHTS[both] @ np.sqrt(np.maximum(1 - shared, 0)) / _WEIGHTS[both].sum())
