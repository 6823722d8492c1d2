"""Light of a scene on the host: directions, colour spaces, where to send rays and how to spread what they find."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, identity
from scipy.sparse.csgraph import dijkstra

from contrapposto.render.camera import Camera
from contrapposto.render.scene import Scene

MOST_SAMPLES = 1500
"""Vertices lit by rays of their own are thinned out to about this number, one step of neighbourhood at a time."""

_STEPS = 3


def key_direction(scene: Scene, camera: Camera) -> np.ndarray:
    """(3,) unit direction towards the key light in the world."""
    direction = np.asarray(scene.lights.direction, np.float64)
    if scene.lights.follows_camera:
        forward = camera.rotation[2] * [1, 1, 0]
        if np.linalg.norm(forward) < 1e-6:
            forward = -camera.rotation[1] * [1, 1, 0]  # looking straight down: upwards in the image is away
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        direction = direction[0] * right + direction[1] * forward + direction[2] * np.array([0.0, 0.0, 1.0])
    return direction / np.linalg.norm(direction)


def shadow_rectangle(scene: Scene, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (2,), (2,) of the ground below the figures and under their shadows, with room for the blur.

    Shadows longer than three times the height of the figure are cut: a light at the horizon has no end.
    """
    assert scene.ground is not None
    x, y, z = scene.columns
    height = np.maximum(z - scene.ground.height, 0)
    slope = key[:2] / max(key[2], 0.3)
    cast = x - height * slope[0], y - height * slope[1]
    low = np.array([min(a.min(), b.min()) for a, b in zip((x, y), cast)], np.float64)
    high = np.array([max(a.max(), b.max()) for a, b in zip((x, y), cast)], np.float64)
    room = 0.25 * scene.scale
    return low - room, high + room


def light_samples(faces: np.ndarray, count: int) -> tuple[np.ndarray, csr_matrix]:
    """Vertices (R,) to light by rays, and the (count, R) matrix that spreads their light over all vertices.

    A set of vertices no two of which are within k steps along edges, maximal, chosen greedily in vertex order; k grows
    until the set is small enough. A vertex takes the mean of the chosen ones within k steps, smoothed k + 1 times over
    its neighbours. Only the faces decide, so that a body is lit alike in every pose. Small meshes are lit everywhere.
    """
    if count <= MOST_SAMPLES:
        return np.arange(count, dtype=np.int32), identity(count, dtype=np.float32, format="csr")
    graph = _edge_graph(faces, count)
    graph = ((graph + graph.T) > 0).astype(np.float32) + identity(count, dtype=np.float32, format="csr")
    reach, steps = graph, 1
    chosen = _apart(reach)
    while len(chosen) > MOST_SAMPLES and steps < _STEPS:
        reach, steps = ((reach @ graph) > 0).astype(np.float32), steps + 1
        chosen = _apart(reach)
    average, spread = _row_means(graph), _row_means(reach[:, chosen])
    for _ in range(steps + 1):
        spread = average @ spread
    return np.array(chosen, np.int32), spread.tocsr()


def same_places(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first vertex at each place (K,), and the number of its place for every vertex (V,), in order of appearance.

    Seams of textures and hard edges split vertices; light that is spread along edges must not stop there.
    """
    _, first, places = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[places.reshape(-1)]


def coarse_faces(faces: np.ndarray, count: int, chosen: np.ndarray) -> np.ndarray:
    """Faces (G, 3) int32 between chosen vertices only: every vertex moves to the chosen one that is nearest along edges.

    Faces of which two corners meet vanish. A closed mesh stays closed, and the shadow of a body moves by millimetres,
    which is less than the blur of the ground's light.

    Args:
        faces: (F, 3).
        count: number of vertices.
        chosen: (R,) of `light_samples`.
    """
    if len(chosen) == count:
        return faces.astype(np.int32)
    _, _, nearest = dijkstra(
        _edge_graph(faces, count),
        directed=False,
        indices=chosen,
        unweighted=True,
        min_only=True,
        return_predecessors=True,
    )
    moved = nearest[faces]
    kept = (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
    return np.asarray(moved[kept], np.int32)


def _edges(faces: np.ndarray) -> np.ndarray:
    """(3 F, 2) first and second vertex of the edges of each face."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])


def _edge_graph(faces: np.ndarray, count: int) -> csr_matrix:
    """(count, count), positive from the first to the second vertex of every edge."""
    pairs = _edges(faces)
    ones = np.ones(len(pairs), np.float32)
    return coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()


def _apart(reach: csr_matrix) -> list[int]:
    """Vertices chosen greedily such that none is in the row of another."""
    taken = np.zeros(reach.shape[0], bool)
    chosen = []
    for vertex in range(reach.shape[0]):
        if not taken[vertex]:
            chosen.append(vertex)
            taken[reach.indices[reach.indptr[vertex] : reach.indptr[vertex + 1]]] = True
    return chosen


def is_closed(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether every edge belongs to two faces that agree about the outside: then no face is ever seen from behind."""
    edges = _edges(faces).astype(np.int64)
    there, back = np.sort(edges @ [len(vertices), 1]), np.sort(edges @ [1, len(vertices)])
    if (there[1:] == there[:-1]).any() or not np.array_equal(there, back):
        return False
    a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
    return bool(np.einsum("fi,fi->", a, np.cross(b, c)) > 0)


def _row_means(matrix: csr_matrix) -> csr_matrix:
    return (
        (diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9)) @ matrix)
        .tocsr()
        .astype(np.float32)
    )


def to_linear(color: Any) -> np.ndarray:
    """sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    color = np.asarray(color, np.float32)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


@lru_cache(maxsize=256)
def linear_color(color: tuple[float, float, float]) -> tuple[float, float, float]:
    """One sRGB colour in [0, 1] as linear light."""
    red, green, blue = to_linear(color).tolist()
    return red, green, blue


@lru_cache
def srgb_table() -> np.ndarray:
    """(4096,) sRGB bytes of linear light from 0 to 1."""
    linear = np.linspace(0, 1, 4096)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def cone(axis: np.ndarray, angle: float, count: int) -> np.ndarray:
    """(count, 3) unit directions spread over a disc of angular radius `angle` around an axis."""
    return _cone(tuple(axis.tolist()), angle, count)


@lru_cache(maxsize=64)
def _cone(direction: tuple[float, ...], angle: float, count: int) -> np.ndarray:
    axis = np.array(direction)
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    steps = np.arange(count)
    radius = np.sqrt((steps + 0.5) / count) * np.tan(angle)
    turn = steps * np.pi * (3 - np.sqrt(5))
    directions = axis + (radius * np.cos(turn))[:, None] * side + (radius * np.sin(turn))[:, None] * other
    return (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


@lru_cache
def sample_places(samples: int) -> np.ndarray:
    """(samples^2, 2) points in a pixel from 0 to 1, x and y: a grid turned by 27 degrees.

    (Turned, edges along rows and columns get as many steps as slanted ones.)
    """
    grid = (np.arange(samples) + 0.5) / samples - 0.5
    u, v = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    return np.stack([0.5 + 0.894 * u - 0.447 * v, 0.5 + 0.447 * u + 0.894 * v], axis=-1).astype(np.float32)


@lru_cache
def sphere_directions(count: int) -> np.ndarray:
    """(count, 3) unit directions evenly over the sphere (a golden spiral)."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=-1).astype(np.float32)


@lru_cache
def hemisphere_directions(count: int) -> np.ndarray:
    """(count, 3) upward unit directions, denser overhead (by the cosine)."""
    height = np.sqrt(1 - (np.arange(count) + 0.5) / count)
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=-1).astype(np.float32)
