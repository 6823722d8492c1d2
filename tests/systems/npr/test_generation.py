"""Pose diffusion and refinement: schedules, sampling, scaling, losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.systems.npr import FeatureDiffusion, KeypointDiffusion, PoseRefiner, RefinementLosses
from contrapposto.systems.npr.schedule import NoiseSchedule
from tests.mesh.shapes import bent, rotation, sphere
from tests.systems.npr.test_model import small

TINY = {"width": 32, "heads": 2, "layers": 2, "time_width": 16}


@pytest.fixture
def stages():
    torch.manual_seed(0)
    return KeypointDiffusion(**TINY), FeatureDiffusion(8, **TINY)


def test_sizes_of_the_reference_networks():
    assert sum(p.numel() for p in KeypointDiffusion().parameters()) == 15_038_211
    assert sum(p.numel() for p in FeatureDiffusion().parameters()) == 37_353_472


def test_schedule_is_that_of_the_ddpm_paper():
    schedule = NoiseSchedule(50)
    betas = np.linspace(1e-4, 5e-2, 50)
    bars = np.cumprod(1 - betas)
    assert np.allclose(schedule.alpha_bars[1:], bars, rtol=1e-5) and schedule.alpha_bars[0] == 1
    clean, noise = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    steps = torch.tensor([7, 50])
    noisy = schedule.add_noise(clean, noise, steps)
    assert torch.allclose(noisy[0], np.sqrt(bars[6]) * clean[0] + np.sqrt(1 - bars[6]) * noise[0], atol=1e-5)
    # One step of the posterior q(x_{t-1} | x_t, x_0), written with the clean sample (Ho et al., equation 7).
    t, previous = 7, bars[5]
    mean = np.sqrt(previous) * betas[6] / (1 - bars[6]) * clean[0]
    mean = mean + np.sqrt(1 - betas[6]) * (1 - previous) / (1 - bars[6]) * noisy[0]
    assert torch.allclose(schedule.previous(noisy[0], noise[0], t, None), mean.float(), atol=1e-4)
    assert torch.allclose(schedule.jump(noisy[0], noise[0], t, 0), clean[0], atol=1e-4)
    with pytest.raises(ValueError, match="schedule"):
        NoiseSchedule(0)


def test_draws_depend_on_seed_and_number_alone(stages):
    keypoints, features = stages
    keypoints.schedule = features.schedule = NoiseSchedule(10)
    together = keypoints.sample(3, torch.arange(4), 12)
    assert torch.allclose(keypoints.sample(3, torch.tensor([2]), 12), together[2:3], atol=1e-5)
    assert not torch.allclose(keypoints.sample(4, torch.tensor([2]), 12), together[2:3], atol=1e-2)
    drawn = features.sample(3, torch.arange(4), 12, together, steps=4)
    assert drawn.shape == (4, 12, 8) and torch.isfinite(drawn).all()
    swapped = features.sample(3, torch.arange(4), 12, together[:, [1, 0, *range(2, 12)]], steps=4)
    assert not torch.allclose(drawn, swapped, atol=1e-3)  # features belong to their keypoints
    with pytest.raises(ValueError, match="keypoints"):
        features.sample(3, torch.arange(4), 12)


def test_scaling_travels_and_is_undone(stages):
    keypoints, features = stages
    data = torch.randn(20, 12, 3) * torch.tensor([1.0, 5, 10]) + 7
    keypoints.fit_scaling(data, per_channel=False)
    features.share_scaling(keypoints)
    scaled = keypoints.normalize(data)
    assert scaled.std() == pytest.approx(1, abs=0.01) and scaled.std((0, 1))[2] > 5 * scaled.std((0, 1))[0]
    assert torch.allclose(keypoints.denormalize(scaled), data, atol=1e-4)
    assert torch.equal(features.condition_mean, keypoints.mean) and "scale" in keypoints.state_dict()
    features.fit_scaling(torch.randn(20, 12, 8) * torch.arange(1, 9), per_channel=True)
    assert torch.allclose(features.scale, torch.arange(1, 9).float(), rtol=0.2)


@pytest.mark.parametrize("time_input", ["beta", "step"])
def test_a_diffusion_learns_one_pose(time_input):
    torch.manual_seed(0)
    model = KeypointDiffusion(**TINY, schedule=NoiseSchedule(20, 1e-2, 0.5), time_input=time_input)
    pose = torch.randn(1, 6, 3).expand(64, -1, -1)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(150):
        loss = model.loss(pose, torch.randn(64, 6, 3), torch.randint(1, 21, (64,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])


def test_refinement_losses_vanish_at_the_template_and_ignore_what_they_should():
    mesh = sphere(1)
    template = PoissonSolver(mesh.vertices, mesh.faces)
    rest = template.vertices[None]
    turned = rest @ torch.from_numpy(rotation(0)).T
    blind, literal = (RefinementLosses(template, rotation_invariant=flag) for flag in (True, False))
    assert literal.laplacian(rest) == 0 and literal.edge(rest) == 0
    assert blind.laplacian(turned) < 1e-12 < literal.laplacian(turned)
    assert literal.edge(turned) < 1e-12 < literal.edge(1.1 * rest)
    vertices = (rest + 0.1 * torch.randn_like(rest)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: blind.laplacian(v) + literal.laplacian(v) + literal.edge(v), (vertices,)
    )


def test_refinement_lowers_its_loss_and_reaches_only_the_refiner():
    torch.manual_seed(0)
    mesh = sphere(2)
    template, model = PoissonSolver(mesh.vertices, mesh.faces), small().eval().requires_grad_(False)
    poses = torch.from_numpy(np.stack([bent(mesh.vertices, a) for a in (0.3, 0.8)])).float()
    before = model.encode(template, poses)
    refiner, losses = PoseRefiner(24, 32, 2, 1), RefinementLosses(template)
    assert torch.equal(refiner.refine(model.encoder, before).features, before.features)
    optimizer, totals = torch.optim.Adam(refiner.parameters(), 1e-3), []
    for _ in range(15):
        after = refiner.refine(model.encoder, before)
        vertices = model.apply_pose(template, after)
        loss = losses(vertices, before, after)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        totals.append(loss.total.item())
    assert totals[-1] < totals[0]
    assert loss.total.item() == pytest.approx(
        (loss.laplacian + loss.edge + 0.05 * loss.regularization).item()
    )
