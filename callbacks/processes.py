"""Evaluation over processes that have different numbers of batches, or none."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import pytorch_lightning as pl
import torch
from torch.nn.parallel import DistributedDataParallel
from torchmetrics import Metric

from contrapposto.nn.distributed import gather_objects

Key = TypeVar("Key", bound=Hashable)


class UnevenEvaluation(pl.Callback):
    """Lets processes validate without batches of their own.

    DistributedDataParallel copies the first process's buffers to all in the first forward pass after a training step, also
    where that is one of a validation; a process without a batch would be waited for until the time is out. In a
    validation all use their own: whatever changes them in training here does so from sums over all processes.
    """

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy no buffers until the next training step."""
        model = trainer.strategy.model
        if isinstance(model, DistributedDataParallel):
            model.require_forward_param_sync = False


def on_all_processes(metrics: Mapping[Key, Metric], device: torch.device) -> dict[Key, Metric]:
    """The metrics that any process has made, in one order on all: a process without a batch takes part with an empty one.

    Args:
        metrics: of this process, by name.
        device: of those that are added.
    """
    names = gather_objects(list(metrics))
    every = list(dict.fromkeys(name for part in names for name in part))
    if all(len(part) == len(every) for part in names):
        return {name: metrics[name] for name in every}
    empty: dict[Key, Metric] = {}
    for part in gather_objects({name: _empty(metric) for name, metric in metrics.items()}):
        empty = {**part, **empty}
    return {name: metrics[name] if name in metrics else empty[name].to(device) for name in every}


def _empty(metric: Metric) -> Metric:
    copy = metric.clone().cpu()
    copy.reset()
    return copy
