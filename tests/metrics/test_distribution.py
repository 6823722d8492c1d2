"""Codebook metrics and Fréchet distance against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from contrapposto import metrics


def test_codebook_metrics_against_scipy():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, 16, 400), rng.integers(0, 5, 400)], axis=1).reshape(20, 20, 2)
    padded = torch.from_numpy(codes.copy())
    padded[3, 5:] = -1
    flat = np.concatenate([codes[i, : 5 if i == 3 else 20] for i in range(20)])
    shares = [np.bincount(flat[:, book], minlength=16) / len(flat) for book in range(2)]
    use, perplexity, histogram = (
        kind(2, 16) for kind in (metrics.CodebookUse, metrics.CodebookPerplexity, metrics.CodebookHistogram)
    )
    for metric in (use, perplexity, histogram):
        metric.update(padded[:7])
        metric.update(padded[7:])
    assert float(use.compute()) == pytest.approx((16 + 5) / 32)
    expected = np.mean([np.exp(scipy.stats.entropy(share)) for share in shares])
    assert float(perplexity.compute()) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(histogram.compute().numpy(), shares, atol=1e-6)
    with pytest.raises(ValueError, match="code 16"):
        use.update(torch.full((1, 2), 16))
    with pytest.raises(ValueError, match="books"):
        use.update(torch.zeros(4, 3, dtype=torch.int64))


def reference_fid(a, b):
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    cross = scipy.linalg.sqrtm(first @ second)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * cross.real)


def test_frechet_distance_against_scipy():
    rng = np.random.default_rng(1)
    mix = rng.normal(size=(12, 12))
    a = (rng.normal(size=(300, 12)) @ mix + 100).astype(np.float32)  # a large mean: cancellation would show
    b = (rng.normal(size=(250, 12)) + 99).astype(np.float32)
    metric = metrics.FrechetDistance(12)
    for part in np.array_split(a, 3):
        metric.update(pred_features=torch.from_numpy(part))
    metric.update(true_features=torch.from_numpy(b.reshape(25, 10, 12)))
    expected = reference_fid(a.astype(np.float64), b.astype(np.float64))
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_fewer_samples_than_features():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(20, 64)), rng.normal(size=(15, 64)) + 0.3
    metric = metrics.FrechetDistance(64)
    metric.update(torch.from_numpy(a), torch.from_numpy(b))
    # Independent of sqrtm (singular here): the nuclear norm of the product of centred factors.
    first, second = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = shift + (first**2).sum() + (second**2).sum() - 2 * cross
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_edges():
    metric = metrics.FrechetDistance(3)
    assert torch.isnan(metric.compute())
    same = torch.randn(50, 3)
    metric.update(same, same)
    assert abs(float(metric.compute())) < 1e-6
    with pytest.raises(ValueError, match="features"):
        metric.update(torch.zeros(4, 2))
