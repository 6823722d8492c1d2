"""Polygons into triangles."""

from __future__ import annotations

import numpy as np


def cut_polygon(corners: np.ndarray) -> list[tuple[int, int, int]]:
    """Triangles of a polygon (N, 3) that is nearly flat, by ear clipping; a fan if it is convex.

    Nothing where it has no area or crosses itself so that no ear is left.
    Source: G. Meisters, Polygons have ears, American Mathematical Monthly 82, 1975.
    """
    corners = np.asarray(corners, np.float64)
    following = np.roll(corners, -1, axis=0)
    normal = np.cross(corners, following).sum(axis=0)
    if not np.isfinite(normal).all() or np.linalg.norm(normal) < 1e-300:
        return []
    drop = int(np.abs(normal).argmax())
    flat = np.delete(corners, drop, axis=1)
    flat = flat if (normal[drop] > 0) == (drop != 1) else flat[:, ::-1]  # counter-clockwise
    if all(_turn(flat[i - 1], flat[i], flat[(i + 1) % len(flat)]) >= 0 for i in range(len(flat))):
        return [(0, last - 1, last) for last in range(2, len(flat))]
    left, triangles = list(range(len(flat))), []
    while len(left) > 3:
        ear = next((place for place in range(len(left)) if _is_ear(flat, left, place)), None)
        if ear is None:
            return []
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return [*triangles, (left[0], left[1], left[2])]


def _turn(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> float:
    """Twice the area of a triangle in the plane, negative where it is clockwise."""
    a, b = second - first, third - second
    return float(a[0] * b[1] - a[1] * b[0])


def _is_ear(flat: np.ndarray, left: list[int], place: int) -> bool:
    ends = left[place - 1], left[place], left[(place + 1) % len(left)]
    a, b, c = flat[list(ends)]
    if _turn(a, b, c) <= 0:
        return False
    others = flat[[point for point in left if point not in ends]]
    inside = np.ones(len(others), bool)
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        inside &= edge[0] * (others[:, 1] - start[1]) - edge[1] * (others[:, 0] - start[0]) >= 0
    return not inside.any()
