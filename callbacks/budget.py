"""An end of training by processor time, for comparisons at equal cost."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl


class CpuBudget(pl.Callback):
    """Stop training once its steps have used so many seconds of processor time.

    The time of the process counts, from the start of a step to its end. Reading batches, validation and start-up do not
    count, and other processes on the machine do not matter. A resumed run goes on counting.

    Args:
        seconds: of processor time, all threads together.
    """

    def __init__(self, seconds: float) -> None:
        if seconds <= 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        self.seconds, self.used = seconds, 0.0
        self._since = 0.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        self._since = time.process_time()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop it, and the training where the budget is used up; in every process where one has used it up."""
        self.used += time.process_time() - self._since
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(
            trainer.should_stop or self.used >= self.seconds, all=False
        )

    def state_dict(self) -> dict[str, Any]:
        """Time used so far."""
        return {"used": self.used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.used = float(state_dict["used"])
