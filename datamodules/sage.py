"""SAGE: windows of a store for training, whole clips for evaluation (sheet section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from contrapposto.data.features import FeatureCache, Resample
from contrapposto.data.splits import hash_split, match_list, read_list
from contrapposto.data.store import MotionStore
from contrapposto.data.windows import StepBatchDataset
from contrapposto.errors import ConfigError, InputError
from contrapposto.models.sage.features import sage_features
from contrapposto.motion import Motion
from datamodules.steps import Shard, StepLoader

FEATURES_VERSION = 1
_ARRAYS = ("rotation_local_6d", "sparse", "root_translation")


def numpy_features(motion: Motion) -> dict[str, np.ndarray]:
    """The arrays that training and evaluation read, of one clip."""
    features = sage_features(motion)
    return {name: features[name].numpy() for name in _ARRAYS}


@dataclass(frozen=True)
class Split:
    """Numbers of the clips of each part, int64, ascending."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class SageDataModule(pl.LightningDataModule):
    """Windows for training and whole clips for evaluation, at 60 frames/s.

    A training batch holds `rotation_local_6d` (B, window, 132), `sparse` (B, window, 3, 18), `root_translation`
    (B, window, 3), `sample_ids` (B,) and `step`; the batch of a step is a function of (seed, step). An evaluation
    batch is one clip: the same arrays without B, and its `name`.

    Args:
        store: folder that prepare.py wrote.
        batch_size: windows per step over all processes.
        window: frames per window.
        repeats: visits of each clip per epoch.
        num_workers: processes that read.
        resample: `slerp`, or `stride` as the original.
        test_share, val_share: shares of clips held out, by a hash of their names.
        train_list, test_list: files of clip names, in place of the shares.
        split_by: `clip`, or `subject` to keep all clips of a person in one part.
        max_val_clips: at most this many clips are used for validation; None for all.
        seed: of the windows.
    """

    def __init__(
        self,
        store: str | Path,
        batch_size: int = 512,
        window: int = 20,
        repeats: int = 500,
        num_workers: int = 0,
        resample: Resample = "slerp",
        test_share: float = 0.1,
        val_share: float = 0.05,
        train_list: str | None = None,
        test_list: str | None = None,
        split_by: str = "clip",
        max_val_clips: int | None = None,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.store_path, self.batch_size, self.window = Path(store), batch_size, window
        self.repeats, self.num_workers, self.resample, self.seed = repeats, num_workers, resample, seed
        self.shares = (test_share, val_share)
        self.lists = (train_list, test_list)
        self.split_by = split_by
        self.max_val_clips = max_val_clips

    def setup(self, stage: str) -> None:
        """Open the store, and make its features where they are not there yet (one process does, others wait)."""
        self.store = MotionStore.open(self.store_path)
        self.cache = FeatureCache.build(
            self.store,
            "sage",
            FEATURES_VERSION,
            numpy_features,
            resample=self.resample,
            workers=self.num_workers,
        )
        self.split = self._split()
        self.reader = self.cache.reader(*_ARRAYS)

    def _split(self) -> Split:
        test_share, val_share = self.shares
        train_list, test_list = self.lists
        clips = self.store.clips
        if train_list or test_list:
            if not (train_list and test_list):
                raise ConfigError(
                    "One split list without the other.", fix="give data.train_list and data.test_list"
                )
            train = match_list(clips, read_list(train_list)).indices
            test = match_list(clips, read_list(test_list)).indices
        else:
            train, test = hash_split(clips, test_share, salt="test", by=self.split_by)
        rest, val = hash_split([clips[i] for i in train], val_share, salt="val", by=self.split_by)
        split = Split(train[rest], train[val], test)
        for part in ("train", "val", "test"):
            if not len(getattr(split, part)):
                raise InputError(
                    f"The {part} part of {self.store_path} is empty.",
                    found=f"{len(clips)} clips, {len(train)} for training and validation, {len(test)} for testing",
                    fix="change data.test_share, data.val_share or the lists",
                )
        return split

    def train_dataloader(self) -> StepLoader:
        """Windows of the training clips."""
        trainer = self.trainer
        assert trainer is not None
        clips = [clip for clip in self.split.train if self.cache.lengths[clip] >= self.window]
        if not clips:
            raise InputError(
                f"No training clip of {self.store_path} has {self.window} frames at 60 frames/s.",
                found=f"{len(self.split.train)} training clips",
            )

        def dataset(first: int, last: int) -> StepBatchDataset:
            return StepBatchDataset(
                self.reader,
                seed=self.seed,
                batch_size=self.batch_size,
                length=self.window,
                start_step=first,
                steps=last,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
                clips=clips,
            )

        return StepLoader(
            dataset,
            max(len(clips) * self.repeats // self.batch_size, 1),
            None if getattr(trainer, "overfit_batches", 0) else trainer,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader:
        """Whole validation clips, one per batch; each is seen by one process."""
        clips = sorted(self.split.val, key=lambda clip: self.store.clips[clip].sha256)
        return self._clips(clips[: self.max_val_clips])

    def test_dataloader(self) -> DataLoader:
        """Whole test clips, one per batch; each is seen by one process."""
        return self._clips(list(self.split.test))

    def _clips(self, clips: list[int]) -> DataLoader:
        assert self.trainer is not None
        dataset = ClipDataset(self.cache, self.store, [c for c in clips if self.cache.lengths[c] > 0])
        shard = Shard(dataset, self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(shard, batch_size=None, num_workers=0)

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        manifest = self.store.manifest
        facts = {key: manifest[key] for key in ("source", "licence", "attribution")}
        return {
            **facts,
            "store": self.store_path.name,
            "content_hash": self.store.content_hash,
            "clips": {part: len(getattr(self.split, part)) for part in ("train", "val", "test")},
        }


class ClipDataset(Dataset):
    """Whole clips of a feature cache: the arrays of one clip and its `name`."""

    def __init__(self, cache: FeatureCache, store: MotionStore, clips: list[int]) -> None:
        self.cache, self.store, self.clips = cache, store, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip = self.clips[index]
        arrays = self.cache.clip(clip)
        tensors = {name: torch.from_numpy(arrays[name]) for name in _ARRAYS}
        return {**tensors, "name": self.store.clips[clip].name}
