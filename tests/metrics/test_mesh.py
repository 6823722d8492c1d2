"""Metrics of meshes against closed forms and SciPy-style double loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from contrapposto.metrics.mesh import jacobian_error, kernel_distance, point_distance, signed_volume


def test_point_distance():
    true = torch.randn(3, 10, 3, dtype=torch.float64)
    moved = true + torch.tensor([0.0, 3, 4])
    assert torch.allclose(point_distance(moved, true), torch.full((3,), 25.0, dtype=torch.float64))
    assert torch.allclose(
        point_distance(moved, true, squared=False), torch.full((3,), 5.0, dtype=torch.float64)
    )
    assert point_distance(moved, true, centred=True).max() < 1e-20
    with pytest.raises(ValueError, match="differ"):
        point_distance(true, true[:1])


def test_jacobian_error_is_weighted_by_area():
    error = torch.zeros(2, 3, 3)
    error[1] = 1
    actual = jacobian_error(error, torch.zeros_like(error), torch.tensor([3.0, 1.0]))
    assert actual == pytest.approx(1.5)


def test_volume_against_trimesh():
    created = trimesh.creation.box((1, 2, 3))
    vertices = torch.from_numpy(np.array(created.vertices))
    actual = signed_volume(vertices + 5, torch.from_numpy(np.array(created.faces)))
    assert actual == pytest.approx(6)


def test_kernel_distance_by_loops():
    a, b = torch.randn(6, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64) + 1

    def mean(x, y, same):
        values = [
            (float(p @ q) / 4 + 1) ** 3
            for i, p in enumerate(x)
            for j, q in enumerate(y)
            if not same or i != j
        ]
        return sum(values) / len(values)

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert kernel_distance(a, b) == pytest.approx(expected)
    assert kernel_distance(a[:1], b).isnan()
