"""PoseGPT: training of the action classifier that evaluates it (docs/specs/posegpt.md, section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from contrapposto.systems.posegpt.classifier import PoseClassifier
from contrapposto.systems.posegpt.losses import classification_loss
from contrapposto.systems.posegpt.official import load_official
from contrapposto.weights import ImportReport
from lightning_modules.posegpt.common import PoseModule, keep_vocabulary


class PoseGPTClassifierModule(PoseModule):
    """Trains `PoseClassifier`.

    Validation and test steps return named outputs of B windows: `logits`, `labels` (B, A); `features` (B, C);
    `hits` (B,), 1 where the likeliest class is one of the window's; `labelled` (B,), 0 for windows without any, which
    `hits` does not judge; `clips`; `num_frames`.

    Args:
        network: options of `PoseClassifier`; the sizes of its ends follow from vocabulary and skeleton.
        vocabulary, store: see `keep_vocabulary`.
        exclusive: cross entropy with the one action of a window; else each class is judged by itself.
        skeleton, heading, height: see `PoseModule`.
    """

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        vocabulary: str | Sequence[str] = "auto",
        store: str | None = None,
        exclusive: bool = False,
        skeleton: str = "smplh52",
        heading: str = "random",
        height: str = "start",
    ) -> None:
        super().__init__(skeleton, heading, height)
        self.save_hyperparameters()
        self.vocabulary = keep_vocabulary(self, vocabulary, store)
        self.exclusive = exclusive
        joints = self.skeleton.num_joints
        self.network = PoseClassifier(len(self.vocabulary), num_joints=joints, **(network or {}))

    def forward(self, pose: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and features (B, C) of pose vectors (B, T, 3 J + 3)."""
        logits, features = self.network(pose, valid)
        return logits, features

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of a batch of windows, logged under train/."""
        logits, _ = self.network(batch["pose"], batch["valid"])
        loss = classification_loss(logits, batch["actions"], exclusive=self.exclusive)
        self.log_losses({"total": loss}, len(logits))
        return {"loss": loss, "logits": logits.detach(), "labels": batch["actions"]}

    def outputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        logits, features = self.network(batch["pose"], batch["valid"])
        labels = batch["actions"]
        return {
            "logits": logits,
            "labels": labels,
            "features": features,
            "hits": labels.gather(1, logits.argmax(1, keepdim=True))[:, 0],
            "labelled": labels.amax(1),
        }

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load a checkpoint in the layout of the authors' code."""
        return {"classifier": load_official(self.network, path)}
