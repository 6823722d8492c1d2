"""Filters for coordinates over time: outliers, gaps, and noise.

Series are (T, ...) with NaN where nothing is known; each number is a series of its own.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter


def without_outliers(values: np.ndarray, least: float, reach: int = 2, factor: float = 4.0) -> np.ndarray:
    """Points with the odd ones taken out: Hampel's filter about a line through the neighbours.

    Args:
        values: (T, ..., D) points.
        least: distance from where its neighbours in time say it is up to which a point is never odd.
        reach: neighbours on either side.
        factor: a point is odd beyond this many median distances of the neighbours.

    Returns:
        A copy, NaN at the odd points.
    """
    count = len(values)
    pad = [(reach, reach)] + [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, pad, constant_values=np.nan)
    near = np.stack([padded[i : i + count] for i in range(2 * reach + 1)])
    with np.errstate(all="ignore"):
        offsets = np.arange(-reach, reach + 1).reshape(-1, *[1] * values.ndim)
        near = near - offsets * _nanmedian(np.diff(near, axis=0))
        middle = _nanmedian(near)
        spread = _nanmedian(np.linalg.norm(near - middle, axis=-1))
    away = np.linalg.norm(values - middle, axis=-1)
    odd = away > np.maximum(factor * 1.4826 * spread, least)
    return np.where(odd[..., None], np.nan, values)


def fill_gaps(values: np.ndarray, longest: int) -> np.ndarray:
    """Series (T, ...) with gaps of up to `longest` frames between known values filled by straight lines."""
    filled = np.array(values, np.float64)
    table = filled.reshape(len(values), -1)
    for column in table.T:
        for start, stop in runs(~np.isfinite(column)):
            if start > 0 and stop < len(column) and stop - start <= longest:
                ends = [start - 1, stop]
                column[start:stop] = np.interp(np.arange(start, stop), ends, column[ends])
    return filled


def savitzky_golay(values: np.ndarray, window: int, order: int = 2) -> np.ndarray:
    """Series (T, ...) smoothed by local polynomials, each run of known values by itself.

    Args:
        values: (T, ...).
        window: frames, made odd; shorter runs are smoothed by what fits.
        order: of the polynomials.
    """
    smooth = np.array(values, np.float64)
    table = smooth.reshape(len(values), -1)
    patterns, owner = np.unique(np.isfinite(table), axis=1, return_inverse=True)
    for number, known in enumerate(patterns.T):
        columns = np.flatnonzero(owner.ravel() == number)  # known in the same frames: filtered together
        for start, stop in runs(known):
            width = min(window | 1, stop - start if (stop - start) % 2 else stop - start - 1)
            if width > order + 1:
                table[start:stop, columns] = savgol_filter(table[start:stop, columns], width, order, axis=0)
    return smooth


def runs(known: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


class OneEuro:
    """A low-pass filter without delay where it matters: slow motion is smoothed, fast motion is followed.

    Source: Casiez, Roussel, Vogel: 1 Euro Filter, CHI 2012.

    Args:
        least_cutoff: Hz, for values that stand still.
        slope: Hz more for each unit per second of speed.
        speed_cutoff: Hz, of the filter of the speed.
    """

    def __init__(self, least_cutoff: float = 1.0, slope: float = 0.01, speed_cutoff: float = 1.0) -> None:
        self.least_cutoff, self.slope, self.speed_cutoff = least_cutoff, slope, speed_cutoff
        self._time, self._value, self._speed = 0.0, np.zeros(0), np.zeros(0)

    def __call__(self, time: float, value: np.ndarray) -> np.ndarray:
        """Filter the next value (...); where it is NaN it comes back so, and begins anew when it is known again.

        Args:
            time: seconds, later than the last one.
            value: as many numbers as the first time.
        """
        value = np.asarray(value, np.float64)
        step = time - self._time
        if not self._value.size or step <= 0:
            self._time, self._value, self._speed = time, value, np.zeros_like(value)
            return value
        raw = (value - self._value) / step
        share = _share(self.speed_cutoff, step)
        speed = np.where(np.isfinite(raw), share * raw + (1 - share) * self._speed, 0.0)
        weight = _share(self.least_cutoff + self.slope * np.abs(speed), step)
        mixed = weight * value + (1 - weight) * self._value
        self._time, self._speed = time, speed
        self._value = np.where(np.isfinite(mixed), mixed, value)
        return self._value


def _share(cutoff: np.ndarray | float, step: float) -> np.ndarray:
    """Weight of the new value in an exponential filter."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step)))


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over the first axis without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    pick = [np.take_along_axis(ordered, np.minimum(i, len(values) - 1)[None], axis=0)[0] for i in (low, high)]
    return np.where(count > 0, (pick[0] + pick[1]) / 2, np.nan)
