"""A module and a data module of somebody else: plain Lightning, a linear fit that takes milliseconds."""

from __future__ import annotations

import os
import signal
import time

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from cli.compose import compose_config
from lightning_modules.base import StageModule


class SmallModule(StageModule):
    """Fits a line; validation returns named outputs."""

    def __init__(
        self, width: int = 3, seed: int = 0, first: str | None = None, kill_at: int | None = None
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(seed)
        self.network = torch.nn.Linear(width, 1)

    def training_step(self, batch, batch_idx):
        if self.hparams["kill_at"] == self.global_step:
            os.kill(os.getpid(), int(os.environ.get("SMALL_SIGNAL", signal.SIGTERM)))
            time.sleep(0.05)
        loss = self._loss(batch).mean()
        self.log_losses({"total": loss}, len(batch[0]))
        return loss

    def _loss(self, batch):
        x, y = batch
        return (self.network(x)[:, 0] - y).square()

    def evaluate_batch(self, batch):
        loss = self._loss(batch)
        return {"loss": loss, "clips": [f"clip{i}" for i in range(len(loss))], "num_frames": [1] * len(loss)}


class OtherModule(SmallModule):
    """Other weights."""

    def __init__(self, width: int = 5, seed: int = 0) -> None:
        super().__init__(width, seed)


class SmallData(pl.LightningDataModule):
    """Knows nothing of the suite."""

    def __init__(self, width: int = 3, batch_size: int = 8) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(32, width, generator=generator)
        self.data, self.batch_size = TensorDataset(x, x.sum(1)), batch_size

    def _loader(self):
        return DataLoader(self.data, batch_size=self.batch_size)

    train_dataloader = val_dataloader = test_dataloader = _loader


def command(runs, *more, module="SmallModule", name="small"):
    """A command line."""
    return [
        f"name={name}",
        f"+module._target_=tests.cli.small.{module}",
        "+datamodule._target_=tests.cli.small.SmallData",
        "+data.name=made",
        "+callbacks.metrics.metrics.loss.metric._target_=torchmetrics.MeanMetric",
        "+callbacks.metrics.metrics.loss.inputs.value=loss",
        "callbacks.media=null",
        "optimizer.lr=0.01",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "trainer.log_every_n_steps=1",
        "logger=csv",
        f"paths.runs={runs}",
        *more,
    ]


def configuration(runs, *more, **options):
    """Its configuration."""
    return compose_config("train", command(runs, *more, **options))
