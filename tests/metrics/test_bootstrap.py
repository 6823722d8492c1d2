"""Bootstrap intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from contrapposto.metrics.bootstrap import bootstrap_interval


def test_as_scipy_computes_it() -> None:
    values = np.random.default_rng(1).gamma(2.0, 3.0, 60)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=20_000, method="percentile", rng=0
    ).confidence_interval
    low, high = bootstrap_interval(values, confidence=0.9, draws=20_000)
    assert low == pytest.approx(expected.low, rel=0.01) and high == pytest.approx(expected.high, rel=0.01)


def test_clips_without_a_value_are_left_out() -> None:
    assert bootstrap_interval([2.0, math.nan, 2.0]) == (2.0, 2.0)
    assert all(math.isnan(end) for end in bootstrap_interval([math.nan]))
