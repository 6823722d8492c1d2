"""Training of the student on sequences: the ground truth, and the frozen tracker as a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.systems.sage.student import StudentLoss, StudentTracker
from lightning_modules.base import load_stage, weights_hash
from lightning_modules.sage.common import SageBodyModule
from lightning_modules.sage.refiner import SageRefinerModule


class SageStudentModule(SageBodyModule):
    """Trains `StudentNetwork`, a recurrent network of one pass per frame.

    The teacher's unrefined output comes from the cache that the refiner's training made, or is computed once; its
    refiner runs in every step, from the start of the sequence.

    Args:
        network: `width`, `layers` of the student.
        teacher: checkpoint of the refiner stage, read when training starts; None learns from the ground truth alone.
        loss_weights: see `StudentLoss`.
        body, skip_seconds, reach, finishing: see `SageBodyModule`.
    """

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        teacher: str | None = None,
        loss_weights: Sequence[float] = (0.5, 1.0, 5.0, 2.0, 30.0, 5.0, 0.5),
        body: str | None = None,
        skip_seconds: float = 0.0,
        reach: bool = False,
        finishing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(body, skip_seconds, reach, finishing)
        self.save_hyperparameters()
        self.tracker = StudentTracker.from_options(self.hparams)
        self.loss = StudentLoss(self.rest_positions, weights=tuple(loss_weights))

    def setup(self, stage: str) -> None:
        """Load the teacher."""
        if stage == "fit" and self.hparams["teacher"] is not None:
            self.frozen["teacher"] = load_stage(SageRefinerModule, self.hparams["teacher"], "sage_refiner")

    def on_fit_start(self) -> None:
        """Cache the teacher's unrefined output under the name of the refiner's training: it is the same."""
        self._move_frozen()
        if self.frozen:
            metadata = {"weights": weights_hash(*self.frozen_networks()), **self.frozen_metadata()}
            self.cache_outputs(SageRefinerModule.__name__, metadata, self._cached_outputs)

    def frozen_networks(self) -> list[nn.Module]:
        """Those of the teacher before its refiner."""
        return self._teacher.frozen_networks() if self.frozen else []

    def frozen_metadata(self) -> dict[str, Any]:
        """Settings of the teacher's samplers."""
        return self._teacher.frozen_metadata()

    def frozen_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`coarse`, the teacher's unrefined 6D of the last frame."""
        return self._teacher.frozen_outputs(batch)

    @property
    def _teacher(self) -> SageRefinerModule:
        teacher = self.frozen["teacher"]
        assert isinstance(teacher, SageRefinerModule)
        return teacher

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean loss over the frames of the batch's sequences, logged under train/; the batch is the refiner's."""
        sixd, _ = self.tracker.network(batch["sparse"])
        teacher = self._taught(batch) if self.frozen else None
        losses = self.loss(sixd, batch["rotation_local_6d"], batch["lengths"], teacher)
        self.log_losses(vars(losses), len(sixd))
        total: Tensor = losses.total
        return total

    @torch.no_grad()
    def _taught(self, batch: dict[str, Any]) -> Tensor:
        """(B, N, 132) what the teacher gives for the batch."""
        coarse = batch["coarse"].float() if "coarse" in batch else self._teacher._coarse(batch)
        correction: Tensor = self._teacher.tracker.refiner(coarse)[0]
        return coarse + correction

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """The tracked clip."""
        return self.tracker.track(sparse).sixd
