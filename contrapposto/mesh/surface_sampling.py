"""Furthest point sampling with the choices of the CUDA kernel that NPR was trained with, and points on surfaces."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_NEAR_ORIGIN = 1e-3
_MOST_THREADS = 512


def furthest_points(points: Tensor, count: int) -> Tensor:
    """Choose points one by one, each the furthest from those chosen before (docs/specs/npr.md, section 3).

    The first is index 0. Points with a squared norm of at most 1e-3 are never chosen after it, however far they are.
    Ties go to the point that the original kernel's reduction meets first. Where everything has been chosen, points
    repeat by the same rule.

    Args:
        points: (B, N, 3) float32.
        count: how many, at least 1.

    Returns:
        (B, count) int64 indices in the order of choice.

    Raises:
        ValueError: no points, or none asked for.
    """
    if points.ndim != 3 or points.shape[1] < 1 or count < 1:
        raise ValueError(f"{count} of points {tuple(points.shape)}: expected (B, N, 3) and at least one")
    if len(points) > 1 and points.stride(0) == 0:  # one sample, expanded
        return furthest_points(points[:1], count).expand(len(points), -1)
    order = _reduction_order(points.shape[1])
    if points.device.type != "cpu":
        return _choose_together(points.detach().float(), count, order)
    choices = [_choose(sample.detach().float().cpu().numpy(), count, order) for sample in points]
    return torch.from_numpy(np.stack(choices)).to(points.device)


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) spread evenly over the area, and the faces (count,) that they lie on."""
    corners = vertices[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = generator.choice(len(faces), size=count, p=areas / areas.sum())
    first, second = generator.random((2, count, 1))
    root = np.sqrt(first)
    weights = np.concatenate([1 - root, root * (1 - second), root * second], axis=1)
    return np.einsum("nc,nck->nk", weights, corners[face]), face


def _choose(points: np.ndarray, count: int, order: np.ndarray) -> np.ndarray:
    # In the order of the reduction, so that the first of several largest distances is the kernel's choice.
    x, y, z = (np.ascontiguousarray(points[order, axis]) for axis in range(3))
    distance = np.full(len(points), 1e10, np.float32)
    distance[(x * x + y * y + z * z).astype(np.float64) <= _NEAR_ORIGIN] = -1
    chosen = np.zeros(count, np.int64)
    place = int(np.flatnonzero(order == 0)[0])
    if distance.max() < 0:
        return chosen
    for step in range(1, count):
        dx, dy, dz = x - x[place], y - y[place], z - z[place]
        np.minimum(distance, dx * dx + dy * dy + dz * dz, out=distance)
        place = int(distance.argmax())
        chosen[step] = order[place]
    return chosen


def _choose_together(points: Tensor, count: int, order: np.ndarray) -> Tensor:
    """The choices of `_choose` for all samples (B, N, 3) at once, without a wait for the device."""
    rows = torch.arange(len(points), device=points.device)
    order_there = torch.from_numpy(order).to(points.device, non_blocking=True)
    points = points[:, order_there]
    squares = points * points
    norm = squares[..., 0] + squares[..., 1] + squares[..., 2]
    distance = torch.where(norm.double() <= _NEAR_ORIGIN, -1.0, 1e10).float()
    any_far = distance.amax(1) >= 0
    place = torch.full((len(points),), int(np.flatnonzero(order == 0)[0]), device=points.device)
    places = [place]
    for _ in range(1, count):
        squares = (points - points[rows, place][:, None]).square()
        distance = torch.minimum(distance, squares[..., 0] + squares[..., 1] + squares[..., 2])
        place = distance.argmax(1)
        places.append(place)
    chosen = order_there[torch.stack(places, dim=1)]
    return torch.where(any_far[:, None], chosen, 0)


@lru_cache(maxsize=32)
def _reduction_order(count: int) -> np.ndarray:
    """(count,) indices sorted by the bit-reversed number of the thread that holds each, then by themselves."""
    bits = min(count.bit_length() - 1, _MOST_THREADS.bit_length() - 1)
    index = np.arange(count)
    thread = index % (1 << bits)
    reverse = np.zeros_like(thread)
    for bit in range(bits):
        reverse |= ((thread >> bit) & 1) << (bits - 1 - bit)
    return np.lexsort((index, reverse))
