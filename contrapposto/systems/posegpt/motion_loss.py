"""Loss of auto-encoders in the velocity representation: squared errors that do not favour standing still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.skeleton import Skeleton, forward_kinematics
from contrapposto.systems.posegpt.autoencoder import DecodedMotion
from contrapposto.systems.posegpt.losses import masked_mean
from contrapposto.systems.posegpt.root_motion import Standardizer, integrate

FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")
STILL = 0.15
"""Metres per second below which a foot of the true motion counts as standing."""


@dataclass(frozen=True)
class MotionLosses:
    """Scalars; `total` is the weighted sum, the others are unweighted.

    Args:
        total: what is minimised.
        root: standardised 6D of the root without its heading.
        body: standardised 6D of the other joints.
        step: standardised turns, steps and heights.
        place: integrated root position (metres) and root rotation (matrix entries).
        change: changes of all standardised features from frame to frame.
        foot: velocity (m/s) of feet that stand.
        quantizer: mean over the valid tokens of the batch.
    """

    total: Tensor
    root: Tensor
    body: Tensor
    step: Tensor
    place: Tensor
    change: Tensor
    foot: Tensor
    quantizer: Tensor


class MotionLoss(nn.Module):
    """Sum of squared errors of `DecodedMotion.features`.

    Args:
        skeleton: of the motion.
        offsets: (J, 3) of the figure, metres.
        root_weight, body_weight, step_weight, place_weight, change_weight, foot_weight, quantizer_weight: of the terms of
            `MotionLosses`.
        scale: of all terms but the quantiser's.
    """

    offsets: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        offsets: np.ndarray | Sequence[Sequence[float]],
        *,
        root_weight: float = 1.0,
        body_weight: float = 2.0,
        step_weight: float = 2.0,
        place_weight: float = 1.0,
        change_weight: float = 2.0,
        foot_weight: float = 1.0,
        quantizer_weight: float = 0.25,
        scale: float = 5.0,
        fps: float = 30.0,
    ) -> None:
        super().__init__()
        self.weights = {
            "root": root_weight,
            "body": body_weight,
            "step": step_weight,
            "place": place_weight,
            "change": change_weight,
            "foot": foot_weight,
        }
        self.quantizer_weight, self.scale, self.fps = quantizer_weight, scale, fps
        self.parents, self.feet = skeleton.parents, [skeleton.index(name)[0] for name in FEET]
        self.register_buffer("offsets", torch.as_tensor(np.asarray(offsets, np.float32)), persistent=False)

    def forward(
        self,
        motion: DecodedMotion,
        true: Tensor,
        valid: Tensor,
        standardizer: Standardizer,
        quantizer_loss: Tensor,
        token_valid: Tensor,
    ) -> MotionLosses:
        """Every term.

        Args:
            motion: the reconstruction, with its features.
            true: (B, T, 6 J + 4) features of the motion.
            valid: (B, T).
            standardizer: of the features.
            quantizer_loss: (B, L) per token.
            token_valid: (B, L).
        """
        if motion.features is None:
            raise ValueError("MotionLoss needs a network in the velocity representation")
        error = (motion.features - true) / standardizer.deviation
        both = valid[:, 1:] & valid[:, :-1]
        matrices, position, _ = integrate(true, valid)
        place = mean_square(motion.translation(valid) - position, valid)
        place = place + mean_square(motion.matrices[:, :, 0] - matrices[:, :, 0], valid)
        terms = {
            "root": mean_square(error[..., :6], valid),
            "body": mean_square(error[..., 6:-4], valid),
            "step": mean_square(error[..., -4:], valid),
            "place": place,
            "change": mean_square(error.diff(dim=1), both),
            "foot": self._foot(motion, valid, matrices, position, both),
        }
        weight = token_valid.to(quantizer_loss.dtype)
        quantizer = (quantizer_loss * weight).sum() / weight.sum().clamp_min(1)
        total = self.scale * torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return MotionLosses(total + self.quantizer_weight * quantizer, **terms, quantizer=quantizer)

    def _foot(
        self, motion: DecodedMotion, valid: Tensor, matrices: Tensor, position: Tensor, both: Tensor
    ) -> Tensor:
        if not self.weights["foot"]:
            return position.new_zeros(())
        with torch.no_grad():
            still = self._foot_velocity(matrices, position).norm(dim=-1, keepdim=True) < STILL
        return mean_square(self._foot_velocity(motion.matrices, motion.translation(valid)) * still, both)

    def _foot_velocity(self, matrices: Tensor, position: Tensor) -> Tensor:
        joints = forward_kinematics(self.parents, matrices, self.offsets, position)[1]
        return joints[:, :, self.feet].diff(dim=1) * self.fps


def mean_square(error: Tensor, valid: Tensor) -> Tensor:
    """Scalar mean of the squares of (B, T, ...): over the valid frames (B, T) of each motion, then over the motions."""
    return masked_mean(error.square(), valid).mean()
