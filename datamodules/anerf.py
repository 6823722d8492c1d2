"""Rays of an avatar scene for training, whole images for evaluation (docs/specs/anerf.md, section 8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from contrapposto.errors import InputError
from contrapposto.systems.anerf.data.images import ImageOptions, ImageSampler, clean_image
from contrapposto.systems.anerf.data.rays import RayOptions, RaySampler
from contrapposto.systems.anerf.data.scene import AvatarScene
from datamodules.base import StoreDataModule
from datamodules.steps import Batch, StepLoader, evaluation_loader


class ANeRFDataModule(StoreDataModule):
    """Training batches are those of `RaySampler`; evaluation batches are single images.

    An image: `image` (H, W, 3) in [0, 1] with a clean background, `mask` (H, W) bool, `background` (H, W, 3); its
    camera: number `camera`, `camera_to_world` (4, 4), `focal` and `centre` (2,); `world_to_bone` (J, 4, 4), `joints`
    (J, 3) and number `pose` of its pose as the scene has it, `true_joints` (J, 3) where the scene knows them and the
    pose is learnt, else None; `mm`, millimetres in a unit; `code` of the image; `group`, its split; `name`.

    Args:
        store: the scene that prepare.py wrote.
        rays: options of `RayOptions`.
        train_split: images to learn from.
        val_splits, test_splits: judged in validation and in the test; those that the scene lacks are left out, and
            without any the images of training are taken.
        max_val_images: per split in validation, evenly spread. None: all.
        max_test_images: the same in the test.
        steps_per_epoch: training steps between validations.
        mm_per_unit: where the scene does not know its scale: millimetres in a unit, as the original has it.
        seed: of the draws.
    """

    offers = ("scene", "num_codes")

    def __init__(
        self,
        store: str | Path,
        rays: Mapping[str, Any] | None = None,
        train_split: str = "train",
        val_splits: Sequence[str] = ("novel_view", "novel_pose"),
        test_splits: Sequence[str] = ("novel_view", "novel_pose"),
        max_val_images: int | None = 8,
        max_test_images: int | None = None,
        steps_per_epoch: int = 1000,
        mm_per_unit: float = 1000.0,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.store, self.options, self.train_split = Path(store), RayOptions(**(rays or {})), train_split
        self.splits = {"val": list(val_splits), "test": list(test_splits)}
        self.limits = {"val": max_val_images, "test": max_test_images}
        self.steps_per_epoch, self.mm_per_unit, self.seed = steps_per_epoch, mm_per_unit, seed
        self._scene: AvatarScene | None = None
        self._sampler: RaySampler | None = None

    @property
    def scene(self) -> AvatarScene:
        """The scene, opened once."""
        if self._scene is None:
            self._scene = AvatarScene.open(self.store)
        return self._scene

    @property
    def from_user_media(self) -> bool:
        """Whether the images may show a real person: all do but drawn ones."""
        return str(self.scene.manifest.get("recipe")) != "anerf_scene"

    @property
    def num_codes(self) -> int:
        """Frame codes of the images of training."""
        return len(np.unique(self.scene.cam_idxs[self.scene.split(self.train_split)]))

    def setup(self, stage: str) -> None:
        """Open the scene.

        Raises:
            MissingError, InputError: there is none, or it is damaged.
        """
        _ = self.scene

    def sampler(self) -> RaySampler:
        """Rays of this process's share, made once."""
        if self._sampler is None:
            assert self.trainer is not None
            device = self.trainer.strategy.root_device
            self._sampler = RaySampler(
                self.scene,
                self.options,
                seed=self.seed,
                images=self.scene.split(self.train_split),
                rank=self.trainer.global_rank,
                world_size=self.trainer.world_size,
                device=device if device.type == "cuda" else "cpu",
            )
        return self._sampler

    def train_dataloader(self) -> StepLoader:
        """Training batches."""
        assert self.trainer is not None
        sampler = self.sampler()
        follow = None if getattr(self.trainer, "overfit_batches", 0) else self.trainer
        return StepLoader(
            lambda first, last: _TrainBatches(sampler, first, last), self.steps_per_epoch, follow
        )

    def val_dataloader(self) -> DataLoader:
        """Some images of every split."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader:
        """All images of every split."""
        return self._evaluation("test")

    def _evaluation(self, part: str) -> DataLoader:
        assert self.trainer is not None
        splits = [name for name in self.splits[part] if name in self.scene.splits] or [self.train_split]
        items = [(name, int(image)) for name in splits for image in self._spread(name, self.limits[part])]
        return evaluation_loader(_Images(self, items), self.trainer)

    def _spread(self, split: str, limit: int | None) -> np.ndarray:
        images = self.scene.split(split)
        images = images[[bool(self.scene.masks[i].any()) for i in images]]
        if not len(images):
            raise InputError(f"No image of the split {split} shows the person.")
        count = len(images) if limit is None else min(limit, len(images))
        # Golden-ratio steps: images lie camera by camera, and even steps would meet the same poses again.
        order = np.argsort((np.arange(len(images)) * 0.6180339887498949) % 1.0, kind="stable")
        return images[np.sort(order[:count])]

    def evaluation_item(self, group: str, image: int) -> dict[str, Any]:
        """See the class."""
        scene = self.scene
        pose = scene.pose_index(image)
        truth = scene.gt_kp3d
        known = truth is not None and truth.shape[1] == scene.kp3d.shape[1] and pose in self._learnt
        metres = scene.metres_per_unit
        codes = np.unique(scene.cam_idxs[scene.split(self.train_split)])
        place = int(np.searchsorted(codes, scene.cam_idxs[image]))
        seen = place < len(codes) and codes[place] == scene.cam_idxs[image]
        return {
            "image": _image_tensor(clean_image(scene, image)),
            "mask": torch.from_numpy(scene.mask(image).copy()),
            "background": _image_tensor(scene.background(image)),
            **camera_of(scene, image),
            "camera": scene.camera_index(image),
            "world_to_bone": torch.from_numpy(np.array(scene.skts[pose])),
            "joints": torch.from_numpy(np.array(scene.kp3d[pose])),
            "true_joints": torch.from_numpy(np.array(truth[pose])) if known and truth is not None else None,
            "mm": self.mm_per_unit if metres is None else 1000 * metres,
            "pose": pose,
            "code": place if seen else -1,
            "group": group,
            "name": f"{group}/{image:06d}",
        }

    @cached_property
    def _learnt(self) -> frozenset[int]:
        """Poses of the images of training."""
        return frozenset(self.scene.kp_idxs[self.scene.split(self.train_split)].tolist())

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        manifest = self.scene.manifest
        metadata = {key: manifest[key] for key in ("source", "licence", "attribution")}
        return {**metadata, "store": self.scene.path.name, "content_hash": self.scene.content_hash}


class AvatarImagesDataModule(ANeRFDataModule):
    """Training batches are single images cut to the person (`ImageSampler`); evaluation is that of `ANeRFDataModule`.

    Args:
        store: the scene that prepare.py wrote.
        crops: options of `ImageOptions`.
        train_split, val_splits, test_splits, max_val_images, max_test_images, steps_per_epoch, mm_per_unit, seed: see
            `ANeRFDataModule`.
    """

    def __init__(
        self,
        store: str | Path,
        crops: Mapping[str, Any] | None = None,
        train_split: str = "train",
        val_splits: Sequence[str] = ("novel_view", "novel_pose"),
        test_splits: Sequence[str] = ("novel_view", "novel_pose"),
        max_val_images: int | None = 8,
        max_test_images: int | None = None,
        steps_per_epoch: int = 1000,
        mm_per_unit: float = 1000.0,
        seed: int = 10,
    ) -> None:
        super().__init__(
            store,
            None,
            train_split,
            val_splits,
            test_splits,
            max_val_images,
            max_test_images,
            steps_per_epoch,
            mm_per_unit,
            seed,
        )
        self.crops = ImageOptions(**(crops or {}))
        self._image_sampler: ImageSampler | None = None

    def train_dataloader(self) -> StepLoader:
        """Training images."""
        assert self.trainer is not None
        if self._image_sampler is None:
            self._image_sampler = ImageSampler(
                self.scene,
                self.crops,
                seed=self.seed,
                images=self.scene.split(self.train_split),
                rank=self.trainer.global_rank,
                world_size=self.trainer.world_size,
            )
        sampler = self._image_sampler
        follow = None if getattr(self.trainer, "overfit_batches", 0) else self.trainer
        return StepLoader(
            lambda first, last: _StepBatches(sampler, first, last), self.steps_per_epoch, follow
        )


def camera_of(scene: AvatarScene, image: int) -> dict[str, torch.Tensor]:
    """`camera_to_world`, `focal` and `centre` of an image."""
    camera = scene.camera_index(image)
    arrays = {"camera_to_world": scene.c2ws, "focal": scene.focals, "centre": scene.centers}
    return {name: torch.from_numpy(np.array(array[camera])) for name, array in arrays.items()}


class _TrainBatches(IterableDataset):
    """The batches of steps `first` to `last`."""

    def __init__(self, sampler: RaySampler, first: int, last: int) -> None:
        super().__init__()
        self.sampler, self.steps = sampler, range(first, last)

    def __iter__(self) -> Iterator[Batch]:
        for step in self.steps:
            batch = self.sampler.batch(step)
            yield {"ray_ids": batch["ray_ids"], **batch}  # the number of samples is read off the first entry


class _StepBatches(IterableDataset):
    """The images of steps `first` to `last`."""

    def __init__(self, sampler: ImageSampler, first: int, last: int) -> None:
        super().__init__()
        self.sampler, self.steps = sampler, range(first, last)

    def __iter__(self) -> Iterator[Batch]:
        for step in self.steps:
            yield self.sampler.batch(step)


class _Images(Dataset):
    def __init__(self, data: ANeRFDataModule, items: Sequence[tuple[str, int]]) -> None:
        self.data, self.items = data, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.data.evaluation_item(*self.items[index])


def _image_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).float() / 255
