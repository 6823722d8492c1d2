"""Smooth functions of time: ramps, keyframed curves, slow noise, filters. Vectorised over frames; no state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d

Array = np.ndarray


def minimum_jerk(fraction: Array) -> Array:
    """Rise from 0 to 1 with no velocity and no acceleration at both ends; held outside [0, 1] (Flash & Hogan 1985)."""
    u = np.clip(fraction, 0.0, 1.0)
    return u * u * u * (10 - 15 * u + 6 * u * u)


def keyed(times: Array, keys: Sequence[tuple[float, float]], sigma: float, rate: float) -> Array:
    """Curve through (seconds, value) keys without overshoot, rounded by a Gaussian of `sigma` seconds.

    Args:
        times: (F,) uniform seconds at `rate` per second; the ends of the keys are held.
        keys: strictly increasing in time.
        sigma: 0 leaves the monotone cubic as it is.
        rate: samples per second of `times`.
    """
    if len(keys) == 1:
        return np.full(len(times), float(keys[0][1]))
    at, values = np.array(keys, float).T
    curve = PchipInterpolator(at, values)(np.clip(times, at[0], at[-1]))
    return gaussian_filter1d(curve, sigma * rate, mode="nearest") if sigma > 0 else curve


def slow_noise(times: Array, generator: np.random.Generator, channels: int, low: float, high: float) -> Array:
    """(F, channels) smooth noise of unit variance with frequencies from `low` to `high` Hz: a sum of six sines."""
    count = 6
    frequency = np.exp(generator.uniform(np.log(low), np.log(high), (count, channels)))
    phase = generator.uniform(0, 2 * np.pi, (count, channels))
    weight = generator.uniform(0.5, 1.0, (count, channels))
    weight *= np.sqrt(2.0 / (weight**2).sum(0))
    result = np.zeros((len(times), channels))
    for f, p, w in zip(frequency, phase, weight):
        result += w * np.sin(2 * np.pi * f * times[:, None] + p)
    return result


def capped(curve: Array, bound: Array, width: int) -> Array:
    """`curve`, smoothly lowered around the frames where it is above `bound`; at or under the bound everywhere.

    What is too much, maximised over a window and averaged over the same window, is never less than the value in the
    window's middle; averaging three times makes the result twice differentiable. Elsewhere the curve stays as it is.
    """
    third = max(width // 3, 1) | 1
    excess = maximum_filter1d(np.maximum(curve - bound, 0.0), 3 * third, mode="nearest")
    for _ in range(3):
        excess = uniform_filter1d(excess, third, mode="nearest")
    return curve - excess


def soft_minimum(first: Array, second: Array, width: Array) -> Array:
    """Less than the smaller of both, by half of `width` where they are equal and by almost nothing far from there."""
    gap = first - second
    return 0.5 * (first + second - np.sqrt(gap * gap + width * width))
