"""Errors by group against plain NumPy."""

import numpy as np
import pytest
import torch

from contrapposto.metrics.mesh_error import JacobianError, MeshDistance


def test_means_by_group():
    generator = np.random.default_rng(0)
    metric, squares = MeshDistance(scale=1000), {"unseen_poses": [], "unseen_shapes": []}
    for number, group in enumerate(["unseen_poses", "unseen_shapes", "unseen_poses"]):
        pred, true = generator.standard_normal((2, number + 1, 7, 3))
        metric.update(torch.from_numpy(pred), torch.from_numpy(true), group)
        difference = (pred - pred.mean(1, keepdims=True)) - (true - true.mean(1, keepdims=True))
        squares[group] += list((difference**2).sum(-1).mean(-1))
    actual = metric.compute()
    assert set(actual) == set(squares)
    for group, values in squares.items():
        assert float(actual[group]) == pytest.approx(1000 * np.mean(values), rel=1e-5)
    with pytest.raises(ValueError):
        metric.update(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), "nobody")


def test_jacobian_error_weights_by_area():
    pred, true = torch.zeros(2, 3, 3, 3), torch.zeros(2, 3, 3, 3)
    pred[0, 1] = torch.eye(3)
    metric = JacobianError()
    metric.update(pred, true, torch.tensor([[1.0, 2.0, 1.0]]).expand(2, 3), "unseen_shapes")
    assert float(metric.compute()["unseen_shapes"]) == pytest.approx(np.sqrt(3 * 2 / 4) / 2, rel=1e-6)
