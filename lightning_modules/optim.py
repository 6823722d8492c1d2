"""Optimisers and learning-rate schedules that the configuration chooses (`optimizer=`, `scheduler=`)."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimiser steps of an epoch."""
    trainer.fit_loop.setup_data()  # the loaders, which the next line needs
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def make_optimizer(
    factory: Callable[..., torch.optim.Optimizer] | None, parameters: Any, trainer: pl.Trainer
) -> torch.optim.Optimizer:
    """Call an optimiser's factory; None is torch's AdamW.

    Lightning cannot clip gradients of a fused optimiser in mixed precision, so there `fused` is switched off.
    """
    factory = factory or torch.optim.AdamW
    mixed = isinstance(trainer.precision_plugin, MixedPrecision)
    if mixed and trainer.gradient_clip_val and "fused" in inspect.signature(factory).parameters:
        return factory(parameters, fused=False)
    return factory(parameters)


def with_schedule(
    optimizer: torch.optim.Optimizer, factory: Callable[..., Any] | None, trainer: pl.Trainer
) -> dict[str, Any]:
    """What `configure_optimizers` returns for an optimiser and a schedule's factory (None: a constant rate).

    A factory that takes `steps_per_epoch` or `total_steps` gets them, and its schedule moves after every step; any
    other, such as most of torch's, moves after every epoch.
    """
    if factory is None:
        return {"optimizer": optimizer}
    parameters = inspect.signature(factory).parameters
    lengths = {}
    if "steps_per_epoch" in parameters:
        lengths["steps_per_epoch"] = steps_per_epoch(trainer)
    if "total_steps" in parameters:
        lengths["total_steps"] = int(trainer.estimated_stepping_batches)
    schedule = factory(optimizer, **lengths)
    options: dict[str, Any] = {"scheduler": schedule, "interval": "step" if lengths else "epoch"}
    if isinstance(schedule, ReduceLROnPlateau):
        options["monitor"] = getattr(trainer.checkpoint_callback, "monitor", None) or "val/loss"
    return {"optimizer": optimizer, "lr_scheduler": options}


def warmup(step: int, steps: int) -> float:
    """Factor of the learning rate that rises to 1 over `steps`."""
    return min(1.0, (step + 1) / max(steps, 1))


def warmup_constant(
    optimizer: torch.optim.Optimizer, *, steps_per_epoch: int = 0, warmup_steps: int = 0
) -> LambdaLR:
    """A constant rate after `warmup_steps`."""
    return LambdaLR(optimizer, lambda step: warmup(step, warmup_steps))


def warmup_milestones(
    optimizer: torch.optim.Optimizer,
    *,
    steps_per_epoch: int,
    milestones: Sequence[float] = (),
    gamma: float = 0.3,
    warmup_steps: int = 0,
) -> LambdaLR:
    """The rate rises over `warmup_steps` and is multiplied by `gamma` after each of the `milestones` (epochs)."""
    steps = [epoch * steps_per_epoch for epoch in milestones]

    def factor(step: int) -> float:
        return warmup(step, warmup_steps) * gamma ** sum(step >= milestone for milestone in steps)

    return LambdaLR(optimizer, factor)


def warmup_cosine(
    optimizer: torch.optim.Optimizer, *, total_steps: int, warmup_steps: int = 0, final: float = 0.01
) -> LambdaLR:
    """The rate falls along a half cosine over the training to `final` times its value; the first steps rise to it."""

    def factor(step: int) -> float:
        share = min(step / max(total_steps, 1), 1.0)
        return warmup(step, warmup_steps) * (final + (1 - final) * (1 + math.cos(math.pi * share)) / 2)

    return LambdaLR(optimizer, factor)
