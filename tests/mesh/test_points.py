"""Neighbours and sampling against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.mesh.neighbours import nearest, squared_distances
from contrapposto.mesh.surface_sampling import furthest_points, sample_surface
from tests.mesh.shapes import sphere


@pytest.mark.parametrize("count", [50, 600])  # by distances, by a tree
def test_nearest_by_brute_force(count):
    points = torch.randn(2, count, 3, generator=torch.Generator().manual_seed(count))
    queries = torch.cat([points[:, :20], torch.randn(2, 30, 3)], dim=1)
    actual = nearest(queries, points, 7)
    distance = torch.cdist(queries.double(), points.double())
    assert torch.equal(actual.sort().values, distance.argsort(dim=-1)[..., :7].sort().values)
    assert torch.equal(actual[:, :20, 0], torch.arange(20).expand(2, 20))
    assert torch.allclose(squared_distances(queries, points), distance.square().float(), atol=1e-4)
    with pytest.raises(ValueError, match="nearest"):
        nearest(queries, points, count + 1)


def plain_furthest(points, count):
    """The rules of the sheet, one by one, with threads and their reduction in place of an order of points."""
    n = len(points)
    threads = min(512, 1 << (n.bit_length() - 1))
    distance = np.full(n, 1e10, np.float32)
    skipped = (points.astype(np.float32) ** 2).sum(1) <= 1e-3
    chosen = [0]
    while len(chosen) < count:
        step = points - points[chosen[-1]]
        distance = np.minimum(distance, step[:, 0] ** 2 + step[:, 1] ** 2 + step[:, 2] ** 2)
        best, index = np.full(threads, -1.0), np.zeros(threads, int)
        for i in np.flatnonzero(~skipped):
            if distance[i] > best[i % threads]:
                best[i % threads], index[i % threads] = distance[i], i
        width = threads // 2
        while width:
            for t in range(width):
                if best[t + width] > best[t]:
                    best[t], index[t] = best[t + width], index[t + width]
            width //= 2
        chosen.append(int(index[0]))
    return chosen


@pytest.mark.parametrize("seed", [0, 1])
def test_furthest_points_by_threads(seed):
    generator = np.random.default_rng(seed)
    lattice = generator.integers(-2, 3, (75, 3)).astype(np.float32) / 4  # full of ties
    lattice[[seed - 1, 30]] = 0  # never chosen again, not even as the start, when all others are
    actual = furthest_points(torch.from_numpy(lattice)[None], 60)[0]
    assert actual.tolist() == plain_furthest(lattice, 60)


def test_furthest_points_at_the_origin_are_all_zero():
    assert furthest_points(torch.zeros(1, 9, 3), 4).tolist() == [[0, 0, 0, 0]]


def test_a_prefix_of_an_order_is_an_order():
    points = torch.randn(1, 700, 3)
    first = furthest_points(points, 100)[0]
    assert furthest_points(points[:, first], 40).tolist() == [list(range(40))]


def test_surface_samples_lie_on_their_faces_in_proportion():
    mesh = sphere(1)
    points, face = sample_surface(mesh.vertices, mesh.faces, 20000, np.random.default_rng(0))
    corners = mesh.vertices[mesh.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.abs(np.einsum("nk,nk->n", points - corners[:, 0], normal)).max() < 1e-12
    assert np.abs(points.mean(0)).max() < 0.03
    counts = np.bincount(face, minlength=len(mesh.faces))
    areas = np.linalg.norm(
        np.cross(*(mesh.vertices[mesh.faces[:, i]] - mesh.vertices[mesh.faces[:, 0]] for i in (1, 2))), axis=1
    )
    assert np.abs(counts / 20000 - areas / areas.sum()).max() < 0.004
