"""Rendered scenes with known joints, for the evaluation of SCAIL-Pose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from contrapposto.systems.scail_pose.scene_store import read_truth, scene_folders, store_key
from contrapposto.systems.scail_pose.scenes import REFERENCES
from datamodules.base import StoreDataModule
from datamodules.steps import evaluation_loader


class SceneDataModule(StoreDataModule):
    """The scenes of a store, one per batch.

    A batch is a dictionary: `name`; `video`, a file; `joints` (T, N, 24, 3) metres before the camera, `in_view`
    (T, N) bool and `seen` (T, N, 24) bool, joints in the image with nobody else in front of them, at `fps`; `references`,
    for scenes of one person: a list of (name, image file, joints (24, 3) metres).

    Args:
        store: folder that prepare.py wrote.
        people: only scenes with so many people; None: all.
        least_in_view: share of a person's joints that are in the image of somebody who should be found.
    """

    def __init__(
        self, store: str | Path, people: Sequence[int] | int | None = None, least_in_view: float = 0.8
    ) -> None:
        super().__init__()
        self.store, self.least_in_view = Path(store), least_in_view
        self.people = [people] if isinstance(people, int) else people

    def setup(self, stage: str) -> None:
        """Find the scenes."""
        scenes = [_Scene(folder, self.least_in_view) for folder in scene_folders(self.store)]
        self.scenes = [scene for scene in scenes if self.people is None or scene.count in self.people]

    def test_dataloader(self) -> DataLoader:
        """All scenes; each is seen by one process."""
        return evaluation_loader(_Scenes(self.scenes), self.trainer, _as_it_is)

    def val_dataloader(self) -> DataLoader:
        """The same: nothing is trained on them."""
        return self.test_dataloader()

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        return {
            "store": self.store.name,
            "content_hash": store_key(self.store),
            "source": "rendered by this project: the body and the synthetic motion that ship with it",
            "licence": "of this project",
            "scenes": len(scene_folders(self.store)),
        }

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        """A scene stays as it is: the pipeline's networks have places of their own."""
        return batch


class _Scene:
    def __init__(self, folder: Path, least_in_view: float) -> None:
        self.folder, self.least_in_view = folder, least_in_view
        self.truth = read_truth(folder)
        self.count = self.truth.joints.shape[1]

    def batch(self) -> dict[str, Any]:
        return {
            "name": self.folder.name,
            "video": self.folder / "driving.mp4",
            "joints": torch.from_numpy(self.truth.joints / 1000),
            "in_view": torch.from_numpy(self.truth.in_view(self.least_in_view)),
            "seen": torch.from_numpy(self.truth.inside & self.truth.open),
            "fps": self.truth.fps,
            "references": self._references() if self.count == 1 else [],
        }

    def _references(self) -> list[tuple[str, Path, np.ndarray]]:
        folder = self.folder.parent / "references"
        return [(name, folder / f"{name}.png", np.load(folder / f"{name}.npy") / 1000) for name in REFERENCES]


class _Scenes(Dataset):
    def __init__(self, scenes: Sequence[_Scene]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.scenes[index].batch()


def _as_it_is(batch: Any) -> Any:
    return batch
