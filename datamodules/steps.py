"""Batches that are a function of the step, in the form that Lightning's loops take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

Batch = dict[str, Any]


class StepLoader:
    """An epoch of consecutive steps, which goes on where training was after a resume, also in mid-epoch.

    The place follows from the trainer's own count of batches, which Lightning keeps in every checkpoint. (Its
    protocol for stateful loaders is not enough: the state is not restored from a checkpoint of an epoch's end.)

    Args:
        dataset: from (first step, last step exclusive) to an iterable dataset of batches.
        steps_per_epoch: length of the epoch.
        trainer: whose count is followed; None starts every epoch at step 0.
        num_workers: of the torch DataLoader that reads the batches; they live, and read ahead, across epochs. Where there
            is a GPU, batches are read into pinned memory.
    """

    def __init__(
        self,
        dataset: Callable[[int, int], IterableDataset],
        steps_per_epoch: int,
        trainer: pl.Trainer | None,
        *,
        num_workers: int = 0,
    ) -> None:
        self.dataset, self.steps_per_epoch, self.trainer = dataset, steps_per_epoch, trainer
        self.num_workers = num_workers
        self._batches: Iterator[Batch] = iter(())
        self._next = -1  # step of the batch that comes next out of `_batches`

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        # A generator: the place is looked up when the first batch is asked for. Lightning may make the iterator
        # earlier than it restores its count from a checkpoint.
        start = self.trainer.fit_loop.epoch_loop.batch_progress.total.ready if self.trainer else 0
        # After a resume in mid-epoch Lightning stops by itself once the epoch's batches are counted.
        if not self.num_workers:
            yield from self._loader(start, start + self.steps_per_epoch)
            return
        if start != self._next:
            self._batches, self._next = iter(self._loader(start, sys.maxsize)), start
        for _ in range(self.steps_per_epoch):
            self._next += 1
            yield next(self._batches)

    def _loader(self, first: int, last: int) -> DataLoader:
        pinned = torch.cuda.is_available()
        return DataLoader(
            self.dataset(first, last), batch_size=None, num_workers=self.num_workers, pin_memory=pinned
        )

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the place is the trainer's. Being stateful tells Lightning that a resume is exact."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore, see `state_dict`."""


def evaluation_loader(
    dataset: Dataset, trainer: pl.Trainer | None, collate: Callable[[Any], Any] | None = None
) -> DataLoader:
    """This process's share of a dataset of batches; where there is a GPU they are read into pinned memory.

    With fewer items than processes some processes have none. They take part all the same, in the sums that metrics make
    over all processes; for Lightning to let them, the loaders of all processes then have no length.

    Args:
        dataset: of whole batches.
        trainer: None for a single process.
        collate: of the DataLoader; None turns arrays into tensors.
    """
    rank, count = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
    shard = Shard(dataset, rank, count)
    few = 0 < len(dataset) < count  # type: ignore[arg-type]
    return DataLoader(
        _Unsized(shard) if few else shard,
        batch_size=None,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


class Shard(Dataset):
    """Every `world_size`-th item of a dataset from `rank` on: each item is seen by one process, none twice.

    (Lightning's own distributed sampler repeats items until all processes have as many, which counts them twice.)
    """

    def __init__(self, dataset: Dataset, rank: int, world_size: int) -> None:
        self.dataset = dataset
        self.items = range(rank, len(dataset), world_size)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.items[index]]


class _Unsized(IterableDataset):
    """The items of a shard, whose number is not told."""

    def __init__(self, shard: Shard) -> None:
        super().__init__()
        self.shard = shard

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self.shard)):
            yield self.shard[index]
