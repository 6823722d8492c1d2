"""Losses of splat avatars against the metrics and a plain mean."""

import numpy as np
import pytest
import torch

from contrapposto.metrics.image import ssim
from contrapposto.systems.anerf.data.images import ImageOptions, ImageSampler
from contrapposto.systems.anerf.splats.fit import Subject, TrainingOptions
from contrapposto.systems.anerf.splats.losses import LossWeights, Target, structural_similarity
from contrapposto.systems.anerf.splats.model import SplatOptions
from contrapposto.systems.anerf.view import View
from tests.lightning_modules.anerf_tiny import write_sticks


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


def test_a_tinted_light_costs_and_a_grey_one_does_not(tmp_path):
    scene = write_sticks(tmp_path)
    subject = Subject.of_scene(scene, SplatOptions(gaussians=100))
    batch = ImageSampler(scene, ImageOptions(), seed=0, images=scene.split("train")).batch(0)
    options, costs = TrainingOptions(weights=LossWeights(light=1.0)), []
    for first in ([1.0, 1.0, 1.0], [0.6, 0.6, 0.6], [1.3, 0.7, 0.7]):
        with torch.no_grad():
            subject.avatar.light[0] = torch.tensor(first)
        costs.append(float(subject.terms(batch, 0.0, options)[0]["light"].detach()))
    assert costs[0] == costs[1] == 0 and costs[2] > 1


def test_images_whose_masks_miss_the_person_are_not_learnt_from(tmp_path):
    """A mask elsewhere, and an empty one; one that lacks a part of the person is learnt from."""
    scene = write_sticks(tmp_path)
    images, masks = scene.split("train"), np.array(scene.masks)
    corner = np.zeros(scene.hw, bool)
    corner[:3, :3] = True
    lower = scene.mask(images[2]).copy()
    lower[: scene.hw[0] // 2] = False
    for image, mask in zip(images, (corner, np.zeros(scene.hw, bool), lower)):
        masks[image] = mask.reshape(masks[image].shape)
    scene.masks = masks
    sampler = ImageSampler(scene, ImageOptions(), seed=0, images=images)
    assert sampler.images.tolist() == images[2:].tolist() and sampler.left_out == 2
