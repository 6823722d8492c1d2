"""From the named outputs of a step to the arguments of metrics, and from their results to values with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from contrapposto.errors import ConfigError, nearest


def output_of(outputs: Any, name: str, metric: str) -> Any:
    """The output `name`.

    Raises:
        ConfigError: the step does not return it; the nearest names are given.
    """
    if not isinstance(outputs, Mapping) or name not in outputs:
        names = [str(key) for key in outputs] if isinstance(outputs, Mapping) else []
        raise ConfigError(
            f"The metric {metric} asks for the output {name}, which the model's step does not return.",
            found=", ".join(names) or type(outputs).__name__,
            fix=f"use {nearest(name, names)}" if names else "return a dictionary of named outputs",
        )
    return outputs[name]


def _is_list(value: Any) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, Tensor) for item in value)
    )


def calls(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One call of update for the whole batch, or one per clip where an input is a list of clips."""
    count = max((len(value) for value in inputs.values() if _is_list(value)), default=0)
    if count == 0:
        yield inputs
    for index in range(count):
        yield {key: of_clip(value, index, count) for key, value in inputs.items()}


def of_clip(value: Any, index: int, count: int) -> Any:
    """What belongs to clip `index` of `count`: an item of a list, a slice of a tensor, all of anything else.

    Raises:
        ConfigError: a tensor of several clips does not have the clips first.
    """
    if _is_list(value):
        return value[index]
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if len(value) == count:
        return value[index : index + 1]
    if count > 1:
        raise ConfigError(
            "An output that a metric reads has another length than the batch has clips.",
            found=f"a tensor of shape {tuple(value.shape)} for {count} clips",
            expected="the clips first, or a list with one tensor per clip",
            fix="per_clip: false, if this metric has no value for a single clip",
        )
    return value


def local_copy(metric: Metric) -> Metric:
    """A copy for one clip, which other processes know nothing of."""
    copy = metric.clone()
    copy.reset()
    for part in copy.modules():
        if isinstance(part, Metric):
            part.distributed_available_fn = _alone
    return copy


def _alone() -> bool:
    return False


def _named(name: str, result: Any) -> dict[str, Any]:
    if not isinstance(result, Mapping):
        return {name: result}
    return {f"{name}_{key}": value for key, value in result.items()}


def scalars(name: str, result: Any) -> dict[str, float]:
    """The single numbers of a metric's result by name; a dictionary's keys are put after the metric's name."""
    named = {key: torch.as_tensor(value) for key, value in _named(name, result).items()}
    return {key: float(value) for key, value in named.items() if value.numel() == 1}


def vectors(name: str, result: Any) -> dict[str, Tensor]:
    """The results that are more than one number, flattened, by name."""
    named = {key: torch.as_tensor(value) for key, value in _named(name, result).items()}
    return {key: value.flatten().cpu() for key, value in named.items() if value.numel() > 1}
