"""PoseGPT's batches: augmented ones by step for training, windows in order for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from contrapposto.data.windows import StepBatchDataset
from contrapposto.nn.random import keyed_integers
from contrapposto.systems.posegpt.clips import mirror_some

if TYPE_CHECKING:
    from datamodules.posegpt.windows import PoseGPTDataModule

Batch = dict[str, Any]


class TrainBatches(IterableDataset):
    """Augmented batches of a data module by step, from `StepBatchDataset`'s draws."""

    def __init__(self, windows: StepBatchDataset, data: PoseGPTDataModule) -> None:
        super().__init__()
        self.windows, self.data = windows, data

    def __iter__(self) -> Iterator[Batch]:
        make = self._poses if self.data.tokens is None else self._tokens
        return (make(drawn) for drawn in self.windows)

    def _poses(self, drawn: Batch) -> Batch:
        data, step, ids = self.data, drawn["step"], drawn["sample_ids"]
        windows = {name: drawn[name] for name in ("pose", "valid")}
        batch = data.with_actions(windows, drawn["clip_ids"].numpy(), drawn["starts"].numpy())
        chosen = data.augment.mirrors(step, ids, _all_actions(batch))
        batch["pose"] = mirror_some(data.augment.turned(batch["pose"], step, ids), chosen)
        return self._labelled(batch, chosen, drawn)

    def _tokens(self, drawn: Batch) -> Batch:
        data, step, ids = self.data, drawn["step"], drawn["sample_ids"]
        assert data.tokens is not None
        units, starts = drawn["clip_ids"].numpy(), drawn["starts"].numpy()
        starts = starts - starts % data.tokens.stride
        batch = data.batch(units, starts)
        variant = keyed_integers(data.seed, step, ids, (), data.cache_variants, "posegpt variant")
        if data.mirror:
            variant = torch.where(
                data.augment.may_mirror(_all_actions(batch)), variant, variant - variant % 2
            )
        cached = data.tokens.read(units, starts)["tokens"]
        batch["tokens"] = torch.from_numpy(cached[np.arange(len(units)), variant.numpy()]).long()
        del batch["pose"]
        chosen = (variant % 2 == 1) if data.mirror else torch.zeros(len(units), dtype=torch.bool)
        return self._labelled(batch, chosen, drawn)

    def _labelled(self, batch: Batch, chosen: Tensor, drawn: Batch) -> Batch:
        for name in ("actions", "frame_actions"):
            if name in batch:
                batch[name] = self.data.augment.mirror_actions(batch[name], chosen)
        return {**batch, "sample_ids": drawn["sample_ids"], "step": drawn["step"]}


class EvaluationBatches(Dataset):
    """Batches of given windows (segment, start) of a data module; their numbers are the sample ids."""

    def __init__(self, data: PoseGPTDataModule, windows: list[tuple[int, int]]) -> None:
        self.data, self.windows = data, windows
        assert data.trainer is not None
        # No process may go without a batch.
        self.size = min(data.eval_batch_size, max(1, len(windows) // data.trainer.world_size))

    def __len__(self) -> int:
        return -(-len(self.windows) // self.size)

    def __getitem__(self, index: int) -> Batch:
        size = self.size
        chosen = self.windows[index * size : (index + 1) * size]
        units, starts = (np.array(column) for column in zip(*chosen))
        batch: Batch = self.data.batch(units, starts)
        batch["pose"] = self.data.augment.plain(batch["pose"])
        batch["sample_ids"] = torch.arange(index * size, index * size + len(chosen))
        batch["names"] = [self.data.name_of(*window) for window in chosen]
        return batch


def _all_actions(batch: Batch) -> Tensor:
    """(B, A) classes that occur anywhere in a window."""
    frames: Tensor | None = batch.get("frame_actions")
    actions: Tensor = batch["actions"]
    return actions if frames is None else torch.maximum(actions, frames.amax(1))
