"""Keyed random numbers: distribution, independence, and that nothing but the key matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from contrapposto.nn.random import keyed_integers, keyed_normal, keyed_uniform

IDS = torch.arange(200)


@pytest.mark.parametrize("draw", [keyed_uniform, keyed_normal])
def test_a_number_depends_on_its_key_only(draw):
    together = draw(3, 7, IDS, (4, 5), "noise")
    alone = torch.cat([draw(3, 7, IDS[i : i + 1], (4, 5), "noise") for i in range(len(IDS))])
    assert torch.equal(together, alone)
    shuffled = torch.randperm(len(IDS))
    assert torch.equal(draw(3, 7, IDS[shuffled], (4, 5), "noise"), together[shuffled])
    # A longer row starts with the shorter one.
    assert torch.equal(draw(3, 7, IDS, (50,), "noise")[:, :20], together.flatten(1))


def test_known_values():
    """The hash written again with Python's integers, so that a change or a platform shows."""

    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    golden = 0x9E3779B97F4A7C15
    key = 0
    for part in (3, 7, 2):
        key = mix(key ^ mix((part + golden) % 2**64))
    expected = []
    for sample in (0, 5, 2**40):
        base = mix((mix((sample * golden + key) % 2**64) + mix(key ^ 0xBF58476D1CE4E5B9)) % 2**64)
        expected.append([mix((base + i * golden) % 2**64) >> 40 for i in (1, 2, 3)])
    got = keyed_uniform(3, 7, torch.tensor([0, 5, 2**40]), (3,), stream=2)
    assert (got * 2**24).long().tolist() == expected


@pytest.mark.parametrize(
    ("draw", "distribution"), [(keyed_uniform, stats.uniform.cdf), (keyed_normal, stats.norm.cdf)]
)
def test_distribution(draw, distribution):
    values = draw(11, 0, IDS, (500,)).double().numpy()
    assert stats.kstest(values.ravel(), distribution).pvalue > 1e-3
    # Also along every axis of the key: many samples, many steps, many seeds, many streams, one number each.
    for numbers in (
        draw(11, 0, torch.arange(20000), (1,)),
        torch.cat([draw(11, step, IDS[:4], (2,)) for step in range(1000)]),
        torch.cat([draw(seed, 0, IDS[:4], (2,)) for seed in range(1000)]),
        torch.cat([draw(11, 0, IDS[:4], (2,), f"stream {i}") for i in range(1000)]),
    ):
        assert stats.kstest(numbers.double().numpy().ravel(), distribution).pvalue > 1e-3


@pytest.mark.parametrize("lag", ["position", "sample", "step", "seed", "stream"])
def test_neighbouring_keys_are_uncorrelated(lag):
    first = keyed_normal(5, 9, IDS, (500,), 1)
    other = {
        "position": keyed_normal(5, 9, IDS, (501,), 1)[:, 1:],
        "sample": keyed_normal(5, 9, IDS + 1, (500,), 1),
        "step": keyed_normal(5, 10, IDS, (500,), 1),
        "seed": keyed_normal(6, 9, IDS, (500,), 1),
        "stream": keyed_normal(5, 9, IDS, (500,), 2),
    }[lag]
    correlation = np.corrcoef(first.numpy().ravel(), other.numpy().ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(first.numel())


def test_moments():
    normal = keyed_normal(1, 2, torch.arange(1000), (1000,)).double()
    assert abs(float(normal.mean())) < 0.005
    assert float(normal.var()) == pytest.approx(1, abs=0.01)
    assert float((normal**4).mean()) == pytest.approx(3, abs=0.05)
    assert normal.isfinite().all()
    uniform = keyed_uniform(1, 2, torch.arange(1000), (1000,)).double()
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.002)
    assert float(uniform.var()) == pytest.approx(1 / 12, abs=0.001)
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1


def test_integers_are_even():
    values = keyed_integers(1, 2, torch.arange(300), (100,), 7, "time")
    assert stats.chisquare(np.bincount(values.numpy().ravel(), minlength=7)).pvalue > 1e-3
    assert values.min() == 0
    assert values.max() == 6
    assert keyed_integers(1, 2, IDS, (1,), 2**31).max() > 2**30


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree():
    for draw in (keyed_uniform, keyed_normal):
        there = draw(3, 7, IDS.cuda(), (300,), "noise").cpu()
        torch.testing.assert_close(there, draw(3, 7, IDS, (300,), "noise"), rtol=1e-6, atol=1e-7)
