"""Training of the recurrent tracker on sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

    The learning rate rises over `warmup_steps` and falls to a fiftieth along a cosine until the last step of the
    training.

    Args:
        network: `width`, `layers`, `dropout` of the network.
        loss_weights: see `TrackerLoss`.
        warmup_frames: see `TrackerLoss`.
        augmentation: see `Augmentation`.
        learning_rate, betas, weight_decay, warmup_steps: of AdamW and its schedule.
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
        learning_rate: float = 2e-3,
        betas: Sequence[float] = (0.9, 0.99),
        weight_decay: float = 1e-4,
        warmup_steps: int = 50,
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

    def configure_optimizers(self) -> Any:
        """AdamW with a warm-up and a cosine schedule over the whole training."""
        options = self.hparams
        optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=options["learning_rate"],
            betas=tuple(options["betas"]),
            weight_decay=options["weight_decay"],
            fused=True,
        )
        steps = self.trainer.estimated_stepping_batches

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / max(options["warmup_steps"], 1))
            return rise * (0.02 + 0.49 * (1 + math.cos(math.pi * min(step / steps, 1.0))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """The tracked clip."""
        return self.tracker.predict(sparse)
