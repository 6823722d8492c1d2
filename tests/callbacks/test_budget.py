"""CpuBudget: it counts what steps compute, not what they wait for, and ends the training."""

from __future__ import annotations

import time

import pytest

from callbacks import CpuBudget, ResumeCheckpoint, load_checkpoint
from tests.callbacks.tiny import Data, Tiny, trainer


class Computes(Tiny):
    """Every step uses 0.05 s of processor time or a little more; every validation batch as well."""

    def training_step(self, batch, batch_idx):
        spin()
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        spin()
        return super().validation_step(batch, batch_idx)


def spin() -> None:
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass


def test_training_ends_when_the_time_of_its_steps_is_used_up():
    budget = CpuBudget(0.42)
    fit = trainer([budget], max_epochs=50)
    fit.fit(Computes(), datamodule=Data())
    assert 0 < fit.global_step <= 9 and budget.used >= 0.42


def test_waiting_and_validation_cost_nothing():
    class Waits(Computes):
        def training_step(self, batch, batch_idx):
            time.sleep(0.2)
            return Tiny.training_step(self, batch, batch_idx)

        def on_validation_start(self):
            [spin() for _ in range(40)]

    budget = CpuBudget(1000.0)
    trainer([budget], max_epochs=1).fit(Waits(), datamodule=Data())
    assert 0.0 < budget.used < 6 * 0.2


def test_a_resumed_run_goes_on_counting(tmp_path):
    saved, resumed = CpuBudget(0.22), CpuBudget(0.42)
    trainer([saved, ResumeCheckpoint(tmp_path, 1)], max_epochs=50).fit(Computes(), datamodule=Data())
    path = tmp_path / "last.ckpt"
    before = load_checkpoint(path)["global_step"]
    fit = trainer([resumed, ResumeCheckpoint(tmp_path, 1)], max_epochs=50)
    fit.fit(Computes(), datamodule=Data(), ckpt_path=path)
    assert before < fit.global_step <= before + 4  # 0.42 s less the 0.22 s of the first run


def test_a_budget_is_positive():
    with pytest.raises(ValueError, match="positive, got 0"):
        CpuBudget(0)
