"""What changes from frame to frame: cuts, and movement that belongs to nobody known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region

_ROWS, _COLUMNS = 48, 64  # of a thumbnail
_CUT = 40.0  # mean difference of grey levels between frames that do not belong together
_MOVES = 12.0  # difference of grey levels of a cell in which something moves
_CHANGES = 6.0  # of a cell that differs from what a search has seen
_LEAST, _MOST = 6, 0.3  # cells that are worth a look, and the share of all that means a moving camera
_ROOM = 0.12  # of a known person's box, for shadows and hair
_PATCHES = 3  # that are looked at at a time
_LONGEST = 8  # frames without a look after looks that found nobody


class Watch:
    """Sees all frames of a clip in turn."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._moving = np.zeros((_ROWS, _COLUMNS), bool)
        self._searched = np.full((_ROWS, _COLUMNS), np.nan)
        self._shape = (1, 1)
        self._next, self._wait, self._known = 0, 1, 0

    def see(self, image: np.ndarray) -> bool:
        """Take a frame (H, W, 3) uint8; whether it begins something new."""
        small, last = thumbnail(image), self._last
        self._last, self._shape = small, image.shape[:2]
        if last is None:
            return True
        change = np.abs(small - last)
        self._moving = change > _MOVES
        if cut := float(change.mean()) > _CUT:
            self._searched[:] = np.nan
        return cut

    def strangers(self, frame: int, boxes: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float]]:
        """Middles (2,) and sizes, pixels, of what moves outside the boxes (4,) xyxy of the people known.

        The same thing is not pointed out in every frame: less and less often while nobody comes of it.
        """
        if len(boxes) > self._known:
            self._wait = 1
        self._known = len(boxes)
        if frame < self._next:
            return []
        cell = np.array(self._shape[::-1]) / [_COLUMNS, _ROWS]
        if self._moving.mean() > _MOST:
            return []
        moving = self._moving & ~self._covered(boxes)
        places = self._places(moving, cell)
        if places:
            self._wait = min(2 * self._wait, _LONGEST)
            self._next = frame + self._wait
        return places

    def changed(self, regions: Sequence[Region], boxes: Sequence[np.ndarray]) -> list[Region]:
        """Those regions in which something has changed, outside the boxes of the people known, since they were given.

        All of them after a cut. A look at what has not changed would find again what the last one found.
        """
        assert self._last is not None
        fresh = ~self._covered(boxes) & ~(np.abs(self._last - self._searched) <= _CHANGES)
        chosen, seen = [], np.zeros_like(fresh)
        for region in regions:
            cells = self._inside(region)
            if fresh[cells].any():
                chosen.append(region)
                seen[cells] = True
        self._searched[seen] = self._last[seen]
        return chosen

    def _inside(self, region: Region) -> tuple[slice, slice]:
        half = region.side / 2 - 1e-6
        return self._cells(region.center - half, region.center + half)

    def _covered(self, boxes: Sequence[np.ndarray]) -> np.ndarray:
        """(48, 64) which cells the boxes (4,) xyxy touch, with some room."""
        covered = np.zeros((_ROWS, _COLUMNS), bool)
        for box in boxes:
            room = _ROOM * (box[2:] - box[:2])
            covered[self._cells(box[:2] - room, box[2:] + room)] = True
        return covered

    def _cells(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the cells between two corners (2,), pixels."""
        cell = np.array(self._shape[::-1]) / [_COLUMNS, _ROWS]
        left, top = np.floor(low / cell).astype(int).clip(0)
        right, bottom = np.ceil(high / cell).astype(int).clip(0)
        return slice(top, bottom), slice(left, right)

    def _places(self, moving: np.ndarray, cell: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """The largest patches of cells that move."""
        import cv2

        whole = cv2.dilate(moving.astype(np.uint8), np.ones((5, 3), np.uint8))
        count, _, statistics, _ = cv2.connectedComponentsWithStats(whole)
        inside = [moving[y : y + h, x : x + w].sum() for x, y, w, h, _ in statistics]
        order = sorted(range(1, count), key=lambda patch: -inside[patch])[:_PATCHES]
        places = []
        for x, y, width, height, _ in statistics[[patch for patch in order if inside[patch] >= _LEAST]]:
            size = max(float((np.array([width, height]) * cell).max()), 0.3 * min(self._shape))
            places.append(((np.array([x, y]) + np.array([width, height]) / 2) * cell, size))
        return places


def thumbnail(image: np.ndarray) -> np.ndarray:
    """(48, 64) mean grey levels of an image's cells."""
    import cv2

    return cv2.resize(image, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA).mean(axis=-1)
