"""Training of the lifter: keypoints over time to joints in camera space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto.systems.scail_pose.lifter import Lifter, lift_clip
from lightning_modules.base import StageModule

FPS = 15.0


class ScailLifterModule(StageModule):
    """Trains `Lifter`.

    Validation and test steps return named outputs of one stretch of a clip, N frames, lifted by overlapping windows:
    `pred_joints`, `true_joints` (1, N, 24, 3) metres from the pelvis; `pred_root`, `true_root` (1, N, 1, 3) the pelvis
    before the camera; `fps`; `clips`; `num_frames`.

    Args:
        window: frames.
        network: `width`, `heads`, `layers`, `dropout` of the network.
        loss: `root_weight` of the pelvis, its direction in spreads of the figure and the logarithm of its distance;
            `velocity_weight` of the change from frame to frame, metres. The joints' mean distance, metres, has 1.
    """

    def __init__(
        self,
        window: int = 16,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = Lifter(window, **(network or {}))
        self.weights = {"root_weight": 0.2, "velocity_weight": 1.0, **(loss or {})}

    def forward(self, rays: Tensor, scores: Tensor) -> Tensor:
        """See `Lifter.forward`."""
        joints: Tensor = self.network(rays, scores)
        return joints

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch of windows, logged under train/."""
        pred, true = self(batch["rays"], batch["scores"]).float(), batch["joints"]
        root, target = pred[:, :, 0], true[:, :, 0]
        about, wanted = pred - root[:, :, None], true - target[:, :, None]
        norm = torch.linalg.vector_norm
        terms = {
            "joints": norm(about - wanted, dim=-1).mean(),
            "velocity": norm((about - wanted).diff(dim=1), dim=-1).mean(),
            # At the true distance: an error along the ray counts once, in the next term.
            "direction": norm(_rays(root) - _rays(target), dim=-1).mul(target[..., 2]).mean(),
            "distance": (_depth(root).log() - _depth(target).log()).abs().mean(),
        }
        loss = (
            terms["joints"]
            + self.weights["velocity_weight"] * terms["velocity"]
            + self.weights["root_weight"] * (terms["direction"] + terms["distance"])
        )
        self.log_losses({"total": loss, **terms}, len(pred))
        return loss

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        pred = lift_clip(self, self.network.window, batch["rays"][0], batch["scores"][0])[None]
        pred, true = pred.to(batch["joints"]), batch["joints"]
        return {
            "pred_joints": pred - pred[:, :, :1],
            "true_joints": true - true[:, :, :1],
            "pred_root": pred[:, :, :1],
            "true_root": true[:, :, :1],
            "fps": FPS,
            "clips": [batch["name"]],
            "num_frames": [true.shape[1]],
        }


def _depth(root: Tensor) -> Tensor:
    return root[..., 2].clamp_min(0.1)


def _rays(root: Tensor) -> Tensor:
    return root[..., :2] / _depth(root)[..., None]
