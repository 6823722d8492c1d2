"""PoseGPT's metrics against the original's numbers."""

from __future__ import annotations

import pytest
import torch

from contrapposto.metrics import FrechetDistance, generation
from contrapposto.metrics.functional import frechet_distance
from contrapposto.systems.posegpt.losses import gaussian_nll, laplacian_nll, masked_mean
from tests.parity.golden import Case, parity


@parity("posegpt_metrics")
def test_metrics(case: Case) -> None:
    expected = case.manifest["scalars"]
    check_fid(case, expected)
    check_spread(case, expected)
    labels = case["labels"]
    batch = generation.mean_average_precision(case["map_logits"], labels[:16], absent="zero")
    assert float(batch) == pytest.approx(expected["compute_map_16"], rel=1e-5)
    whole = generation.MeanAveragePrecision(absent="zero")
    for start in range(0, 300, 64):
        whole.update(case["map_logits_all"][start : start + 64], labels[start : start + 64])
    assert 100 * float(whole.compute()) == pytest.approx(expected["classifier_mAP_percent"], rel=1e-5)
    mean = masked_mean(case["vr_x"], case["vr_mask"])
    case.check(mean, "vr_mean", tolerance=1e-5)
    a, b = case["nll_a"], case["nll_b"]
    case.check(gaussian_nll(a, b, 0.3), "gaussian_nll", tolerance=1e-6)
    case.check(laplacian_nll(a, b, 0.3), "laplacian_nll", tolerance=1e-6)


def check_fid(case: Case, expected: dict[str, float]) -> None:
    first, second = case["feats1"], case["feats2"]
    for true, key in ((second, "fid_1_2"), (first, "fid_1_1"), (first[:15], "fid_1_first15rows")):
        metric = FrechetDistance(24)
        metric.update(first, true)
        assert float(metric.compute()) == pytest.approx(expected[key], rel=1e-4, abs=1e-4), key
        moments = [(x.double().mean(0), torch.cov(x.double().T)) for x in (first, true)]
        actual = frechet_distance(*moments[0], *moments[1])
        assert float(actual) == pytest.approx(expected[key], rel=1e-5, abs=1e-6), key
    case.check(first.mean(0), "mu1", tolerance=1e-5)
    case.check(torch.cov(first.double().T).float(), "sigma1", tolerance=1e-5)


def check_spread(case: Case, expected: dict[str, float]) -> None:
    """Ten runs with the recorded draws; a sample stands there once for each of its labels."""
    rows, classes = case["labels"].nonzero(as_tuple=True)
    features = case["feats1"][rows]
    draws = iter(case["rand_draws"].tolist())
    diversity, multimodality = [], []
    for _ in range(10):
        first, second = ([next(draws) for _ in range(200)] for _ in range(2))
        pairs = torch.tensor([first, second]).T
        diversity.append(generation.sampled_diversity(features, pairs))
        multimodality.append(
            generation.multimodality_by_quota(features, classes, lambda _: next(draws), original=True)
        )
    assert next(draws, None) is None
    assert float(sum(diversity) / 10) == pytest.approx(expected["diversity"], rel=1e-5)
    assert float(sum(multimodality) / 10) == pytest.approx(expected["multimodality"], rel=1e-5)
    # What our own metrics give for all pairs agrees with the sampled figures.
    assert float(generation.mean_pairwise_distance(features)) == pytest.approx(
        expected["diversity"], rel=0.03
    )
    exact = generation.multimodality(case["feats1"], case["labels"])
    assert float(exact) == pytest.approx(expected["multimodality"], rel=0.05)
