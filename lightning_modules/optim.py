"""AdamW with a warm-up and milestones, as the stages of most systems use it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimiser steps of an epoch."""
    _ = trainer.estimated_stepping_batches  # sets the loaders up, which the next line needs
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def adamw(
    trainer: pl.Trainer, parameters: Iterable[torch.nn.Parameter], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What `configure_optimizers` returns.

    Args:
        trainer: for the length of an epoch.
        parameters: to train.
        options: `learning_rate`, `betas`, `weight_decay`; `milestones` (epochs after which the rate is multiplied by
            `gamma`); `warmup_steps`, over which it rises from zero.
    """
    optimizer = torch.optim.AdamW(
        parameters,
        lr=options["learning_rate"],
        betas=tuple(options["betas"]),
        weight_decay=options["weight_decay"],
        fused=True,
    )
    per_epoch = steps_per_epoch(trainer)
    milestones = [epoch * per_epoch for epoch in options["milestones"]]

    def factor(step: int) -> float:
        warmup = min(1.0, (step + 1) / max(options["warmup_steps"], 1))
        return warmup * options["gamma"] ** sum(step >= milestone for milestone in milestones)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
