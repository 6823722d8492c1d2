"""Polygons into triangles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_CORNERS = 1000
"""Of a polygon that is cut by ears; the work grows with the cube."""


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
    at_ends = (
        (others[:, None] == flat[list(ends)]).all(axis=2).any(axis=1)
    )  # a bridge to a hole comes back there
    others = others[~at_ends]
    inside = np.ones(len(others), bool)
    for start, end in ((a, b), (b, c), (c, a)):
        edge = end - start
        inside &= edge[0] * (others[:, 1] - start[1]) - edge[1] * (others[:, 0] - start[0]) >= 0
    return not inside.any()


def triangulate(
    vertices: np.ndarray, polygons: np.ndarray | Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of polygons, convex ones as fans.

    Args:
        vertices: (V, 3).
        polygons: (N, K) or N arrays of vertices; those of fewer than three are left out.

    Returns:
        (F, 3) places in the lists of their polygons, and (F,) these polygons.
    """
    table = polygons.astype(np.int64) if isinstance(polygons, np.ndarray) and polygons.ndim == 2 else None
    sizes = np.array(
        [len(polygon) for polygon in polygons] if table is None else [table.shape[1]] * len(table)
    )
    corners, owners = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for size in np.unique(sizes[sizes > 2]).tolist():
        numbers = np.flatnonzero(sizes == size)
        index = (
            np.stack([np.asarray(polygons[number], np.int64) for number in numbers.tolist()])
            if table is None
            else table
        )
        if index.min() < 0 or index.max() >= len(vertices):
            raise ValueError(f"a face of vertices {index.min()} to {index.max()}, there are {len(vertices)}")
        fan = np.array([(0, last - 1, last) for last in range(2, size)])
        cuts = np.tile(fan, (len(index), 1, 1))
        if 3 < size <= MOST_CORNERS:
            for row in np.flatnonzero(~_convex(vertices[index])).tolist():
                cuts[row] = cut_polygon(vertices[index[row]]) or fan
        corners.append(cuts.reshape(-1, 3))
        owners.append(np.repeat(numbers, size - 2))
    joined = np.concatenate(owners)
    order = np.argsort(joined, kind="stable")
    return np.concatenate(corners)[order], joined[order]


def _convex(corners: np.ndarray) -> np.ndarray:
    """(N,) whether polygons (N, K, 3) turn the same way at every corner."""
    edges = np.roll(corners, -1, axis=1) - corners
    turns = np.cross(edges, np.roll(edges, -1, axis=1))
    normal = np.cross(corners - corners[:, :1], np.roll(corners, -1, axis=1) - corners[:, :1]).sum(axis=1)
    return np.asarray(((turns * normal[:, None]).sum(axis=-1) >= 0).all(axis=1))


def strip_faces(strip: np.ndarray) -> np.ndarray:
    """(F, 3) triangles of strips of vertices, which -1 separates; every other one is turned over, none is empty."""
    parts = np.split(strip, np.flatnonzero(strip == -1))
    faces = [np.zeros((0, 3), np.int64)]
    for part in parts:
        part = part[part != -1]
        if len(part) > 2:
            triangles = np.stack([part[:-2], part[1:-1], part[2:]], axis=1)
            triangles[1::2] = triangles[1::2, [1, 0, 2]]
            faces.append(triangles)
    joined = np.concatenate(faces)
    return joined[(joined != np.roll(joined, 1, axis=1)).all(axis=1)]
