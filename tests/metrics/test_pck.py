"""PCK by counting."""

import pytest
import torch

from contrapposto.metrics import PCK
from contrapposto.metrics.pck import correct_area, correct_share


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


def test_the_area_is_the_mean_over_31_radii():
    distances = torch.tensor([[0.0, 0.0524, 0.1474, 0.2]], dtype=torch.float64)
    # radii 0, 5, ..., 150 mm: all 31 hold the first joint, 55 to 150 mm the second, 150 mm the third
    assert correct_area(distances).tolist() == pytest.approx([100 * (31 + 20 + 1) / (4 * 31)])
    assert correct_share(distances).tolist() == [75.0]
