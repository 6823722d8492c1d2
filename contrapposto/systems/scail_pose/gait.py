"""Somebody who walks or repeats a movement, while others hide them: they go on as they did before and do afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHORTEST, _LONGEST, _STEP = 0.7, 1.7, 0.02  # seconds of a repetition, and between those that are tried
_LIMBS = (4, 5, 7, 8, 18, 19, 20, 21)  # joints that tell
_SAME = 0.8  # of the difference after other times: what repeats itself differs by less
_TIMES = 3  # repetitions that are compared
_DOUBTFUL = 0.12  # seconds before and after an absence: half hidden people are seen badly


def repetition(relative: np.ndarray, fps: float) -> float | None:
    """Frames after which a movement repeats itself, None where it does not.

    Args:
        relative: (T, 24, 3) joints about the pelvis, NaN where unknown.
        fps: frames per second.
    """
    limbs = relative[:, _LIMBS].reshape(len(relative), -1)
    known = np.isfinite(limbs).all(axis=1)
    if known.sum() < _SHORTEST * fps:
        return None
    times = np.arange(len(relative))
    periods, errors = np.arange(_SHORTEST, _LONGEST, _STEP) * fps, []
    for period in periods:
        apart = [
            np.abs(at(limbs, times + count * period) - limbs).mean(axis=1) for count in range(1, _TIMES + 1)
        ]
        here = np.concatenate(apart)
        here = here[np.isfinite(here)]
        errors.append(here.mean() if len(here) >= 0.5 * period else np.nan)
    return _valley(periods, np.array(errors))


def _valley(periods: np.ndarray, errors: np.ndarray) -> float | None:
    """The period with the least error, if shorter and longer ones are worse: slow movements differ less the sooner."""
    if not np.isfinite(errors).any():
        return None
    best = int(np.nanargmin(errors))
    sides = [side[np.isfinite(side)] for side in (errors[:best], errors[best + 1 :])]
    walls = min(float(side.max(initial=0.0)) for side in sides)
    return float(periods[best]) if errors[best] < _SAME * walls else None


def go_on(joints: np.ndarray, spans: Sequence[tuple[int, int]], fps: float) -> np.ndarray:
    """Joints (T, 24, 3) with spans of frames, in which the pelvis is known, filled by what is repeated before and after.

    Spans stay as they are where nothing repeats itself.
    """
    if not len(spans):
        return joints
    # Frames in which somebody is half hidden are of use where little else is seen.
    for more in range(round(_DOUBTFUL * fps), -1, -1):
        wider = [(max(start - more, 0), min(stop + more, len(joints))) for start, stop in spans]
        relative = joints - joints[:, :1]
        for start, stop in wider:
            relative[start:stop] = np.nan
        if (period := repetition(relative, fps)) is not None:
            return _repeat(joints, relative, wider, period)
    return joints


def _repeat(
    joints: np.ndarray, relative: np.ndarray, spans: Sequence[tuple[int, int]], period: float
) -> np.ndarray:
    """Joints with spans filled by what is known of them, `relative` to the pelvis, whole periods before and after."""
    filled = joints.copy()
    for start, stop in spans:
        times = np.arange(start, stop)
        share = ((times - start + 1) / (stop - start + 1))[:, None, None]
        before, after = (_nearest(relative, times, sign * period) for sign in (-1, 1))
        mixed = (1 - share) * before + share * after
        mixed = np.where(np.isfinite(mixed), mixed, np.where(np.isfinite(before), before, after))
        new = joints[start:stop, :1] + mixed
        filled[start:stop] = np.where(np.isfinite(new), new, joints[start:stop])
    return filled


def _nearest(relative: np.ndarray, times: np.ndarray, period: float) -> np.ndarray:
    """What is known a whole number of periods away, as few as possible."""
    known = np.full((len(times), *relative.shape[1:]), np.nan)
    for count in range(1, int(len(relative) / abs(period)) + 1):
        known = np.where(np.isfinite(known), known, at(relative, times + count * period))
    return known


def at(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Values (T, ...) at fractions of frames, NaN where one of the two frames is not known."""
    low = np.floor(times).astype(int)
    inside = (low >= 0) & (low + 1 < len(values))
    low = np.where(inside, low, 0)
    share = (times - low).reshape(-1, *[1] * (values.ndim - 1))
    mixed = (1 - share) * values[low] + share * values[low + 1]
    return np.where(inside.reshape(share.shape), mixed, np.nan)
