"""Errors of posed meshes by group of targets, as torchmetrics: the classes over `contrapposto.metrics.mesh`.

`update` takes a batch of B posed meshes of one connectivity and the name of their group; `compute` gives the mean over
the meshes of each group that occurred, so that unseen poses, unseen shapes and other connectivity stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from contrapposto.metrics.mesh import jacobian_error, point_distance

GROUPS = ("unseen_poses", "unseen_shapes", "other_connectivity")


class GroupedMean(Metric):
    """Means by group.

    Args:
        groups: their names.
        scale: what the means are multiplied by.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self, groups: Sequence[str] = GROUPS, scale: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups, self.scale = tuple(groups), scale
        self.add_state("total", torch.zeros(len(self.groups), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(len(self.groups), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, values: Tensor, group: str) -> None:
        """Add values (B,) of a group.

        Raises:
            ValueError: an unknown group.
        """
        place = self.groups.index(group)
        self.total[place] += values.double().sum()
        self.count[place] += len(values)

    def compute(self) -> dict[str, Tensor]:
        """Mean of each group that has members."""
        means = self.scale * self.total / self.count
        return {name: mean.float() for name, mean, count in zip(self.groups, means, self.count) if count > 0}


class MeshDistance(GroupedMean):
    """Point-wise mesh distance by group; see `point_distance`.

    Args:
        squared, centred: see there.
        groups, scale, kwargs: see `GroupedMean`; PMD is usually printed in thousandths (`scale=1000`).
    """

    def __init__(
        self,
        *,
        squared: bool = True,
        centred: bool = True,
        groups: Sequence[str] = GROUPS,
        scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(groups, scale, **kwargs)
        self.squared, self.centred = squared, centred

    def update(self, predicted: Tensor, truth: Tensor, group: str) -> None:
        """Add meshes (B, V, 3)."""
        self.add(point_distance(predicted, truth, squared=self.squared, centred=self.centred), group)


class JacobianError(GroupedMean):
    """Area-weighted root mean square difference of Jacobians by group; see `jacobian_error`."""

    def update(self, predicted: Tensor, truth: Tensor, areas: Tensor, group: str) -> None:
        """Add fields (B, F, 3, 3) with the areas (B, F) of the templates' faces."""
        pairs = zip(predicted, truth, areas)
        self.add(torch.stack([jacobian_error(*pair) for pair in pairs]), group)
