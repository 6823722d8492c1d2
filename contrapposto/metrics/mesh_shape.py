"""What a posed mesh should not do: run into itself, or lose its volume. NumPy; one mesh at a time."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto.metrics.mesh import signed_volume

_CHUNK = 2**20


def self_intersections(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool: faces (F, 3) that an edge of another face, with no corner in common, passes through.

    Exact but for contacts: two faces that only touch, or lie in one plane, do not count. Candidates are found by a
    sweep over the bounding boxes along the axis in which they overlap least.
    """
    corners = np.asarray(vertices, np.float64)[faces]
    low, high = corners.min(axis=1), corners.max(axis=1)
    axis = int(np.argmin((high - low).mean(axis=0) / np.maximum(np.ptp(low, axis=0), 1e-300)))
    order = np.argsort(low[:, axis], kind="stable")
    last = np.searchsorted(low[order, axis], high[order, axis], side="right")
    counts = last - np.arange(len(order)) - 1
    crossed = np.zeros(len(faces), bool)
    start = 0
    while start < len(order):
        stop = start + max(1, int(np.searchsorted(np.cumsum(counts[start:]), _CHUNK)))
        part = counts[start:stop]
        first = np.repeat(np.arange(start, start + len(part)), part)
        offset = np.arange(len(first)) - np.repeat(np.cumsum(part) - part, part)
        one, two = order[first], order[first + 1 + offset]
        near = ((low[one] <= high[two]) & (low[two] <= high[one])).all(axis=1)
        one, two = one[near], two[near]
        shared = (faces[one][:, :, None] == faces[two][:, None, :]).any(axis=(1, 2))
        one, two = one[~shared], two[~shared]
        hit = _crossing(corners[one], corners[two]) | _crossing(corners[two], corners[one])
        crossed[one[hit]] = crossed[two[hit]] = True
        start = stop
    return crossed


def _crossing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,): an edge of the first triangle (N, 3, 3) passes through the inside of the second (Möller, Trumbore 1997)."""
    origin, along, across = second[:, 0], second[:, 1] - second[:, 0], second[:, 2] - second[:, 0]
    hit = np.zeros(len(first), bool)
    for corner in range(3):
        start = first[:, corner]
        direction = first[:, (corner + 1) % 3] - start
        normal = np.cross(direction, across)
        determinant = np.einsum("nk,nk->n", along, normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / determinant
            offset = start - origin
            u = np.einsum("nk,nk->n", offset, normal) * inverse
            turned = np.cross(offset, along)
            v = np.einsum("nk,nk->n", direction, turned) * inverse
            distance = np.einsum("nk,nk->n", across, turned) * inverse
            hit |= (u > 0) & (v > 0) & (u + v < 1) & (distance > 0) & (distance < 1)
    return hit


def volume_change(posed: np.ndarray, template: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(T,) volumes of poses (T, V, 3) as shares of the template's, less 1; of open meshes, of cones over the mean."""
    corners = torch.as_tensor(np.asarray(faces))

    def volume(vertices: np.ndarray) -> np.ndarray:
        centred = torch.as_tensor(np.asarray(vertices, np.float64))
        volume: np.ndarray = signed_volume(centred - centred.mean(-2, keepdim=True), corners).numpy()
        return volume

    return volume(posed) / volume(template) - 1
