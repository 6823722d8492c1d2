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

_CHUNK_PAIRS = 2048


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


def homogeneous(points: Tensor, last: float) -> Tensor:
    """(..., 3) points with a fourth coordinate, so that a layer's bias is part of the product."""
    return F.pad(points, (0, 1), value=last)


def offsets(delta: nn.Sequential, differences: Tensor) -> Tensor:
    """Hidden layer of a position network `mlp(3, C)`: (..., 4) differences, the last 1, to (..., C)."""
    weight, bias = parameters(delta[0])
    return relu(F.linear(differences, torch.cat([weight, bias[:, None]], dim=1)))


class PairAttention:
    """Softmax over neighbours, for each channel, of gamma(query - key + position); the mixed values + positions.

    The last layer of the position network and the first of gamma are linear with nothing between, so their product is
    formed once. Gamma's first layer goes into the weights of queries and keys, and biases into what belongs to a point,
    before anything is spread over pairs.

    Args:
        delta: position network, `mlp(3, C)`.
        gamma: weight network, `mlp(C, C)`.
    """

    def __init__(self, delta: nn.Sequential, gamma: nn.Sequential) -> None:
        self.position, self.position_bias = parameters(delta[2])
        self.first, first_bias = parameters(gamma[0])
        self.last, self.last_bias = parameters(gamma[2])
        self.score = self.first @ self.position
        self.score_bias = F.linear(self.position_bias, self.first, first_bias)

    def queries(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what `logits` wants of the points that ask."""
        return F.linear(features, self.first @ layer.weight, self.score_bias)

    def keys(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what `logits` wants of the points that are asked."""
        return F.linear(features, self.first @ layer.weight)

    def values(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what `mixed` wants of them."""
        return F.linear(features, layer.weight, self.position_bias)

    def logits(self, hidden: Tensor, query: Tensor, key: Tensor | None) -> Tensor:
        """Scores (P, K, C) from position hidden (P, K, C), queries (P, 1, C) and keys (P, K, C)."""
        score = add(F.linear(hidden, self.score), query)
        score = relu(score if key is None else add(score, key, -1))
        # The last bias is the same for all neighbours: the softmax does not see it. Training keeps it all the same, so
        # that every parameter has a gradient.
        return F.linear(score, self.last, self.last_bias if torch.is_grad_enabled() else None)

    def __call__(self, hidden: Tensor, query: Tensor, key: Tensor | None, value: Tensor) -> Tensor:
        """(P, K, C) position hidden, (P, 1, C), (P, K, C), (P, K, C) to (P, C)."""
        return mix(self.logits(hidden, query, key), add(F.linear(hidden, self.position), value))


def mix(
    logits: Tensor, values: Tensor, lone_logit: Tensor | None = None, lone_value: Tensor | None = None
) -> Tensor:
    """(P, K, C) twice to (P, C): values weighted by a softmax over K, for each channel.

    `lone_logit` and `lone_value` (C,) are those of one more token that all points see.
    """
    top = logits.detach().amax(dim=1, keepdim=True)
    if lone_logit is not None:
        top = torch.maximum(top, lone_logit.detach())
    weights = _exp(add(logits, top, -1))
    total = weights.sum(dim=1)
    mixed = _times(values, weights).sum(dim=1)
    if lone_logit is not None and lone_value is not None:
        lone = torch.exp(lone_logit - top[:, 0])
        total, mixed = total + lone, torch.addcmul(mixed, lone, lone_value)
    return mixed / total


def over_points(function: Callable[[slice], Tensor], count: int, neighbours: int) -> Tensor:
    """`function` of all `count` points, in chunks where no gradient is asked for; results are concatenated."""
    if torch.is_grad_enabled():
        return function(slice(0, count))
    step = max(1, _CHUNK_PAIRS // neighbours)
    return torch.cat([function(slice(start, start + step)) for start in range(0, count, step)])


def parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer."""
    return cast(tuple[Tensor, Tensor], (layer.weight, layer.bias))


def relu(values: Tensor) -> Tensor:
    """ReLU; in place where no gradient is asked for, so only for values that nobody else holds. So do the next ones."""
    return F.relu(values) if torch.is_grad_enabled() else values.relu_()


def add(first: Tensor, second: Tensor, factor: float = 1) -> Tensor:
    """First plus factor times second; see `relu`."""
    return (
        torch.add(first, second, alpha=factor)
        if torch.is_grad_enabled()
        else first.add_(second, alpha=factor)
    )


def _exp(values: Tensor) -> Tensor:
    return values.exp() if torch.is_grad_enabled() else values.exp_()


def _times(first: Tensor, second: Tensor) -> Tensor:
    return first * second if torch.is_grad_enabled() else first.mul_(second)
