"""SAGE: windows of a store for training, whole clips for evaluation (docs/specs/sage.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, IterableDataset

from contrapposto.body import load_body
from contrapposto.data.features import FeatureCache, Resample
from contrapposto.data.frozen import WindowCache, WindowFunction
from contrapposto.data.splits import match_list
from contrapposto.data.store import MotionStore
from contrapposto.data.windows import StepBatchDataset, Weighting
from contrapposto.errors import ConfigError, InputError
from contrapposto.files import sha256
from contrapposto.motion import Motion
from contrapposto.progress import counter
from contrapposto.systems.sage.features import sage_features
from datamodules.base import StoreDataModule
from datamodules.splitting import Split, split_clips, store_provenance
from datamodules.steps import StepLoader, evaluation_loader

FEATURES_VERSION = 1
_ARRAYS = ("rotation_local_6d", "sparse", "root_translation")


def numpy_features(motion: Motion, body: str | None = None) -> dict[str, np.ndarray]:
    """The arrays that training and evaluation read, of one clip, on the skeleton of a body file if one is given."""
    features = sage_features(motion, load_body("smplh", path=body) if body else None)
    return {name: features[name].numpy() for name in _ARRAYS}


class SageDataModule(StoreDataModule):
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
        test_list: a file of clip names, or a pattern such as `HumanEva/*`, or several; in place of the share.
        train_list: likewise, of the clips that train and validate; all others where absent.
        val_list: likewise, of the clips that validate; in place of `val_share`.
        split_by: `clip`, or `subject` to keep all clips of a person in one part.
        max_val_clips: at most this many clips are used for validation; None for all.
        max_val_frames: of each validation clip, from its start; None for all.
        sequence: frames of a training sequence, in place of single windows (the refiner's data); shorter clips are taken
            whole. The batch then holds the frames that end a window: `sparse`, `rotation_local_6d` and
            `root_translation` (B, N, ...) padded at the end, `lengths` (B,), and `starts`, the first frame of the first
            window.
        cache: whether outputs of frozen networks are computed once and kept (`cache_outputs`).
        cache_gib: room for one such cache; a stride between windows is chosen so that it fits.
        cache_windows: at most about so many windows are cached (and trained on): by a stride between them; with
            sequences, which need every window, by leaving clips out. None for all.
        weighting: see `draw_windows`.
        copies: patterns of clip names, each with the number of times that its training clips count in the draw; 1 where
            no pattern fits. The last pattern that fits counts.
        body: file of the body whose zero shape gives the positions; the default skeleton where None.
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
        train_list: str | Sequence[str] | None = None,
        test_list: str | Sequence[str] | None = None,
        val_list: str | Sequence[str] | None = None,
        split_by: str = "clip",
        max_val_clips: int | None = None,
        max_val_frames: int | None = None,
        sequence: int | None = None,
        cache: bool = True,
        cache_gib: float = 20.0,
        cache_windows: int | None = None,
        weighting: Weighting = "clip",
        copies: Mapping[str, int] | None = None,
        body: str | None = None,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.copies = dict(copies or {})
        self.sequence, self.max_val_frames, self.body = sequence, max_val_frames, body
        self.cache_bytes = cache_gib * 2**30 if cache else 0
        self.cache_windows, self.weighting = cache_windows, weighting
        self.frozen: WindowCache | None = None
        self.store_path, self.batch_size, self.window = Path(store), batch_size, window
        self.repeats, self.num_workers, self.resample, self.seed = repeats, num_workers, resample, seed
        self.shares = (test_share, val_share)
        self.lists = {"train_list": train_list, "test_list": test_list, "val_list": val_list}
        self.split_by = split_by
        self.max_val_clips = max_val_clips

    def setup(self, stage: str) -> None:
        """Open the store, and make its features where they are not there yet (one process does, others wait)."""
        self.store = MotionStore.open(self.store_path)
        self.cache = FeatureCache.build(
            self.store,
            "sage",
            FEATURES_VERSION,
            partial(numpy_features, body=self.body),
            resample=self.resample,
            options={"body": sha256(Path(self.body))} if self.body else None,
            workers=self.num_workers,
        )
        self.split = self._split()
        self.reader = self.cache.reader(*_ARRAYS)

    def _split(self) -> Split:
        test_share, val_share = self.shares
        return split_clips(
            self.store,
            test_share=test_share,
            val_share=val_share,
            **self.lists,
            split_by=self.split_by,
            say=self.trainer is None or self.trainer.is_global_zero,
        )

    def train_dataloader(self) -> StepLoader:
        """Windows of the training clips."""
        trainer = self.trainer
        assert trainer is not None
        clips = self._copied(self._train_clips())

        def dataset(first: int, last: int) -> IterableDataset:
            return FrozenBatches(
                StepBatchDataset(
                    self.reader,
                    seed=self.seed,
                    batch_size=self.batch_size,
                    length=self.window,
                    start_step=first,
                    steps=last,
                    rank=trainer.global_rank,
                    world_size=trainer.world_size,
                    weighting=self.weighting,
                    clips=clips,
                ),
                self.frozen,
                self.sequence,
            )

        return StepLoader(
            dataset,
            max(len(clips) * self.repeats // self.batch_size, 1),
            None if getattr(trainer, "overfit_batches", 0) else trainer,
            num_workers=self.num_workers,
        )

    def _train_clips(self) -> np.ndarray:
        clips = self.split.train[self.cache.lengths[self.split.train] >= self.window]
        if not len(clips):
            raise InputError(
                f"No training clip of {self.store_path} has {self.window} frames at 60 frames/s.",
                found=f"{len(self.split.train)} training clips",
            )
        if self.sequence and self.cache_bytes and self.cache_windows:
            order = sorted(clips, key=lambda clip: self.store.clips[clip].sha256)
            windows = np.cumsum([self.cache.lengths[clip] - self.window + 1 for clip in order])
            clips = np.sort(order[: int(np.searchsorted(windows, self.cache_windows)) + 1])
        return clips

    def _copied(self, clips: np.ndarray) -> np.ndarray:
        """Clip numbers, each as often as `copies` states."""
        counts = np.ones(len(clips), np.int64)
        for pattern, count in self.copies.items():
            match = match_list(self.store.clips, [pattern])
            if match.missing or count < 1:
                raise ConfigError(
                    f"data.copies: {pattern!r}: {count} cannot be used.",
                    found="no such clip" if match.missing else f"a count of {count}",
                    expected="a pattern of clip names, such as HDM05/*, and a whole number from 1",
                )
            counts[np.isin(clips, match.indices)] = count
        return np.repeat(clips, counts)

    def cache_outputs(self, name: str, metadata: dict[str, Any], function: WindowFunction) -> None:
        """Compute the outputs of frozen networks for the training windows, once; batches then contain them.

        Args:
            name: of the stage.
            metadata: plain values that decide the numbers, the hash of the weights among them.
            function: see `WindowCache.build`.
        """
        if not self.cache_bytes:
            return
        assert self.trainer is not None
        title = "frozen networks" if self.trainer.is_global_zero else ""
        self.frozen = WindowCache.build(
            self.cache.path.parent / "frozen",
            name,
            {**metadata, "features": self.cache.path.name},
            self.reader,
            self._train_clips(),
            self.window,
            function,
            max_bytes=self.cache_bytes,
            max_windows=None if self.sequence else self.cache_windows,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            barrier=self.trainer.strategy.barrier,
            progress=counter(title) if title else None,
        )
        if self.sequence and self.frozen.stride > 1:
            raise ConfigError(
                "The cache has too little room for sequences, which need every window.",
                found=f"data.cache_gib={self.cache_bytes / 2**30:g}",
                expected=f"{self.frozen.stride} times as much",
                fix="raise data.cache_gib, or set data.cache=false (slow)",
            )

    def drop_cached_outputs(self) -> None:
        """From now on batches hold no cached outputs."""
        self.frozen = None

    def val_dataloader(self) -> DataLoader:
        """Whole validation clips, one per batch; each is seen by one process."""
        clips = sorted(self.split.val, key=lambda clip: self.store.clips[clip].sha256)
        return self._clips(clips[: self.max_val_clips], self.max_val_frames)

    def test_dataloader(self) -> DataLoader:
        """Whole test clips, one per batch; each is seen by one process."""
        return self._clips(list(self.split.test))

    def _clips(self, clips: list[int], frames: int | None = None) -> DataLoader:
        assert self.trainer is not None
        dataset = ClipDataset(self.cache, self.store, [c for c in clips if self.cache.lengths[c] > 0], frames)
        return evaluation_loader(dataset, self.trainer)

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        return store_provenance(self.store, self.split)


class ClipDataset(Dataset):
    """Whole clips of a feature cache, or their first `frames`: the arrays of one clip and its `name`."""

    def __init__(
        self, cache: FeatureCache, store: MotionStore, clips: list[int], frames: int | None = None
    ) -> None:
        self.cache, self.store, self.clips, self.frames = cache, store, clips, frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip = self.clips[index]
        arrays = self.cache.clip(clip)
        tensors = {name: torch.from_numpy(arrays[name][: self.frames]) for name in _ARRAYS}
        return {**tensors, "name": self.store.clips[clip].name}


class FrozenBatches(IterableDataset):
    """Batches of windows, or of sequences, with the cached outputs of frozen networks.

    Args:
        windows: whose draws are used.
        frozen: the cache; None where there is none.
        sequence: frames of a sequence; None for single windows.
    """

    def __init__(self, windows: StepBatchDataset, frozen: WindowCache | None, sequence: int | None) -> None:
        super().__init__()
        self.windows, self.frozen, self.sequence = windows, frozen, sequence

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.windows:
            if self.sequence:
                yield self._sequences(batch, self.sequence)
            elif self.frozen:
                yield self._windows(batch, self.frozen)
            else:
                yield batch

    def _windows(self, batch: dict[str, Tensor], frozen: WindowCache) -> dict[str, Tensor]:
        clips, starts = batch["clip_ids"].numpy(), batch["starts"].numpy()
        if frozen.stride > 1:
            starts = starts - starts % frozen.stride
            arrays = self.windows.reader.read(clips, starts, self.windows.length)
            batch = {**batch, **_tensors({**arrays, "starts": starts})}
        return {**batch, **_tensors(frozen.read(clips, starts))}

    def _sequences(self, batch: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
        """Sequences of the drawn clips; the place of the window in its clip becomes that of the sequence."""
        window, reader = self.windows.length, self.windows.reader
        clips = batch["clip_ids"].numpy()
        rows = reader.lengths[clips]
        crops = np.minimum(rows, frames)
        starts = batch["starts"].numpy() * (rows - crops + 1) // np.maximum(rows - window, 1)
        starts = np.minimum(starts, rows - crops)
        parts: list[dict[str, Tensor]] = []
        for clip, start, crop in zip(clips, starts, crops):
            one = reader.read(np.array([clip]), np.array([start]), int(crop))
            part = {name: array[0, window - 1 :] for name, array in one.items()}
            if self.frozen:
                where = np.arange(start, start + crop - window + 1)
                part.update(self.frozen.read(np.full(len(where), clip), where))
            else:
                part["sparse_before"] = one["sparse"][0]
            parts.append(_tensors(part))
        padded = {name: pad_sequence([p[name] for p in parts], batch_first=True) for name in parts[0]}
        keys = {"clip_ids": clips, "starts": starts, "lengths": crops - window + 1}
        return {**padded, **_tensors(keys), "sample_ids": batch["sample_ids"], "step": batch["step"]}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
