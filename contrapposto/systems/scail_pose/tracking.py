"""Who is who from frame to frame: motion, keypoints and the colours of clothes decide together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

_POINTS = 14  # of the 134: the body without its face
_LEAST_SCORE = 0.3
_LEAP = 0.1  # distance from where somebody is expected in the next frame, in sizes, that nobody walks
_MOTION_LASTS = 12  # frames for which the motion of the last ones is a good guess
# Places whose colours are compared, each the mean of some points on lines between keypoints.
_PATCHES = (
    ((2, 8), (5, 11), (2, 11), (5, 8)),  # trunk
    ((2, 3), (5, 6)),  # upper arms
    ((3, 4), (6, 7)),  # forearms
    ((8, 9), (11, 12)),  # thighs
    ((9, 10), (12, 13)),  # shins
    ((0, 1),),  # head
)
_WEIGHTS = np.array([3.0, 1.0, 0.5, 2.0, 1.0, 0.5])  # of these: large ones are seen surely
_STEPS = np.linspace(0.15, 0.85, 8)


@dataclass(frozen=True)
class Sighting:
    """What is compared of a person in a frame.

    Attributes:
        points: (14, 2) keypoints of the body, pixels.
        scores: (14,).
        colors: (6, 3) mean colours of the head, trunk and limbs, 0 to 255; NaN where they are not seen.
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
    colors = np.full((len(_PATCHES), 3), np.nan)
    limit = np.array(image.shape[1::-1])
    for row, lines in enumerate(_PATCHES):
        seen = [line for line in lines if scores[list(line)].min() > _LEAST_SCORE]
        if not seen:
            continue
        ends = points[np.array(seen)]
        places = ends[:, :1] + _STEPS[:, None] * (ends[:, 1:] - ends[:, :1])
        pixels = places.reshape(-1, 2).astype(int)
        pixels = pixels[((pixels >= 0) & (pixels < limit)).all(axis=1)]
        if len(pixels):
            colors[row] = image[pixels[:, 1], pixels[:, 0]].mean(axis=0)
    return Sighting(points, scores, colors)


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
        tone: difference of mean colours, in grey levels, that counts as much as one size of distance.
    """

    def __init__(self, *, patience: int = 160, reach: float = 0.6, tone: float = 60.0) -> None:
        self.patience, self.reach, self.tone = patience, reach, tone
        self._known: dict[int, _Known] = {}
        self._next = 0

    def number(self, frame: int, sightings: list[Sighting], taken: Collection[int] = ()) -> list[int]:
        """The numbers of the people of a frame, none of them `taken`; frames come in order."""
        self._known = {k: one for k, one in self._known.items() if frame - one.frame <= self.patience}
        ids = [k for k in self._known if k not in taken]
        numbers = [-1] * len(sightings)
        if ids and sightings:
            cost = np.array([[self.cost(k, frame, sighting) for k in ids] for sighting in sightings])
            never = 1e6
            rows, columns = linear_sum_assignment(np.minimum(cost, never))
            for row, column in zip(rows, columns):
                if cost[row, column] < never:
                    numbers[row] = ids[column]
        for row, sighting in enumerate(sightings):
            if numbers[row] < 0:
                numbers[row], self._next = self._next, self._next + 1
            self.meet(numbers[row], frame, sighting)
        return numbers

    def expected(self, frame: int, patience: int) -> list[tuple[np.ndarray, float]]:
        """Where those are expected who were lost in the last frames: middles (2,) and sizes, pixels."""
        places = []
        for known in self._known.values():
            gap = frame - known.frame
            if 0 < gap <= patience:
                seen = known.sighting.points[known.sighting.scores > _LEAST_SCORE]
                middle = seen.mean(axis=0) if len(seen) else known.sighting.points.mean(axis=0)
                places.append((middle + known.velocity * min(gap, _MOTION_LASTS), known.sighting.size))
        return places

    def cost(self, number: int, frame: int, sighting: Sighting) -> float:
        """How little a sighting fits a person known; infinite where it cannot be the same."""
        known = self._known[number]
        gap = frame - known.frame
        distance, tone = self._apart(known, frame, sighting)
        if distance > self.reach * (1 + 0.15 * gap) or (gap > 1 and tone > 1):
            return float("inf")
        return distance / (1 + 0.05 * gap) + tone

    def _apart(self, known: _Known, frame: int, sighting: Sighting) -> tuple[float, float]:
        """Distance from where somebody is expected in sizes, and difference of colours in units of `tone`."""
        expected = known.sighting.points + known.velocity * min(frame - known.frame, _MOTION_LASTS)
        weights = np.minimum(known.sighting.scores, sighting.scores) + 1e-3
        away = np.linalg.norm(sighting.points - expected, axis=-1)
        size = max(known.sighting.size, sighting.size)
        return float(weights @ away / weights.sum()) / size, self._unlike(known.colors, sighting.colors)

    def _unlike(self, colors: np.ndarray, others: np.ndarray) -> float:
        """Difference of two people's colours (6, 3) in units of `tone`; brightness, which changes, counts half."""
        both = np.isfinite(colors).all(axis=1) & np.isfinite(others).all(axis=1)
        if not both.any():
            return 0.5
        change = (colors - others)[both]
        bright = change.mean(axis=1)
        hue = np.abs(change - bright[:, None]).mean(axis=1)
        weights = _WEIGHTS[both]
        return float(weights @ (2 * hue + 0.5 * np.abs(bright)) / weights.sum()) / self.tone

    def astray(self, number: int, frame: int, sighting: Sighting) -> bool:
        """Whether somebody who is close to others has become somebody else: by a leap, or by other clothes."""
        distance, tone = self._apart(self._known[number], frame, sighting)
        return distance > _LEAP or tone > 1

    def meet(self, number: int, frame: int, sighting: Sighting) -> None:
        """Remember how somebody looks in a frame."""
        old = self._known.get(number)
        if old is None:
            self._known[number] = _Known(sighting, np.zeros(2), frame, sighting.colors)
            return
        gap = max(frame - old.frame, 1)
        step = np.median(sighting.points - old.sighting.points, axis=0) / gap
        # Slowly, lest a track that is led astray by somebody else forgets where it was going.
        share = max(0.2, 1 / old.meetings)
        velocity = (1 - share) * old.velocity + share * step if gap <= _MOTION_LASTS else np.zeros(2)
        # Colours are remembered slowly: while two people cross, one wears the other's for a few frames.
        mixed = np.where(np.isfinite(sighting.colors), 0.95 * old.colors + 0.05 * sighting.colors, old.colors)
        colors = np.where(np.isfinite(old.colors), mixed, sighting.colors)
        self._known[number] = _Known(sighting, velocity, frame, colors, old.meetings + 1)
