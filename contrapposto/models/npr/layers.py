"""What NPR's extractor and applier are made of: norms over points, vector attention (sheet, sections 3 and 4).

Point features are (B, N, C). Attention works on flat pairs (point, neighbour); where no gradient is asked for it goes
through the points in chunks that stay in the processor's cache, so memory does not grow with the number of faces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.distributed import all_sum, world_size

NormStatistics = Literal["batch", "running"]
TrainNorm = Literal["sample", "batch"]

_CHUNK_PAIRS = 4096


class PointNorm(nn.BatchNorm1d):
    """Batch normalisation over points, with a choice of statistics. State as `nn.BatchNorm1d`.

    The original evaluates in training mode with one sample at a time (sheet, section 13). `batch` gives its numbers
    for any batch: the statistics of each sample's own points, without touching the running ones.

    Attributes:
        statistics: in evaluation: `batch` (of the sample itself) or `running`.
        train_norm: in training: `sample`, each sample by its own points, which equals the original at its batch size of
            1 and does not depend on how a batch is spread over processes; or `batch`, over all samples together.
    """

    statistics: NormStatistics = "batch"
    train_norm: TrainNorm = "sample"

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        if not self.training and self.statistics == "running":
            mean, variance, _ = self._running()
            scale = self.weight * (variance + self.eps).rsqrt()
            return torch.addcmul(self.bias - mean * scale, points, scale)
        if self.training and self.train_norm == "batch":
            return super().forward(points.flatten(0, 1)).view_as(points)
        variance, mean = torch.var_mean(points, dim=1, correction=0, keepdim=True)
        if self.training:
            self._track(mean.detach(), variance.detach(), points.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias - mean * scale, points, scale)

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


def offsets(delta: nn.Sequential, differences: Tensor) -> Tensor:
    """Hidden layer of a position network `mlp(3, C)`: (..., 3) differences to (..., C), before its last layer."""
    return _relu(F.linear(differences, delta[0].weight, delta[0].bias))  # type: ignore[arg-type]


class PairAttention:
    """Softmax over neighbours, for each channel, of gamma(query - key + position); the mixed values + positions.

    The last layer of the position network and the first of gamma are linear with nothing between, so their product is
    formed once, and gamma's first layer is applied to queries and keys before they are spread over pairs.

    Args:
        delta: position network, `mlp(3, C)`.
        gamma: weight network, `mlp(C, C)`.
    """

    def __init__(self, delta: nn.Sequential, gamma: nn.Sequential) -> None:
        position, first, last = delta[2], gamma[0], gamma[2]
        self.position = (position.weight, position.bias)
        self.first = first.weight
        self.score = first.weight @ position.weight  # type: ignore[operator]
        self.score_bias = F.linear(position.bias, first.weight, first.bias)  # type: ignore[arg-type]
        self.last = (last.weight, last.bias)

    def project(self, features: Tensor) -> Tensor:
        """Queries or keys (..., C) through gamma's first layer."""
        return F.linear(features, self.first)  # type: ignore[arg-type]

    def logits(self, hidden: Tensor, query: Tensor | None, key: Tensor | None) -> Tensor:
        """Scores (P, K, C) from position hidden (P, K, C), projected queries (P, 1, C) and keys (P, K, C)."""
        score = F.linear(hidden, self.score, self.score_bias)
        if query is not None and key is not None:
            score = _add(_add(score, query), key, -1)
        return F.linear(_relu(score), *self.last)  # type: ignore[arg-type]

    def values(self, hidden: Tensor, value: Tensor | None) -> Tensor:
        """Values plus positions (P, K, C)."""
        position = F.linear(hidden, *self.position)  # type: ignore[arg-type]
        return position if value is None else _add(position, value)

    def __call__(
        self, hidden: Tensor, query: Tensor | None, key: Tensor | None, value: Tensor | None
    ) -> Tensor:
        """(P, K, C) position hidden, (P, 1, C), (P, K, C), (P, K, C) to (P, C)."""
        return mix(self.logits(hidden, query, key), self.values(hidden, value))


def mix(logits: Tensor, values: Tensor) -> Tensor:
    """(P, K, C) twice to (P, C): values weighted by a softmax over K, for each channel."""
    if torch.is_grad_enabled():
        return (logits.softmax(dim=1) * values).sum(dim=1)
    logits.sub_(logits.amax(dim=1, keepdim=True)).exp_()
    total = logits.sum(dim=1)
    return values.mul_(logits).sum(dim=1).div_(total)


def over_points(function: Callable[[slice], Tensor], count: int, neighbours: int) -> Tensor:
    """`function` of all `count` points, in chunks where no gradient is asked for; results are concatenated."""
    if torch.is_grad_enabled():
        return function(slice(0, count))
    step = max(1, _CHUNK_PAIRS // neighbours)
    return torch.cat([function(slice(start, start + step)) for start in range(0, count, step)])


def _relu(values: Tensor) -> Tensor:
    return F.relu(values) if torch.is_grad_enabled() else values.relu_()


def _add(first: Tensor, second: Tensor, factor: float = 1) -> Tensor:
    return (
        torch.add(first, second, alpha=factor)
        if torch.is_grad_enabled()
        else first.add_(second, alpha=factor)
    )
