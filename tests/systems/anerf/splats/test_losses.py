"""Losses of splat avatars against the metrics and a plain mean."""

import pytest
import torch

from contrapposto.metrics.image import ssim
from contrapposto.systems.anerf.splats.losses import Target, structural_similarity
from contrapposto.systems.anerf.view import View


def test_structural_similarity_is_that_of_the_metric():
    torch.manual_seed(0)
    a, b = torch.rand(2, 31, 24, 3)
    assert float(structural_similarity(a, b)) == pytest.approx(float(ssim(a[None], b[None])), abs=1e-6)


def test_a_smaller_target_shows_the_same_places():
    image = torch.zeros(8, 12, 3)
    image[2:4, 6:8] = 1
    camera = torch.eye(4)
    view = View(camera, torch.tensor([10.0, 10.0]), 8, 12, torch.tensor([5.5, 3.5]))
    small = Target(image, image, image[..., 0], view).smaller(2)
    assert small.view.height == 4 and small.view.width == 6
    assert float(small.image[1, 3].min()) == 1 and float(small.image.sum()) == 3
    # the middle of the image is the middle of the smaller one
    torch.testing.assert_close(small.view.centre, torch.tensor([2.5, 1.5]))
    torch.testing.assert_close(small.view.focal, torch.tensor([5.0, 5.0]))
