"""Noise schedule and sampler against the definitions."""

from __future__ import annotations

import math

import pytest
import torch

from contrapposto.nn.diffusion import DiffusionSchedule, cosine_alphas


def test_cosine_schedule():
    alphas = cosine_alphas(100)

    def curve(t):
        return math.cos((t / 100 + 0.008) / 1.008 * math.pi / 2) ** 2

    product = 1.0
    for step in range(100):
        product *= 1 - min(1 - curve(step + 1) / curve(step), 0.999)
        assert float(alphas[step]) == pytest.approx(product, rel=1e-9)


def test_a_perfect_guess_leads_back_to_the_sample():
    schedule = DiffusionSchedule()
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    for count in (1, 2, 5, 50):
        pairs = schedule.transitions(count)
        current = schedule.add_noise(clean, noise, torch.full((2,), pairs[0][0]))
        for step, previous in pairs:
            expected = schedule.add_noise(clean, noise, torch.full((2,), step))
            torch.testing.assert_close(current, expected, atol=1e-4, rtol=1e-4)
            current = schedule.step(clean, current, step, previous)
        final = schedule.add_noise(clean, noise, torch.full((2,), max(pairs[-1][1], 0)))
        torch.testing.assert_close(current, final, atol=1e-4, rtol=1e-4)


def test_eta_one_keeps_the_variance_of_the_process():
    schedule = DiffusionSchedule()
    clean = torch.zeros(200_000)
    current = schedule.add_noise(clean[:, None], torch.randn(200_000, 1), torch.full((200_000,), 800))
    moved = schedule.step(clean[:, None], current, 800, 600, eta=1.0, noise=torch.randn(200_000, 1))
    assert float(moved.var()) == pytest.approx(1 - float(schedule.alphas[600]), rel=0.02)
    with pytest.raises(ValueError, match="noise"):
        schedule.step(clean, clean, 800, 600, eta=1.0)


def test_steps():
    schedule = DiffusionSchedule()
    assert schedule.inference_steps(5) == [800, 600, 400, 200, 0]
    assert schedule.transitions(5) == [(800, 600), (600, 400), (400, 200), (200, 0)]
    assert schedule.transitions(5, skip_idle=False)[-1] == (0, -200)
    assert schedule.transitions(1) == [(800, 0)]  # not the idle one, which would be the only one
    assert schedule.transitions(1, skip_idle=False) == [(0, -1000)]
    for count in (0, 1001):
        with pytest.raises(ValueError, match="count"):
            schedule.inference_steps(count)
    assert not schedule.state_dict()
