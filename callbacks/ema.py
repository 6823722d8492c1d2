"""Exponential moving average of the weights, used in evaluation and in published checkpoints."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor


class EMA(EMAWeightAveraging):
    """Lightning's `EMAWeightAveraging` with four things put right.

    * Buffers: floating-point ones (statistics of codebooks and normalisation) are averaged like the weights
      that they belong to; counters and flags are copied, where Lightning would truncate their average.
    * What does not change (tables, frozen bodies) is kept to the last bit: d * x + (1 - d) * x drifts by
      rounding, x + (1 - d) * (x - x) does not.
    * Warm-up: the decay after n updates is min(decay, (1 + n) / (10 + n)), so that a short run is not
      evaluated on weights near its random start.
    * A checkpoint saved while the average sits in the model (in a validation, at the end of training) keeps
      the two sets of weights in their places, so that a finished run can be made longer.

    A network must be complete after the module's `__init__` (or `configure_model`); `setup` comes too late.

    Args:
        decay: of the average, per update; 0.999 averages over the last 1000 or so.
        warmup: whether to start with a smaller decay.
        update_every_n_steps: optimiser steps between updates.
        device: where the average is kept; None is the model's device, `cpu` saves GPU memory.
    """

    def __init__(
        self,
        decay: float = 0.999,
        *,
        warmup: bool = True,
        update_every_n_steps: int = 1,
        device: str | None = None,
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        super().__init__(device=device, decay=decay, update_every_n_steps=update_every_n_steps)
        self.decay, self.warmup = decay, warmup
        self._kwargs = {"multi_avg_fn": self._average}  # in place of the plain formula that Lightning sets
        self._swapped = False

    @torch.no_grad()
    def _average(self, averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        """Move the averages towards the current values; the tensors of one call share a dtype and a device."""
        if not averaged[0].is_floating_point():
            for target, source in zip(averaged, current):
                target.copy_(source)
            return
        decay = min(self.decay, (1 + int(count)) / (10 + int(count))) if self.warmup else self.decay
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        super()._swap_models(pl_module)
        self._swapped = not self._swapped

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average into the model; outside of fitting it is there already."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the model, and the last weights where a checkpoint finds them."""
        if not self._swapped:
            self._swap_models(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the model as it is; weights loaded after construction count, too."""
        assert self._average_model is not None
        if int(self._average_model.n_averaged) == 0:
            self._average_model.module.load_state_dict(pl_module.state_dict())

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Average under `state_dict`, last weights under `current_model_state`, whichever sits in the model."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._swapped and "current_model_state" in checkpoint:
            checkpoint["state_dict"], checkpoint["current_model_state"] = (
                checkpoint["current_model_state"],
                checkpoint["state_dict"],
            )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy the model when fitting begins."""
        super().setup(trainer, pl_module, stage)
        if stage == "fit":
            self._swapped = False
