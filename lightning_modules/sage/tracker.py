"""Training of the recurrent tracker on sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.systems.sage.augmentation import Augmentation, MotionBatch, augment
from contrapposto.systems.sage.joints import NUM_JOINTS
from contrapposto.systems.sage.recurrent_loss import TrackerLoss
from contrapposto.systems.sage.recurrent_tracker import Tracker
from lightning_modules.sage.common import SageBodyModule


class TrackerModule(SageBodyModule):
    """Trains `TrackerNetwork` with `TrackerLoss` on augmented sequences.

    Args:
        network: `width`, `layers`, `dropout` of the network.
        loss_weights: see `TrackerLoss`.
        warmup_frames: see `TrackerLoss`.
        augmentation: see `Augmentation`.
        seed: of the augmentation.
        body, skip_seconds: see `SageBodyModule`.
        finishing: see `Finishing`; its defaults where None.
    """

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        warmup_frames: int = 12,
        augmentation: Mapping[str, Any] | None = None,
        seed: int = 10,
        body: str | None = None,
        skip_seconds: float = 0.0,
        finishing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(body, skip_seconds, finishing=finishing or {})
        self.save_hyperparameters()
        self.tracker = Tracker.from_options(self.hparams)
        self.loss = TrackerLoss(loss_weights, warmup_frames)
        self.augmentation = Augmentation(**(augmentation or {}))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean loss over the frames of the batch's sequences, logged under train/."""
        motion = self.augmented(batch)
        sixd, _ = self.tracker.network(motion.devices, motion.seen)
        losses = self.loss(sixd.float(), motion)
        self.log_losses(vars(losses), len(sixd))
        total: Tensor = losses.total
        return total

    def augmented(self, batch: dict[str, Any]) -> MotionBatch:
        """Training motion of a batch of the DataModule."""
        lengths = batch["lengths"]
        valid = torch.arange(batch["rotation_local_6d"].shape[1], device=lengths.device) < lengths[:, None]
        local = rot.sixd_columns_to_matrix(batch["rotation_local_6d"].unflatten(-1, (NUM_JOINTS, 6)))
        local = torch.where(valid[..., None, None, None], local, torch.eye(3, device=local.device))
        return augment(
            local,
            batch["root_translation"],
            lengths,
            self.kinematics.offsets,
            batch["sample_ids"],
            options=self.augmentation,
            seed=self.hparams["seed"],
        )

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """The tracked clip."""
        return self.tracker.predict(sparse)
