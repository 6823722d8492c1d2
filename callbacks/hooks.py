"""One method for the batches of validation and of test."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class EvaluationCallback(pl.Callback):
    """Hands every evaluated batch to `take`, which a subclass implements."""

    def take(self, stage: str, outputs: Any, batch: Any) -> None:
        """A batch of the stage `val` or `test` and what the step returned for it."""
        raise NotImplementedError

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take a validation batch."""
        self.take("val", outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take a test batch."""
        self.take("test", outputs, batch)
