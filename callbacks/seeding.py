"""Random numbers that are a function of the step, not of how the process came there."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

# Streams must differ between the stages, or validation would repeat the draws of the first training steps.
_STREAMS = {"train": 0, "val": 1, "test": 2, "predict": 3}


def step_seed(seed: int, stream: str, step: int, rank: int) -> int:
    """Return 63 well-mixed bits for one (seed, stream, step, rank), the same on every platform.

    Args:
        seed: the run's seed, not negative.
        stream: `train`, `val`, `test` or `predict`.
        step: number of the batch, counted over epochs in training and from 0 in evaluation.
        rank: number of the process.
    """
    mixed = np.random.SeedSequence([seed, _STREAMS[stream], step, rank]).generate_state(1, np.uint64)
    return int(mixed[0]) >> 1


class StepSeed(pl.Callback):
    """Seed the generators of torch, NumPy and Python before every batch with a number keyed by the step.

    Dropout and other draws inside a training step then depend on (seed, step, rank) only, so a run that was
    killed in mid-epoch and resumed draws what the uninterrupted run draws. Evaluation batches are seeded
    likewise: the metrics of a checkpoint do not depend on what ran before. The random generators of data
    workers are not touched.

    Args:
        seed: the run's seed, not negative.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.seed = int(seed)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed a training batch by its number since the start of training."""
        self._seed(trainer, "train", trainer.fit_loop.total_batch_idx)

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Seed a validation batch."""
        self._seed(trainer, "val", _evaluation_step(batch_idx, dataloader_idx))

    def on_test_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Seed a test batch."""
        self._seed(trainer, "test", _evaluation_step(batch_idx, dataloader_idx))

    def on_predict_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Seed a prediction batch."""
        self._seed(trainer, "predict", _evaluation_step(batch_idx, dataloader_idx))

    def _seed(self, trainer: pl.Trainer, stream: str, step: int) -> None:
        value = step_seed(self.seed, stream, step, trainer.global_rank)
        torch.manual_seed(value)
        np.random.seed(value % 2**32)
        random.seed(value)


def _evaluation_step(batch_idx: int, dataloader_idx: int) -> int:
    return (dataloader_idx << 32) + batch_idx
