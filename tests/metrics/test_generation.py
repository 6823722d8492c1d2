"""Metrics of generated sets against brute force and SciPy."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torchmetrics.classification import MultilabelAveragePrecision

from contrapposto.metrics import (
    ADE,
    APD,
    FDE,
    ActionAccuracy,
    Diversity,
    MeanAveragePrecision,
    Multimodality,
    generation,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_diversity_is_the_mean_of_all_distances(generator, monkeypatch):
    features = torch.randn(150, 7, generator=generator) * 0.01 + 1000
    monkeypatch.setattr(generation, "_ROWS", 32)
    metric = Diversity()
    for part in features.split(40):
        metric.update(part)
    assert float(metric.compute()) == pytest.approx(pdist(features.double().numpy()).mean(), rel=1e-6)
    shuffled = Diversity()
    shuffled.update(features[torch.randperm(150, generator=generator)])
    assert float(shuffled.compute()) == pytest.approx(float(metric.compute()), rel=1e-6)
    assert Diversity().compute().isnan()
    single = Diversity()
    single.update(features[:1])
    assert single.compute().isnan()


def test_multimodality_stays_within_classes(generator):
    labels = torch.zeros(60, 4)
    labels[torch.arange(60), torch.arange(60) % 3] = 1
    labels[5, 0] = 1  # has two classes
    features = torch.randn(60, 5, generator=generator) + 100 * (torch.arange(60) % 3)[:, None]
    metric = Multimodality()
    for part in range(0, 60, 25):
        metric.update(features[part : part + 25], labels[part : part + 25])
    expected = [pdist(features[labels[:, a] > 0].double().numpy()).mean() for a in range(3)]
    assert float(metric.compute()) == pytest.approx(np.mean(expected), rel=1e-5)
    assert generation.multimodality(features[:2], torch.eye(2)).isnan()


def test_sampled_figures_estimate_the_exact_ones(generator):
    features = torch.randn(80, 6, generator=generator)
    classes = torch.arange(80) % 4
    random = np.random.default_rng(0)
    pairs = torch.from_numpy(random.integers(0, 80, (20_000, 2)))
    exact = float(generation.mean_pairwise_distance(features)) * 79 / 80  # a pair may be one sample twice
    assert float(generation.sampled_diversity(features, pairs)) == pytest.approx(exact, rel=0.01)

    def draw(high):
        return int(random.integers(0, high))

    actual = generation.multimodality_by_quota(features, classes, draw, quota=1500, most=100_000)
    hot = torch.nn.functional.one_hot(classes)
    assert float(actual) == pytest.approx(float(generation.multimodality(features, hot)) * 19 / 20, rel=0.03)
    # One class of four occurs: the original divides by four quotas.
    one = torch.full((80,), 3)
    low = generation.multimodality_by_quota(features, one, draw, quota=100, most=10_000, original=True)
    assert float(low) == pytest.approx(exact / 4, rel=0.1)


def test_forecast_errors_by_hand():
    true = torch.zeros(1, 2, 1, 3)
    pred = torch.zeros(1, 3, 2, 1, 3)
    pred[0, 0, :, 0, 0] = torch.tensor([3.0, 5.0])  # mean 4, last 5
    pred[0, 1, :, 0, 1] = torch.tensor([8.0, 1.0])  # mean 4.5, last 1
    pred[0, 2, :, 0, 2] = torch.tensor([9.0, 9.0])
    ade, fde, apd = ADE(), FDE(), APD()
    ade.update(pred, true)
    fde.update(pred, true)
    apd.update(pred)
    assert float(ade.compute()) == 4
    assert float(fde.compute()) == 1
    assert float(apd.compute()) == pytest.approx(pdist(pred[0].flatten(1).numpy()).mean(), rel=1e-6)
    ade.update(true[:, None], true)
    assert float(ade.compute()) == 2
    with pytest.raises(ValueError, match="two or more"):
        apd.update(pred[:, :1])


def brute_force_precision(scores, hits):
    order = np.argsort(-scores, kind="stable")
    hits = hits[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return (precision * hits).sum() / hits.sum()


def test_average_precision_against_its_definition(generator):
    logits = torch.randn(90, 5, generator=generator) * 40  # sigmoids of these are 0 or 1 in float32
    labels = (torch.rand(90, 5, generator=generator) < 0.2).long()
    labels[:, 3] = 0
    expected = [brute_force_precision(logits[:, a].numpy(), labels[:, a].numpy()) for a in (0, 1, 2, 4)]
    for absent, mean in (("skip", np.mean(expected)), ("zero", np.sum(expected) / 5)):
        metric = MeanAveragePrecision(absent)
        metric.update(logits[:50], labels[:50])
        metric.update(logits[50:], labels[50:])
        assert float(metric.compute()) == pytest.approx(mean, rel=1e-5)
    mild = torch.rand(90, 5, generator=generator)
    labels[0, 3] = 1
    theirs = MultilabelAveragePrecision(5, average="macro")(mild, labels)
    assert float(generation.mean_average_precision(mild, labels)) == pytest.approx(float(theirs), rel=1e-5)
    assert generation.mean_average_precision(mild, torch.zeros(90, 5)).isnan()


def test_accuracy_counts_any_of_the_classes():
    logits = torch.tensor([[3.0, 1, 0], [0, 2, 1], [0, 1, 2], [5, 0, 0], [1, 0, 0]])
    labels = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    plain, by_class = ActionAccuracy(3), ActionAccuracy(3, "class")
    for metric in (plain, by_class):
        metric.update(logits[:2], labels[:2])
        metric.update(logits[2:], labels[2:])
    assert float(plain.compute()) == pytest.approx(3 / 4)
    assert float(by_class.compute()) == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert ActionAccuracy(3).compute().isnan()
