"""Run by test_ddp.py with `python -m`: two gloo processes evaluate unequal shares of the clips."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Subset
from torchmetrics import MeanMetric
from torchmetrics.regression import SpearmanCorrCoef

from callbacks import BestCheckpoint, MetricsCallback, ResumeCheckpoint, StepSeed
from loggers import CSVRunLogger
from tests.callbacks.tiny import Clips, Data, Tiny, trainer

# The share of each process: 4 batches and 1 batch of 2 clips and 1.
SHARES = {0: list(range(7)), 1: [7]}


class Unequal(Data):
    def train_dataloader(self):
        return DataLoader(
            [{"x": torch.full((5,), float(i)), "y": torch.ones(1)} for i in range(8)], batch_size=2
        )

    def val_dataloader(self):
        return DataLoader(Subset(Clips(8), SHARES[self.trainer.global_rank]), batch_size=2)

    test_dataloader = val_dataloader


class Buffered(Tiny):
    """With a buffer: DistributedDataParallel would broadcast it in every forward, unequal batches or not."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("statistics", torch.zeros(3))


def main(folder: Path) -> None:
    metrics = {
        "error": {"metric": MeanMetric(), "inputs": {"value": "error"}},
        "rank": {
            "metric": SpearmanCorrCoef(),
            "inputs": {"preds": "error", "target": "error"},
            "per_clip": False,
        },
    }
    callbacks = [
        StepSeed(0),
        MetricsCallback(folder, metrics),
        BestCheckpoint(folder / "checkpoints", monitor="val/error"),
        ResumeCheckpoint(folder / "checkpoints", every_n_steps=1),
    ]
    fit = trainer(
        callbacks,
        [CSVRunLogger(folder)],
        max_epochs=1,
        devices=2,
        strategy="ddp",
        use_distributed_sampler=False,
        num_sanity_val_steps=1,
    )
    fit.fit(Buffered(), datamodule=Unequal())
    error = float(fit.callback_metrics["val/error"])
    assert error == 3.5, f"rank {fit.global_rank}: {error}"
    (folder / f"rank{fit.global_rank}.ok").write_text("ok")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
