"""Percentage of correct keypoints of motion clips."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from contrapposto.metrics.clip import ClipMetric, Lengths
from contrapposto.metrics.functional import position_error


class PCK(ClipMetric):
    """Share of joints, percent, within a distance of where they should be (3DPCK: Mehta et al., 3DV 2017).

    Args:
        radius: the distance in metres; 0.15 is the one that is published.
        kwargs: see `ClipMetric`.
    """

    higher_is_better = True

    def __init__(self, radius: float = 0.15, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radius = radius

    def update(self, pred_joints: Tensor, true_joints: Tensor, lengths: Lengths = None) -> None:
        """Add clips: (T, J, 3) or (B, T, J, 3) metres; a joint that is not finite is not correct."""
        correct = position_error(pred_joints, true_joints) <= self.radius
        self._add(100 * correct.to(pred_joints.dtype).mean(-1), pred_joints.ndim == 4, lengths)
