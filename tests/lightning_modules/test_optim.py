"""Schedules by epochs, in trainings whose end is given in steps."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from lightning_modules.optim import warmup_milestones, with_schedule
from tests.callbacks.tiny import Data, Tiny, trainer


def test_milestones_count_epochs_where_only_the_steps_are_limited():
    class Scheduled(Tiny):
        def configure_optimizers(self):
            schedule = partial(warmup_milestones, milestones=[1], gamma=0.1)
            return with_schedule(torch.optim.SGD(self.parameters(), lr=1.0e-3), schedule, self.trainer)

    fit = trainer([], max_epochs=-1, max_steps=8)
    fit.fit(Scheduled(), datamodule=Data(batches=6))
    assert fit.global_step == 8
    assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(1.0e-4)  # since step 6
