"""Stylised figures of a store, in windows composed at random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from contrapposto.systems.scail_pose.figure_views import FigureViews
from datamodules.base import StoreDataModule
from datamodules.steps import StepLoader, evaluation_loader

_EVALUATION = 2**40  # a step that training never reaches


class FigureDataModule(StoreDataModule):
    """Windows of images and the points of the figure in them.

    A batch holds `image` (B, 3, 128, 128), `points` (B, 15, 3), `seen` (B, 15) and `present` (B,), see
    `FigureViews.draw`; that of a step is a function of (seed, step).

    Args:
        store: folder that prepare.py wrote.
        batch_size: windows per step over all processes.
        steps_per_epoch: length of an epoch.
        held_out: share of the figures, for validation and test.
        eval_batches: batches of an evaluation.
        num_workers: processes that make batches.
        seed: of all draws.
    """

    from_user_media = False

    def __init__(
        self,
        store: str | Path,
        batch_size: int = 64,
        steps_per_epoch: int = 500,
        held_out: float = 0.05,
        eval_batches: int = 6,
        num_workers: int = 0,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.store_path, self.batch_size, self.steps_per_epoch = Path(store), batch_size, steps_per_epoch
        self.held_out, self.eval_batches, self.num_workers, self.seed = (
            held_out,
            eval_batches,
            num_workers,
            seed,
        )

    def setup(self, stage: str) -> None:
        """Open the store."""
        self.train_views = FigureViews(self.store_path, (0.0, 1 - self.held_out))
        self.held_views = FigureViews(self.store_path, (1 - self.held_out, 1.0))

    def train_dataloader(self) -> StepLoader:
        """Windows of the training figures."""
        trainer = self.trainer
        assert trainer is not None

        def dataset(first: int, last: int) -> IterableDataset:
            share = (trainer.global_rank, trainer.world_size)
            return _Steps(self.train_views, self.seed, self.batch_size, first, last, share)

        return StepLoader(
            dataset,
            self.steps_per_epoch,
            None if getattr(trainer, "overfit_batches", 0) else trainer,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        """Windows of held-out figures, the same every time."""
        return evaluation_loader(_Held(self), self.trainer)

    def test_dataloader(self) -> DataLoader:
        """The same as for validation."""
        return self.val_dataloader()

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        manifest = json.loads((self.store_path / "manifest.json").read_text(encoding="utf-8"))
        return {
            "store": self.store_path.name,
            "content_hash": manifest["key"],
            "source": "rendered by this project: the body and the motion that ship with it, and solids",
            "licence": "CC0 1.0",
            "figures": len(self.train_views.figures),
        }


def _batch(views: FigureViews, keys: list[list[int]]) -> dict[str, torch.Tensor]:
    samples = [views.draw(np.random.default_rng(key)) for key in keys]
    return {name: torch.from_numpy(np.stack([one[name] for one in samples])) for name in samples[0]}


class _Steps(IterableDataset):
    def __init__(
        self, views: FigureViews, seed: int, batch: int, first: int, last: int, share: tuple[int, int]
    ) -> None:
        self.views, self.seed, self.batch, self.first, self.last = views, seed, batch, first, last
        self.rank, self.world = share

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        for step in range(self.first + worker, self.last, workers):
            ids = range(self.rank, self.batch, self.world)
            yield _batch(self.views, [[self.seed, step, number] for number in ids])


class _Held(Dataset):
    def __init__(self, data: FigureDataModule) -> None:
        self.data = data

    def __len__(self) -> int:
        return self.data.eval_batches

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        keys = [[self.data.seed, _EVALUATION, index, number] for number in range(self.data.batch_size)]
        return _batch(self.data.held_views, keys)
