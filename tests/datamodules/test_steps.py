"""Batches as a function of the step, through Lightning's own loops."""

import contextlib
import os

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import IterableDataset

from callbacks import AtomicCheckpointIO, ResumeCheckpoint, find_resume_checkpoint
from datamodules.steps import Shard, StepLoader


class Steps(IterableDataset):
    def __init__(self, first, last):
        self.first, self.last = first, last

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        offset, stride = (0, 1) if info is None else (info.id, info.num_workers)
        for step in range(self.first + offset, self.last, stride):
            yield {
                "step": torch.tensor(step),
                "x": torch.randn(2, generator=torch.Generator().manual_seed(step)),
                "process": os.getpid(),
            }


class Tiny(pl.LightningModule):
    def __init__(self, stop_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.seen, self.losses, self.stop_at = [], [], stop_at
        self.processes = set()

    def training_step(self, batch, batch_idx):
        step = int(batch["step"])
        if step == self.stop_at:
            raise RuntimeError("killed")
        loss = ((self.weight - batch["x"]) ** 2).sum()
        self.seen.append(step)
        self.processes.add(batch["process"])
        self.losses.append(float(loss.detach()))
        return loss

    def configure_optimizers(self):
        _ = self.trainer.estimated_stepping_batches  # makes the iterator before the count is restored
        return torch.optim.Adam(self.parameters(), lr=0.1)


def fit(folder, module, *, epochs=3, per_epoch=5, workers=0, resume=None, every=1, **options):
    trainer = pl.Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[ResumeCheckpoint(folder / "checkpoints", every_n_steps=every)],
        **options,
    )
    loader = StepLoader(lambda first, last: Steps(first, last), per_epoch, trainer, num_workers=workers)
    trainer.fit(module, train_dataloaders=loader, ckpt_path=resume)


def test_epochs_are_consecutive_steps(tmp_path):
    module = Tiny()
    fit(tmp_path, module)
    assert module.seen == list(range(15))


def test_workers_change_nothing(tmp_path):
    module = Tiny()
    fit(tmp_path, module, workers=2)
    assert module.seen == list(range(15))
    assert len(module.processes) == 2  # the same two in all epochs
    assert os.getpid() not in module.processes


def test_short_epochs_take_the_steps_that_follow(tmp_path):
    for workers in (0, 1):
        module = Tiny()
        fit(tmp_path / str(workers), module, workers=workers, limit_train_batches=2)
        assert module.seen == list(range(6))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_killed_in_mid_epoch_goes_on_to_the_same_losses(tmp_path, workers):
    whole = Tiny()
    fit(tmp_path / "whole", whole)
    for stop in (4, 5, 12) if workers else (2, 4, 5, 7, 9, 10, 12):
        folder = tmp_path / str(stop)
        with contextlib.suppress(RuntimeError):
            fit(folder, Tiny(stop_at=stop), workers=workers)
        resumed = Tiny()
        fit(folder, resumed, resume=find_resume_checkpoint(folder), workers=workers)
        start = resumed.seen[0]
        assert start >= stop - 1  # at most the step between the last save and the kill is run again
        assert resumed.seen == list(range(start, 15))
        assert resumed.losses == whole.losses[start:]
        assert torch.equal(resumed.weight, whole.weight)


def test_overfitting_repeats_the_first_steps(tmp_path):
    module = Tiny()
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, StepLoader(lambda first, last: Steps(first, last), 2, None))
    assert module.seen == [0, 1, 0, 1, 0, 1]


def test_shards_cover_every_item_once():
    items = list(range(7))
    shards = [Shard(items, rank, 3) for rank in range(3)]
    assert sorted(shard[i] for shard in shards for i in range(len(shard))) == items
