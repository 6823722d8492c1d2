"""How far the poses of an avatar are from the truth, before and after their refinement."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.metrics.functional import position_error, procrustes_align
from contrapposto.metrics.pck import correct_area, correct_share


def pose_errors(
    refined: Tensor | None, initial: Tensor, truth: Tensor | None, millimetres: float
) -> dict[str, Tensor]:
    """Errors (1,) of one pose: `mpjpe`, `pampjpe`, `pck`, `auc` of the refined one, `..._before` of the initial one.

    Poses are aligned at the root for `mpjpe` in mm, `pck` (within 150 mm) and its area `auc` in percent; after a
    similarity for `pampjpe` in mm. All are NaN where the truth is not known.

    Args:
        refined: (J, 3) joints; None where poses are not refined: then both are the initial one's.
        initial: (J, 3) joints that the refinement began with.
        truth: (J, 3) joints.
        millimetres: length of one unit.
    """
    errors = {}
    for suffix, result in (("", initial if refined is None else refined), ("_before", initial)):
        for name, value in _errors(result, truth, millimetres).items():
            errors[f"{name}{suffix}"] = value
    return errors


def _errors(result: Tensor, truth: Tensor | None, millimetres: float) -> dict[str, Tensor]:
    if truth is None:
        return dict.fromkeys(("mpjpe", "pampjpe", "pck", "auc"), torch.full((1,), torch.nan))
    centred = (result - result[:1])[None], (truth - truth[:1])[None]
    metres = millimetres / 1000 * position_error(*centred)
    aligned = procrustes_align(*centred, reflection=True)
    return {
        "mpjpe": 1000 * metres.mean(-1),
        "pampjpe": millimetres * position_error(aligned, centred[1]).mean(-1),
        "pck": correct_share(metres),
        "auc": correct_area(metres),
    }
