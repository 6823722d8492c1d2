"""PCK by counting."""

import pytest
import torch

from contrapposto.metrics.pck import PCK


def test_the_share_of_joints_within_the_radius_is_counted():
    true = torch.zeros(2, 4, 5, 3)
    pred = true.clone()
    pred[0, :, 0, 2] = 0.2  # one joint of five is off in the first clip
    pred[1, 0, :, 0] = 0.14
    pred[1, 1, :, 0] = 0.16  # one frame of two in the second, which has two frames
    pred[1, 2:] = torch.nan
    metric = PCK(0.15)
    metric.update(pred, true, torch.tensor([4, 2]))
    assert metric.compute() == pytest.approx((80 + 50) / 2)
    metric.reset()
    metric.update(pred[0], true[0])
    assert metric.compute() == pytest.approx(80)
