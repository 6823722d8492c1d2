"""Videos to be made into pose videos by `trainer.predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from contrapposto.systems.scail_pose.jobs import VideoJob, find_jobs
from datamodules.steps import evaluation_loader


class VideoDataModule(pl.LightningDataModule):
    """Jobs for `trainer.predict`, each to one process; a batch is a `VideoJob` and the name of its output folder.

    Args:
        video, reference, options: see `find_jobs`.

    Raises:
        InputError: nothing there. ConfigError: an option that cannot be used.
    """

    def __init__(
        self, video: str | Path | Sequence[str | Path], reference: str | Path | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.jobs = find_jobs(video, reference, **options)

    def predict_dataloader(self) -> DataLoader:
        """The jobs of this process."""
        return evaluation_loader(_Jobs(self.jobs), self.trainer, _unchanged)


class _Jobs(Dataset):
    def __init__(self, jobs: list[tuple[VideoJob, str]]) -> None:
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> tuple[VideoJob, str]:
        return self.jobs[index]


def _unchanged(batch: Any) -> Any:
    return batch
