"""Nearest points, exactly, without a matrix of all distances (docs/specs/npr.md, sections 3 and 13)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

_SMALL = 32  # so few points are compared with all queries faster than a tree is built
_CHUNK = 2**22


def nearest(queries: Tensor, points: Tensor, count: int) -> Tensor:
    """Indices of the nearest points.

    Args:
        queries: (B, Q, D).
        points: (B, N, D); a query that is one of them finds itself, at distance 0.
        count: how many; at most N.

    Returns:
        (B, Q, count) int64, nearest first. Which of several points at exactly the same distance is last is not
        specified.

    Raises:
        ValueError: fewer points than asked for, or batches of different sizes.
    """
    if not 1 <= count <= points.shape[1] or len(queries) != len(points):
        raise ValueError(f"{count} nearest of points {tuple(points.shape)} to queries {tuple(queries.shape)}")
    queries, points = queries.detach(), points.detach()
    if len(queries) > 1 and queries.stride(0) == 0 and points.stride(0) == 0:  # one sample, expanded
        return nearest(queries[:1], points[:1], count).expand(len(queries), -1, -1)
    if points.device.type == "cpu" and points.shape[1] > _SMALL:
        return torch.stack([_by_tree(q, p, count) for q, p in zip(queries, points)])
    return torch.stack([_by_distance(q, p, count) for q, p in zip(queries, points)])


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """(..., N, D) and (..., M, D) to (..., N, M), from the differences: no cancellation for near points."""
    total = (first[..., :, None, 0] - second[..., None, :, 0]).square()
    for axis in range(1, first.shape[-1]):
        total = total + (first[..., :, None, axis] - second[..., None, :, axis]).square()
    return total


def _by_tree(queries: Tensor, points: Tensor, count: int) -> Tensor:
    # Measured on meshes: the fastest of these settings for building and asking once.
    leaf = 8 if len(points) <= 512 else 24
    tree = cKDTree(points.double().numpy(), leafsize=leaf, balanced_tree=False)
    index = tree.query(queries.double().numpy(), k=count)[1]
    return torch.from_numpy(np.asarray(index, np.int64).reshape(len(queries), count))


def _by_distance(queries: Tensor, points: Tensor, count: int) -> Tensor:
    step = max(1, _CHUNK // len(points))
    parts = [
        squared_distances(chunk, points).topk(count, largest=False).indices for chunk in queries.split(step)
    ]
    return torch.cat(parts)
