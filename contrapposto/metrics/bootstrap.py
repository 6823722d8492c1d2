"""Intervals of means over clips by resampling the clips (Efron, "Bootstrap methods", 1979)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, *, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean.

    Args:
        values: one per clip; those that are not finite are left out.
        confidence: of the interval, in (0, 1).
        draws: samples of the clips with replacement.
        seed: of the samples.

    Returns:
        Lower and upper end; NaN where there is no value.
    """
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return float("nan"), float("nan")
    chosen = np.random.default_rng(seed).integers(0, len(numbers), (draws, len(numbers)))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(numbers[chosen].mean(1), [tail, 100 - tail])
    return float(low), float(high)
