"""Every model at its smallest size on the simulated device: the command lines, in the order that later stages need."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytorch_lightning as pl

from benchmarks.gpu.simulated.log import LOG

STEPS = 3
ON_DEVICE = (
    "trainer.accelerator=gpu",
    "trainer.devices=1",
    f"trainer.max_steps={STEPS}",
    "trainer.limit_val_batches=1",
    "trainer.num_sanity_val_steps=0",
    "+callbacks.waits._target_=tests.gpu_fake.models.CountWaits",
)


class CountWaits(pl.Callback):
    """Host waits and launches of the training steps after the first, which sets things up."""

    waits: ClassVar[Counter[tuple[str, str]]] = Counter()
    launches = 0
    steps = 0

    def __init__(self) -> None:
        CountWaits.waits, CountWaits.launches, CountWaits.steps = Counter(), 0, 0

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self._before, self._launched = Counter(LOG.waits), LOG.launches

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            CountWaits.waits += LOG.waits - self._before
            CountWaits.launches += LOG.launches - self._launched
            CountWaits.steps += 1
