"""Points of the background, followed from frame to frame: what tells how a camera moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.systems.scail_pose.interface import Person

_FEWEST, _APART = 280, 10  # points that call for new ones, pixels between them
_CELLS, _IN_CELL, _QUALITY = (4, 6), 20, 0.03  # of an image in which corners are sought, the most in each
_RETURNS = 0.7  # pixels within which a point that is followed there and back must end
_WINDOW, _LEVELS = (15, 15), 3
_ROOM = 0.1  # of a person's box: what is so near may be theirs


@dataclass(frozen=True, eq=False)
class Tracks:
    """Observations of points, ordered by frame.

    Attributes:
        frames, points: (n,) number of the frame and of the point.
        pixels: (n, 2).
    """

    frames: np.ndarray
    points: np.ndarray
    pixels: np.ndarray

    def of(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (m,) and pixels (m, 2) of the points in a frame."""
        low, high = np.searchsorted(self.frames, [frame, frame + 1])
        return self.points[low:high], self.pixels[low:high]

    def shared(self, first: int, second: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers (m,) of the points in both of two frames, and their pixels (m, 2) in each."""
        (one, at), (other, there) = self.of(first), self.of(second)
        numbers, rows, columns = np.intersect1d(one, other, return_indices=True)
        return numbers, at[rows], there[columns]

    def only(self, kept: np.ndarray) -> Tracks:
        """Some of the observations (n,) bool."""
        return Tracks(self.frames[kept], self.points[kept], self.pixels[kept])


class BackgroundWatch:
    """Follows corners through all frames of a clip while it is read."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._pixels: np.ndarray = np.zeros((0, 2), np.float32)
        self._numbers: np.ndarray = np.zeros(0, int)
        self._next = 0
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []

    def see(self, image: np.ndarray) -> None:
        """Take the next frame."""
        import cv2

        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._last is not None and len(self._pixels):
            self._follow(self._last, grey)
        if len(self._pixels) < _FEWEST:
            self._refill(grey)
        self._last = grey
        self._seen.append((self._numbers.copy(), self._pixels.copy()))

    def tracks(self, people: Sequence[Sequence[Person]]) -> Tracks:
        """What was seen of points outside the people of each frame."""
        parts = []
        for frame, ((numbers, pixels), here) in enumerate(zip(self._seen, people)):
            free = np.ones(len(numbers), bool)
            for person in here:
                room = _ROOM * (person.box[2:] - person.box[:2])
                inside = (pixels > person.box[:2] - room) & (pixels < person.box[2:] + room)
                free &= ~inside.all(axis=1)
            parts.append((np.full(free.sum(), frame), numbers[free], pixels[free].astype(np.float64)))
        return Tracks(*(np.concatenate(part) for part in zip(*parts)))

    def _follow(self, last: np.ndarray, grey: np.ndarray) -> None:
        there, followed = _flow(last, grey, self._pixels)
        back, returned = _flow(grey, last, there)
        inside = ((there >= 0) & (there < grey.shape[::-1])).all(axis=1)
        kept = followed & returned & inside & (np.linalg.norm(back - self._pixels, axis=1) < _RETURNS)
        self._pixels, self._numbers = there[kept], self._numbers[kept]

    def _refill(self, grey: np.ndarray) -> None:
        import cv2

        free = np.full(grey.shape, 255, np.uint8)
        for x, y in self._pixels.round().astype(int):
            cv2.circle(free, (int(x), int(y)), _APART, 0, -1)
        cells = []
        # Cell by cell: what is strong in one part of the image must not leave the others empty.
        for rows in np.array_split(np.arange(grey.shape[0]), _CELLS[0]):
            for columns in np.array_split(np.arange(grey.shape[1]), _CELLS[1]):
                cell = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
                corners = cv2.goodFeaturesToTrack(
                    np.ascontiguousarray(grey[cell]), _IN_CELL, _QUALITY, _APART, mask=free[cell].copy()
                )
                if corners is not None:
                    corner = np.array([columns[0], rows[0]], np.float32)
                    cells.append(np.asarray(corners, np.float32).reshape(-1, 2) + corner)
        new = np.concatenate(cells) if cells else np.zeros((0, 2), np.float32)
        self._numbers = np.concatenate([self._numbers, self._next + np.arange(len(new))])
        self._pixels = np.concatenate([self._pixels, new])
        self._next += len(new)


def _flow(first: np.ndarray, second: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (n, 2) of one grey image are in another, and whether (n,) they are."""
    import cv2

    there, known, _ = cv2.calcOpticalFlowPyrLK(
        first, second, pixels, pixels.copy(), winSize=_WINDOW, maxLevel=_LEVELS
    )
    return np.asarray(there, np.float32), np.asarray(known).ravel() > 0
