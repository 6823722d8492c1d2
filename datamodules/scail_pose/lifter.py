"""The lifter of SCAIL-Pose: motion of a store through random cameras, with the errors of keypoint networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from contrapposto.data.features import FeatureCache
from contrapposto.data.store import MotionStore
from contrapposto.data.windows import StepBatchDataset, Weighting, WindowReader
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.systems.scail_pose.lifter_data import (
    NUM_ROTATIONS,
    Keys,
    ViewOptions,
    random_views,
)
from contrapposto.systems.scail_pose.lifter_noise import NoiseOptions, see
from datamodules.base import StoreDataModule
from datamodules.splitting import split_clips, store_provenance
from datamodules.steps import StepLoader, evaluation_loader

FEATURES_VERSION = 1
FPS = 30.0
_EVALUATION = 2**40  # a step that training never reaches


def lifter_features(motion: Motion) -> dict[str, np.ndarray]:
    """Rotations (F, 22, 3) and pelvis (F, 3) of a clip."""
    pelvis = motion.root_translation + motion.skeleton.rest_positions[0]
    return {"rotations": motion.rotations[:, :NUM_ROTATIONS], "pelvis": pelvis.astype(np.float32)}


class LifterDataModule(StoreDataModule):
    """Keypoints and the joints behind them.

    A training batch holds `rays` (B, window, 28, 2), `scores` (B, window, 28), `joints` (B, window, 24, 3) metres in
    camera space, `sample_ids` (B,) and `step`; the batch of a step is a function of (seed, step). Frames are 1/30 or
    1/15 s apart, at random. An evaluation batch is a stretch of one clip before one camera at 15 frames/s: the same
    arrays with B = 1, and its `name`.

    Args:
        store: folder that prepare.py wrote.
        batch_size: windows per step over all processes.
        window: frames.
        steps_per_epoch: length of an epoch.
        views, noise: options of `ViewOptions` and `NoiseOptions`.
        eval_frames: of a stretch in evaluation; shorter clips are taken whole.
        eval_views: cameras for each clip in evaluation, each with a stretch of its own.
        eval_pan: `pan` of these: over a longer time figures walk out of the image where the camera does not follow.
        test_share, val_share, split_by, train_list, test_list: see `split_clips`.
        max_val_clips: in validation, the first ones by hash; the test takes all.
        weighting: see `draw_windows`.
        num_workers: processes that make batches.
        seed: of all draws.
    """

    from_user_media = False

    def __init__(
        self,
        store: str | Path,
        batch_size: int = 64,
        window: int = 16,
        steps_per_epoch: int = 500,
        views: Mapping[str, Any] | None = None,
        noise: Mapping[str, Any] | None = None,
        eval_frames: int = 64,
        eval_views: int = 2,
        eval_pan: Sequence[float] = (0.7, 1.0),
        test_share: float = 0.1,
        val_share: float = 0.05,
        split_by: str = "clip",
        train_list: str | Sequence[str] | None = None,
        test_list: str | Sequence[str] | None = None,
        max_val_clips: int | None = None,
        weighting: Weighting = "length",
        num_workers: int = 0,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.store_path, self.batch_size, self.window = Path(store), batch_size, window
        self.steps_per_epoch, self.num_workers, self.seed = steps_per_epoch, num_workers, seed
        self.views, self.noise = ViewOptions(**(views or {})), NoiseOptions(**(noise or {}))
        self.eval_views = ViewOptions(**{**(views or {}), "pan": eval_pan})
        self.eval_frames, self.cameras = eval_frames, eval_views
        self.shares, self.split_by, self.lists = (test_share, val_share), split_by, (train_list, test_list)
        self.max_val_clips = max_val_clips
        self.weighting: Weighting = weighting

    def setup(self, stage: str) -> None:
        """Open the store, and bring its clips to 30 frames/s where that is not done yet."""
        self.store = MotionStore.open(self.store_path)
        self.features = FeatureCache.build(
            self.store, "lifter", FEATURES_VERSION, lifter_features, fps=FPS, workers=self.num_workers
        )
        self.reader = self.features.reader("rotations", "pelvis")
        self.split = split_clips(
            self.store,
            test_share=self.shares[0],
            val_share=self.shares[1],
            train_list=self.lists[0],
            test_list=self.lists[1],
            split_by=self.split_by,
            say=self.trainer is None or self.trainer.is_global_zero,
        )

    def train_dataloader(self) -> StepLoader:
        """Windows of the training clips before cameras."""
        trainer = self.trainer
        assert trainer is not None
        rows = 2 * (self.window - 1) + 1
        clips = self.split.train[self.features.lengths[self.split.train] >= rows]
        if not len(clips):
            raise InputError(
                f"No training clip of {self.store_path} has {rows} frames at 30 frames/s.",
                found=f"{len(self.split.train)} training clips",
                fix="use a smaller data.window",
            )

        def dataset(first: int, last: int) -> IterableDataset:
            windows = StepBatchDataset(
                self.reader,
                seed=self.seed,
                batch_size=self.batch_size,
                length=rows,
                start_step=first,
                steps=last,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
                include_last_start=True,
                weighting=self.weighting,
                clips=clips,
            )
            return SeenWindows(windows, self.window, self.seed, self.views, self.noise)

        return StepLoader(
            dataset,
            self.steps_per_epoch,
            None if getattr(trainer, "overfit_batches", 0) else trainer,
            num_workers=self.num_workers,
        )

    def val_dataloader(self) -> DataLoader:
        """Stretches of validation clips, one per batch; each is seen by one process."""
        clips = sorted(self.split.val, key=lambda clip: self.store.clips[clip].sha256)
        return self._stretches(clips[: self.max_val_clips])

    def test_dataloader(self) -> DataLoader:
        """Stretches of test clips, one per batch; each is seen by one process."""
        return self._stretches(list(self.split.test))

    def _stretches(self, clips: list[int]) -> DataLoader:
        assert self.trainer is not None
        dataset = SeenClips(self, [clip for clip in clips if self.features.lengths[clip] > 0])
        return evaluation_loader(dataset, self.trainer)

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        return store_provenance(self.store, self.split)


class SeenWindows(IterableDataset):
    """Batches of windows, seen by a camera and a keypoint network.

    Args:
        windows: of rotations and pelvis at 30 frames/s, 2 window - 1 rows each.
        window: frames of the result.
        seed: of the draws.
        views, noise: of cameras and network.
    """

    def __init__(
        self, windows: StepBatchDataset, window: int, seed: int, views: ViewOptions, noise: NoiseOptions
    ) -> None:
        super().__init__()
        self.windows, self.window, self.seed = windows, window, seed
        self.views, self.noise = views, noise

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.windows:
            keys = Keys(self.seed, batch["step"], batch["sample_ids"])
            pace = 1 + (keys.uniform("pace of time") < 0.5).long()
            frames = (torch.arange(self.window) * pace[:, None])[..., None]
            rotations = batch["rotations"].flatten(2)
            rotations = rotations.gather(1, frames.expand(-1, -1, rotations.shape[2])).unflatten(2, (-1, 3))
            pelvis = batch["pelvis"].gather(1, frames.expand(-1, -1, 3))
            views = random_views(rotations, pelvis, keys, self.views)
            rays, scores = see(views, keys, self.noise)
            yield {
                "rays": rays,
                "scores": scores,
                "joints": views.joints,
                "sample_ids": batch["sample_ids"],
                "step": batch["step"],
            }


class SeenClips(Dataset):
    """Stretches of clips, every second frame, each before a camera of its own.

    Args:
        data: a module that is set up.
        clips: their numbers.
    """

    def __init__(self, data: LifterDataModule, clips: list[int]) -> None:
        self.data, self.clips = data, clips
        self.reader: WindowReader = data.reader

    def __len__(self) -> int:
        return len(self.clips) * self.data.cameras

    def __getitem__(self, index: int) -> dict[str, Any]:
        data, (place, camera) = self.data, divmod(index, self.data.cameras)
        clip = self.clips[place]
        rows = int(data.features.lengths[clip])
        length = min(2 * data.eval_frames - 1, rows)
        keys = Keys(data.seed, _EVALUATION, torch.tensor([clip * data.cameras + camera]))
        start = int(keys.uniform("start") * (rows - length + 1))
        arrays = self.reader.read(np.array([clip]), np.array([start]), length)
        rotations, pelvis = (torch.from_numpy(arrays[name][:, ::2]) for name in ("rotations", "pelvis"))
        views = random_views(rotations, pelvis, keys, data.eval_views)
        rays, scores = see(views, keys, data.noise)
        name = f"{data.store.clips[clip].name}:{camera}"
        return {"rays": rays, "scores": scores, "joints": views.joints, "name": name}
