"""NPR's layers beside attention: norms over points and small networks (docs/specs/npr.md, section 3).

Point features are (B, N, C).
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.distributed import all_sum, world_size

NormStatistics = Literal["batch", "running"]
TrainNorm = Literal["sample", "batch"]


class PointNorm(nn.BatchNorm1d):
    """Batch normalisation over points, with a choice of statistics. State as `nn.BatchNorm1d`.

    The original evaluates in training mode, one sample at a time (docs/specs/npr.md, section 13). `batch` gives its numbers
    for any batch: the statistics of each sample's own points, without touching the running ones.

    Attributes:
        statistics: in evaluation: `batch` (of the sample itself) or `running`.
        train_norm: in training: `sample`, each sample by its own points, which equals the original at its batch size of
            1 and does not depend on how a batch is spread over processes; or `batch`, over all samples together.
    """

    statistics: NormStatistics = "batch"
    train_norm: TrainNorm = "sample"

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C); statistics are computed in the precision of the weights, also under autocast."""
        return self._normalized(points.to(self.weight.dtype)).to(points.dtype)

    def _normalized(self, points: Tensor) -> Tensor:
        if not self.training and self.statistics == "running":
            mean, variance, _ = self._running()
            scale = self.weight * (variance + self.eps).rsqrt()
            return torch.addcmul(self.bias - mean * scale, points, scale)
        if self.training and self.train_norm == "batch":
            return super().forward(points.flatten(0, 1)).view_as(points)
        mean = points.mean(dim=1, keepdim=True)
        centred = points - mean
        variance = centred.square().mean(dim=1, keepdim=True)
        if self.training:
            self._track(mean.detach(), variance.detach(), points.shape[1])
        return torch.addcmul(self.bias, centred, self.weight * (variance + self.eps).rsqrt())

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics by the mean of the samples' own, of all processes."""
        current = torch.stack([mean.mean(0)[0], variance.mean(0)[0] * (count / max(count - 1, 1))])
        current = all_sum(current) / world_size()
        momentum = self.momentum if self.momentum is not None else 0.1
        running_mean, running_variance, batches = self._running()
        running_mean.lerp_(current[0], momentum)
        running_variance.lerp_(current[1], momentum)
        batches += 1

    def _running(self) -> tuple[Tensor, Tensor, Tensor]:
        return cast(
            tuple[Tensor, Tensor, Tensor], (self.running_mean, self.running_var, self.num_batches_tracked)
        )


class PointConv(nn.Conv1d):
    """A 1x1 convolution on (B, N, C): a linear layer whose weight has the original's trailing dimension."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 1)

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        return F.linear(points, self.weight[..., 0], self.bias)


class ElementwiseMLP(nn.Module):
    """norm(x + relu(norm(conv(relu(norm(conv x))))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = PointConv(width), PointNorm(width)
        self.conv2, self.bn2 = PointConv(width), PointNorm(width)
        self.bn3 = PointNorm(width)

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        hidden = F.relu(self.bn1(self.conv1(points)))
        return self.bn3(points + F.relu(self.bn2(self.conv2(hidden))))


def mlp(inputs: int, width: int) -> nn.Sequential:
    """Linear, ReLU, Linear."""
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))


def parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer."""
    return cast(tuple[Tensor, Tensor], (layer.weight, layer.bias))
