"""Metrics of generated sets: diversity, multimodality, errors and spread of forecasts, mean average precision.

Sources: docs/specs/posegpt.md, section 9; Guo et al., "Action2Motion", 2020 (diversity, multimodality); Yuan and Kitani,
"DLow", 2020 (ADE, FDE, APD).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat

from contrapposto.nn.distributed import gather_objects

_ROWS = 1024  # of a distance matrix at a time


def mean_pairwise_distance(features: Tensor) -> Tensor:
    """Scalar mean distance of all pairs of different rows of (N, D), float64; NaN for fewer than two rows."""
    count = len(features)
    if count < 2:
        return torch.tensor(torch.nan, dtype=torch.float64, device=features.device)
    rows = features.double()
    # Not by the expansion |a|^2 - 2 ab + |b|^2, which loses the small distances.
    total = sum(
        torch.cdist(rows[start : start + _ROWS], rows, compute_mode="donot_use_mm_for_euclid_dist").sum()
        for start in range(0, count, _ROWS)
    )
    return torch.as_tensor(total) / (count * (count - 1))


def multimodality(features: Tensor, labels: Tensor) -> Tensor:
    """Scalar mean over classes of the mean distance of two samples of one class; NaN where no class has two.

    Args:
        features: (N, D).
        labels: (N, A) of 0 and 1; a sample belongs to all its classes.
    """
    per_class = [mean_pairwise_distance(features[labels[:, a] > 0]) for a in range(labels.shape[1])]
    return torch.stack(per_class).nanmean()


def sampled_diversity(features: Tensor, pairs: Tensor) -> Tensor:
    """Scalar mean distance of given pairs (P, 2) of rows of (N, D): what published figures estimate.

    `mean_pairwise_distance` is its expectation, up to pairs of a row with itself.
    """
    first, second = features[pairs[:, 0]].double(), features[pairs[:, 1]].double()
    return torch.linalg.vector_norm(first - second, dim=-1).mean()


def multimodality_by_quota(
    features: Tensor,
    classes: Tensor,
    draw: Callable[[int], int],
    *,
    quota: int = 20,
    most: int = 1000,
    original: bool = False,
) -> Tensor:
    """Scalar mean distance of random pairs within classes, `quota` of each, drawn as published figures are.

    Args:
        features: (N, D); a sample with several classes stands there several times.
        classes: (N,) int64.
        draw: gives a whole number below its argument.
        quota: pairs per class.
        most: draws of a first sample, after which quotas stay unfilled.
        original: divide by the full quotas even if they are unfilled, as PoseGPT does, too low for rare classes.
    """
    kinds = int(classes.max()) + 1
    left, total, taken = [quota] * kinds, 0.0, 0
    label = classes.tolist()
    for _ in range(most):
        if not any(left):
            break
        first = draw(len(features))
        if not left[label[first]]:
            continue
        second = draw(len(features))
        while label[second] != label[first]:
            second = draw(len(features))
        left[label[first]] -= 1
        taken += 1
        total += float(torch.linalg.vector_norm((features[first] - features[second]).double()))
    return torch.tensor(total / (quota * kinds if original else max(taken, 1)), dtype=torch.float64)


def displacement_errors(pred: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """ADE and FDE, both (...,): of the best of S forecasts, each by its own measure.

    Args:
        pred: (..., S, T, D) forecasts; all joints of a frame in one vector.
        true: (..., T, D).

    Returns:
        Distance of the frames' vectors, mean over frames and of the last frame, least over the forecasts.
    """
    distance = torch.linalg.vector_norm(pred - true[..., None, :, :], dim=-1)
    return distance.mean(-1).amin(-1), distance[..., -1].amin(-1)


def average_pairwise_distance(pred: Tensor) -> Tensor:
    """APD (...): mean distance of two of the S forecasts (..., S, T, D), each as one vector of all frames.

    Raises:
        ValueError: one forecast has no spread.
    """
    count = pred.shape[-3]
    if count < 2:
        raise ValueError("the spread of forecasts needs two or more of them")
    flat = pred.flatten(-2)
    return torch.cdist(flat, flat).sum((-1, -2)) / (count * (count - 1))


def mean_average_precision(
    scores: Tensor, targets: Tensor, *, absent: Literal["skip", "zero"] = "skip"
) -> Tensor:
    """Scalar mean over classes of the average precision, over the whole set.

    Args:
        scores: (N, A), any increasing function of the probability.
        targets: (N, A) of 0 and 1.
        absent: what classes without positives count: nothing, or 0 as in PoseGPT.
    """
    if not targets.any():
        return scores.new_tensor(0.0 if absent == "zero" else torch.nan)
    # Ranks in place of scores, because torchmetrics squeezes logits into float32 probabilities.
    ranks = scores.unique(return_inverse=True)[1].double()
    present = targets.bool().any(0)
    values = multilabel_average_precision(
        (ranks / ranks.max().clamp_min(1))[:, present],
        targets[:, present].long(),
        int(present.sum()),
        average=None,
        validate_args=False,
    )
    values = torch.atleast_1d(values)
    return values.sum() / (targets.shape[1] if absent == "zero" else len(values))


class _Rows(Metric):
    """Keeps rows of samples; nothing depends on their order, so not on the number of processes."""

    full_state_update = False
    is_differentiable = False
    features: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("features", [], dist_reduce_fx="cat")

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """As torchmetrics has it; a process without samples takes the shape of its rows from the others."""
        for name in self._reductions:
            rows = getattr(self, name)
            kinds = gather_objects((tuple(rows[0].shape[1:]), rows[0].dtype) if rows else None)
            known = next((kind for kind in kinds if kind is not None), None)
            if not rows and known is not None:
                setattr(self, name, [torch.zeros(0, *known[0], dtype=known[1], device=self.device)])
        super()._sync_dist(*args, **kwargs)

    def _rows(self, name: str) -> Tensor | None:
        value = getattr(self, name)
        return dim_zero_cat(value) if len(value) else None


class Diversity(_Rows):
    """Mean distance between the features of any two samples.

    Args:
        kwargs: torchmetrics' own.
    """

    def update(self, features: Tensor) -> None:
        """Add (B, D)."""
        self.features.append(features.detach())

    def compute(self) -> Tensor:
        """Scalar float32; NaN for fewer than two samples."""
        rows = self._rows("features")
        return torch.tensor(torch.nan) if rows is None else mean_pairwise_distance(rows).float()


class Multimodality(_Rows):
    """Mean distance between the features of two samples of one class, mean over classes.

    Args:
        kwargs: torchmetrics' own.
    """

    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (B, D) and their classes (B, A) of 0 and 1."""
        self.features.append(features.detach())
        self.labels.append(labels.detach())

    def compute(self) -> Tensor:
        """Scalar float32; NaN where no class has two samples."""
        rows, labels = self._rows("features"), self._rows("labels")
        if rows is None or labels is None:
            return torch.tensor(torch.nan)
        return multimodality(rows, labels).float()


class MeanAveragePrecision(_Rows):
    """Average precision of each class over the whole set, mean over classes, 0 to 1.

    Args:
        absent: see `mean_average_precision`.
        kwargs: torchmetrics' own.
    """

    higher_is_better = True
    targets: list[Tensor]

    def __init__(self, absent: Literal["skip", "zero"] = "skip", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if absent not in ("skip", "zero"):
            raise ValueError(f"absent: expected skip or zero, got {absent!r}")
        self.absent = absent
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits (B, A) and labels (B, A) of 0 and 1."""
        self.features.append(logits.detach())
        self.targets.append(labels.detach())

    def compute(self) -> Tensor:
        """Scalar float32; NaN where there is no positive at all (0 with `absent="zero"`)."""
        scores, targets = self._rows("features"), self._rows("targets")
        if scores is None or targets is None:
            return torch.tensor(torch.nan)
        return mean_average_precision(scores, targets, absent=self.absent).float()


class ActionAccuracy(Metric):
    """Share of samples whose likeliest class is one of theirs, 0 to 1.

    With one class per sample this is plain accuracy. `average="class"` takes the share within each class
    first, then the mean over the classes that occur.

    Args:
        num_actions: A.
        average: see above.
        kwargs: torchmetrics' own.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    hits: Tensor
    counts: Tensor
    total: Tensor

    def __init__(
        self, num_actions: int, average: Literal["sample", "class"] = "sample", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if average not in ("sample", "class"):
            raise ValueError(f"average: expected sample or class, got {average!r}")
        self.average = average
        for name, size in (("hits", num_actions), ("counts", num_actions), ("total", 2)):
            self.add_state(name, torch.zeros(size, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits (B, A) and labels (B, A) of 0 and 1; samples without a class are left out."""
        hot = labels.bool()
        hit = hot.gather(1, logits.argmax(1, keepdim=True))[:, 0]
        known = hot.any(1)
        self.hits += (hot & hit[:, None]).sum(0)
        self.counts += hot.sum(0)
        self.total += torch.stack([(hit & known).sum(), known.sum()])

    def compute(self) -> Tensor:
        """Scalar; NaN without samples."""
        if self.average == "sample":
            return self.total[0] / self.total[1]
        return (self.hits / self.counts).nanmean()


class _Forecast(Metric):
    """Mean over clips of a value per clip."""

    full_state_update = False
    is_differentiable = False
    sum: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _add(self, values: Tensor) -> None:
        self.sum += values.detach().double().sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Scalar float32; NaN without clips."""
        return (self.sum / self.count).float()


class ADE(_Forecast):
    """Average displacement error of the best forecast, in the unit of the joints; see `displacement_errors`."""

    higher_is_better = False

    def update(self, pred_joints: Tensor, true_joints: Tensor) -> None:
        """Add forecasts (B, S, T, J, 3) of the truth (B, T, J, 3)."""
        self._add(displacement_errors(pred_joints.flatten(-2), true_joints.flatten(-2))[0])


class FDE(_Forecast):
    """Displacement error of the last frame of the best forecast; see `displacement_errors`."""

    higher_is_better = False

    def update(self, pred_joints: Tensor, true_joints: Tensor) -> None:
        """Add forecasts (B, S, T, J, 3) of the truth (B, T, J, 3)."""
        self._add(displacement_errors(pred_joints.flatten(-2), true_joints.flatten(-2))[1])


class APD(_Forecast):
    """Average pairwise distance of the forecasts of one past; see `average_pairwise_distance`."""

    higher_is_better = True

    def update(self, pred_joints: Tensor) -> None:
        """Add forecasts (B, S, T, J, 3)."""
        self._add(average_pairwise_distance(pred_joints.flatten(-2)))
