"""PoseGPT: windows of labelled motion at 30 frames/s (docs/specs/posegpt.md, section 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from contrapposto.data.features import FeatureCache
from contrapposto.data.frozen import WindowCache, WindowFunction
from contrapposto.data.segments import (
    SegmentReader,
    Segments,
    clip_segments,
    frame_actions,
    joined,
    label_segments,
    no_labels,
    open_vocabulary,
    widened,
)
from contrapposto.data.store import MotionStore
from contrapposto.data.windows import StepBatchDataset
from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.progress import counter
from contrapposto.skeleton import SKELETONS
from contrapposto.systems.posegpt.augment import Augment, Heading
from contrapposto.systems.posegpt.clips import mirror_some
from contrapposto.systems.posegpt.poses import FPS, Height, from_motion
from datamodules.base import StoreDataModule
from datamodules.posegpt.batches import EvaluationBatches, TrainBatches
from datamodules.splitting import split_clips, store_provenance
from datamodules.steps import StepLoader, evaluation_loader

FEATURES_VERSION = 1
MARGIN = 8  # frames around labelled segments that `balanced_share` reaches into
Unit = Literal["segment", "clip"]


def pose_features(motion: Motion, skeleton: str, height: Height = "start") -> dict[str, np.ndarray]:
    """The pose vectors of a clip."""
    return {"pose": from_motion(motion, SKELETONS[skeleton], height=height).numpy()}


class PoseGPTDataModule(StoreDataModule):
    """Windows with their validity and actions, at 30 frames/s, in PoseGPT's world (`models.posegpt.poses`).

    A batch holds `pose` (B, window, 3 J + 3), `valid` (B, window) bool, `lengths` (B,), `actions` (B, A) float32,
    `frame_actions` (B, window, A) where `per_frame`, `sample_ids` (B,); in training also `step`, in evaluation
    `names`. A training batch of a step is a function of (seed, step). Where a stage has its tokens cached
    (`cache_outputs`), `tokens` (B, L, K) stand in place of `pose`.

    Args:
        store: folder that prepare.py wrote.
        vocabulary: actions: a shipped vocabulary, a file, or `auto`: the texts of the store; None where labels do not
            matter (with the unit `clip`).
        unit: `segment`: windows lie inside one label's span; `clip`: anywhere in a clip, labelled or not.
        skeleton: joints of the pose vectors: smpl22 (no hands), smpl24, smplh52, smplx55.
        batch_size: windows per step over all processes.
        eval_batch_size: windows per batch in evaluation.
        steps_per_epoch: length of an epoch.
        window: frames per window; a multiple of the auto-encoder's factor.
        min_frames: shorter segments are left out.
        heading: `random`, `canonical` or `as_it_is`, see `augment.Heading`.
        max_tilt: degrees by which figures lean at random in training; 15 in the original.
        height: of the root: `start` or `floor`, see `poses.Height`.
        mirror: half of the training windows in a mirror; left and right change places in labels too.
        mirror_labels: False keeps the labels as they are, as the original does.
        weighting: `clip`: every segment equally often (the original); `length`: as often as windows fit into it.
        balance: 0: segments as they are; 1: rare actions as often as common ones; between: a compromise.
        balanced_share: share of the training windows that is drawn around labelled segments, every action equally often;
            the rest lies anywhere in the clips. With the unit `clip` and a vocabulary.
        per_frame: add `frame_actions`, and draw windows from whole clips, so that they hold several actions.
        test_share, val_share, split_by, train_list, test_list: see `split_clips`.
        max_val_items: windows in a validation, the first ones by the hash of their clips; all where None.
        num_workers: processes that read.
        cache, cache_gib, cache_windows: of the tokens: whether, on how much disk, of how many windows at most.
        cache_variants: differently augmented versions of a cached window; with `mirror` every second one is mirrored.
        seed: of the draws.
    """

    from_user_media = False

    offers = ("train_actions",)

    def __init__(
        self,
        store: str | Path,
        vocabulary: str | None = "auto",
        unit: Unit = "segment",
        skeleton: str = "smplh52",
        batch_size: int = 32,
        eval_batch_size: int = 32,
        steps_per_epoch: int = 1000,
        window: int = 64,
        min_frames: int = 16,
        heading: Heading = "random",
        max_tilt: int = 0,
        height: Height = "start",
        mirror: bool = True,
        mirror_labels: bool = True,
        weighting: Literal["clip", "length"] = "clip",
        balance: float = 0.0,
        balanced_share: float = 0.0,
        per_frame: bool = False,
        test_share: float = 0.1,
        val_share: float = 0.05,
        split_by: str = "clip",
        train_list: str | Sequence[str] | None = None,
        test_list: str | Sequence[str] | None = None,
        max_val_items: int | None = None,
        num_workers: int = 0,
        cache: bool = True,
        cache_gib: float = 5.0,
        cache_windows: int | None = None,
        cache_variants: int = 2,
        seed: int = 10,
    ) -> None:
        super().__init__()
        _check("heading", heading, get_args(Heading))
        _check("unit", unit, get_args(Unit))
        _check("skeleton", skeleton, tuple(SKELETONS))
        _check("height", height, get_args(Height))
        if not 0 <= balanced_share < 1:
            raise ConfigError(
                f"data.balanced_share={balanced_share} is not possible.", expected="0 or more, below 1"
            )
        self.store_path, self.source = Path(store), vocabulary
        self.unit: Unit = "clip" if per_frame or vocabulary is None else unit
        self.skeleton, self.batch_size, self.eval_batch_size = skeleton, batch_size, eval_batch_size
        self.steps_per_epoch, self.window, self.min_frames = steps_per_epoch, window, min_frames
        self.heading, self.max_tilt, self.height = heading, max_tilt, height
        self.mirror, self.mirror_labels = mirror, mirror_labels
        self.weighting, self.balance, self.per_frame = weighting, balance, per_frame
        self.balanced_share = balanced_share if self.unit == "clip" and vocabulary is not None else 0.0
        self.shares, self.split_by, self.lists = (test_share, val_share), split_by, (train_list, test_list)
        self.max_val_items, self.num_workers, self.seed = max_val_items, num_workers, seed
        self.cache_bytes = cache_gib * 2**30 if cache else 0
        self.cache_windows, self.cache_variants = cache_windows, cache_variants
        self.tokens: WindowCache | None = None

    def setup(self, stage: str) -> None:
        """Open the store, cut its clips into segments; make the pose vectors where they are not there yet."""
        self.store = MotionStore.open(self.store_path)
        self.vocabulary = open_vocabulary(self.source, self.store_path) if self.source else None
        # Heights from the start have no option, so that caches of earlier versions stay valid.
        height = {} if self.height == "start" else {"height": self.height}
        self.features = FeatureCache.build(
            self.store,
            "posegpt",
            FEATURES_VERSION,
            partial(pose_features, skeleton=self.skeleton, height=self.height),
            fps=FPS,
            options={"skeleton": self.skeleton, **height},
            workers=self.num_workers,
        )
        self.segments = self._find_segments()
        self.reader = SegmentReader(
            self.features.path / "pose.npy", self.features.lengths, self.segments, self.window
        )
        self.split = split_clips(
            self.store,
            test_share=self.shares[0],
            val_share=self.shares[1],
            train_list=self.lists[0],
            test_list=self.lists[1],
            split_by=self.split_by,
            say=self.trainer is None or self.trainer.is_global_zero,
        )
        mirrored = self.vocabulary.mirrored() if self.vocabulary and self.mirror_labels else None
        self.augment = Augment(self.heading, self.max_tilt, self.mirror, mirrored, self.seed, self.height)

    def _find_segments(self) -> Segments:
        clips, rows = self.store.clips, self.features.lengths
        if self.unit == "clip":
            segments = clip_segments(clips, rows, self.vocabulary, min_frames=self.min_frames)
            labelled = not self.per_frame or bool(segments.actions.any())
            self.num_whole = len(segments)
            if self.balanced_share:
                assert self.vocabulary is not None
                spans = label_segments(clips, rows, self.vocabulary, fps=FPS, min_frames=self.min_frames)
                spans = widened(spans, rows, margin=MARGIN, at_least=self.window)
                segments, labelled = joined(segments, spans), len(spans) > 0
        else:
            assert self.vocabulary is not None
            segments = label_segments(clips, rows, self.vocabulary, fps=FPS, min_frames=self.min_frames)
            labelled = len(segments) > 0
        if not labelled:
            raise no_labels(self.store_path, segments)
        return segments

    def train_segments(self) -> np.ndarray:
        """Numbers of the training segments; several times where `weighting` and `balance` say so."""
        units = need_units(self.segments.of_clips(self.split.train), "train", self.store_path)
        if self.balanced_share:
            return self._half_balanced(units)
        if self.weighting == "length":
            units = np.repeat(units, -(-self.segments.frames[units] // self.window))
        hot = self.segments.actions[units]
        if not self.balance or not hot.any():
            return units
        counts = hot.sum(0)
        # That of its rarest action; segments without one count as common.
        rarest = np.where(hot, counts, counts.max()).min(1)
        return np.repeat(units, np.rint((counts.max() / rarest) ** self.balance).astype(int).clip(1, 20))

    def _half_balanced(self, units: np.ndarray) -> np.ndarray:
        """Whole clips as often as windows fit into them, and labelled segments, each action as often as the others."""
        whole = units[units < self.num_whole]
        whole = np.repeat(whole, -(-self.segments.frames[whole] // self.window))
        spans = units[units >= self.num_whole]
        hot = self.segments.actions[spans]
        classes = np.flatnonzero(hot.any(0))
        if not len(classes):
            return whole
        share = self.balanced_share / (1 - self.balanced_share)
        each = max(round(share * len(whole) / len(classes)), 1)
        parts = [np.resize(spans[hot[:, index]], each) for index in classes]
        return np.concatenate([whole, *parts])

    def train_dataloader(self) -> StepLoader:
        """Windows of the training segments."""
        trainer = self.trainer
        assert trainer is not None
        units = self.train_segments()

        def dataset(first: int, last: int) -> IterableDataset:
            windows = StepBatchDataset(
                self.reader,
                seed=self.seed,
                batch_size=self.batch_size,
                length=self.window,
                start_step=first,
                steps=last,
                rank=trainer.global_rank,
                world_size=trainer.world_size,
                include_last_start=True,
                clips=units,
            )
            return TrainBatches(windows, self)

        return StepLoader(
            dataset,
            self.steps_per_epoch,
            None if getattr(trainer, "overfit_batches", 0) else trainer,
            num_workers=self.num_workers,
        )

    def cache_outputs(self, name: str, metadata: dict[str, Any], function: WindowFunction) -> None:
        """Compute the tokens of the training windows once; training batches then hold them.

        Args:
            name: of the stage.
            metadata: plain values that decide the numbers, the hash of the weights among them.
            function: batch with `pose` (B, T, D) and `valid` (B, T) to {"tokens": (B, L, K)}.
        """
        if not self.cache_bytes:
            return
        assert self.trainer is not None
        first = self.trainer.is_global_zero
        self.tokens = WindowCache.build(
            self.features.path.parent / "frozen",
            name,
            {**metadata, **self._cache_metadata()},
            self.reader,
            np.unique(self.train_segments()),
            self.window,
            partial(self._variants, function),
            max_bytes=self.cache_bytes,
            max_windows=self.cache_windows,
            batch_size=128,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
            barrier=self.trainer.strategy.barrier,
            progress=counter("tokens") if first else None,
        )

    @property
    def train_actions(self) -> list[int]:
        """Classes that the training part has, the commonest first."""
        counts = self.segments.actions[self.segments.of_clips(self.split.train)].sum(0)
        return [int(index) for index in np.argsort(-counts, kind="stable") if counts[index] > 0]

    def _cache_metadata(self) -> dict[str, Any]:
        segments = self.segments
        places = np.stack([segments.clips, segments.starts, segments.frames], 1)
        return {
            "features": self.features.path.name,
            "segments": places.tolist(),
            "heading": self.heading,
            "max_tilt": self.max_tilt,
            "mirror": self.mirror,
            "variants": self.cache_variants,
            "seed": self.seed,
        }

    def _variants(self, function: WindowFunction, batch: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """Outputs (B, variants, ...) of a function of windows; the odd variants are mirrored."""
        outputs: list[Mapping[str, Tensor]] = []
        for variant in range(self.cache_variants):
            pose = self.augment.turned(batch["pose"], variant, batch["window_ids"])
            odd = torch.full((len(pose),), self.mirror and variant % 2 == 1)
            outputs.append(function({"pose": mirror_some(pose, odd), "valid": batch["valid"]}))
        return {name: torch.stack([output[name] for output in outputs], dim=1) for name in outputs[0]}

    def val_dataloader(self) -> DataLoader:
        """Windows of the validation clips; each is seen by one process."""
        return self._evaluation(self.split.val, "val", self.max_val_items)

    def test_dataloader(self) -> DataLoader:
        """Windows of the test clips; each is seen by one process."""
        return self._evaluation(self.split.test, "test", None)

    def evaluation_windows(self, clips: np.ndarray) -> list[tuple[int, int]]:
        """(segment, start) of what is evaluated of these clips.

        The middle of every segment, as the original does; of whole clips all consecutive windows.
        """
        windows: list[tuple[int, int]] = []
        for unit in self.segments.of_clips(clips).tolist():
            if self.balanced_share and unit >= self.num_whole:
                continue
            frames = int(self.segments.frames[unit])
            if self.unit == "segment":
                windows.append((unit, max(0, frames // 2 - self.window // 2)))
            else:
                last = max(frames - self.min_frames, 0)
                windows += [(unit, start) for start in range(0, last + 1, self.window)]
        return windows

    def _evaluation(self, clips: np.ndarray, part: str, most: int | None) -> DataLoader:
        assert self.trainer is not None
        order = sorted(clips.tolist(), key=lambda clip: self.store.clips[clip].sha256)
        windows = [window for clip in order for window in self.evaluation_windows(np.array([clip]))]
        need_units(np.array(windows), part, self.store_path)
        return evaluation_loader(EvaluationBatches(self, windows[:most]), self.trainer)

    def batch(self, units: np.ndarray, starts: np.ndarray) -> dict[str, Tensor]:
        """Windows as they are, with their validity, lengths and actions."""
        arrays = self.reader.read(units, starts, self.window)
        return self.with_actions(
            {name: torch.from_numpy(arrays[name]) for name in ("pose", "valid")}, units, starts
        )

    def with_actions(
        self, batch: dict[str, Tensor], units: np.ndarray, starts: np.ndarray
    ) -> dict[str, Tensor]:
        """Lengths and actions added to windows with their validity."""
        batch["lengths"] = batch["valid"].sum(1)
        batch["actions"] = torch.from_numpy(self.segments.actions[units]).float()
        if self.per_frame:
            batch["frame_actions"] = torch.from_numpy(self._frame_actions(units, starts)).float()
        return batch

    def _frame_actions(self, units: np.ndarray, starts: np.ndarray) -> np.ndarray:
        assert self.vocabulary is not None
        rows = []
        for unit, start in zip(units.tolist(), starts.tolist()):
            clip = self.store.clips[self.segments.clips[unit]]
            first = int(self.segments.starts[unit]) + start
            rows.append(frame_actions(clip, self.vocabulary, first, self.window, fps=FPS))
        return np.stack(rows)

    def name_of(self, unit: int, start: int) -> str:
        """Name of a window: its clip, the second at which it begins, its actions."""
        clip = self.store.clips[self.segments.clips[unit]]
        second = (int(self.segments.starts[unit]) + start) / FPS
        names = self.vocabulary.names if self.vocabulary else ()
        actions = [names[i] for i in np.flatnonzero(self.segments.actions[unit])]
        return f"{clip.name} {second:.1f} s" + (f": {', '.join(actions)}" if actions else "")

    def provenance(self) -> dict[str, Any]:
        """Hash, source and licence of the data, for provenance files and checkpoints."""
        parts = {
            part: len(self.segments.of_clips(getattr(self.split, part))) for part in ("train", "val", "test")
        }
        left_out = dict(self.segments.problems)
        return {**store_provenance(self.store, self.split), "segments": parts, "left_out": left_out}


def need_units(units: np.ndarray, part: str, store: Path) -> np.ndarray:
    """The units, if there are any.

    Raises:
        ConfigError: none.
    """
    if not len(units):
        raise ConfigError(
            f"The {part} part of {store} has no labelled motion.",
            fix="change data.test_share, data.val_share, data.min_frames or the lists",
        )
    return units


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"data.{name}={value} is not possible.", expected=", ".join(allowed))
