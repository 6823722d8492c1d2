"""Percentage of correct keypoints of poses and motion clips."""

from __future__ import annotations

from typing import Any

import torch
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
        share = correct_share(position_error(pred_joints, true_joints), self.radius)
        self._add(share, pred_joints.ndim == 4, lengths)


def correct_share(distances: Tensor, radius: float = 0.15) -> Tensor:
    """Share of joints, percent (...), whose distances (..., J) in metres are at most `radius`."""
    return 100 * (distances <= radius).to(distances.dtype).mean(-1)


def correct_area(distances: Tensor, radius: float = 0.15, count: int = 31) -> Tensor:
    """Area under the curve of `correct_share`, percent (...), over `count` even radii from 0 to `radius`.

    31 radii up to 0.15 m are the published ones (Mehta et al., 3DV 2017).
    """
    radii = torch.linspace(0, radius, count, dtype=distances.dtype, device=distances.device)
    return 100 * (distances[..., None] <= radii).to(distances.dtype).mean((-1, -2))
