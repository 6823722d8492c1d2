"""Loss of auto-encoders in the velocity representation: squared errors that do not favour standing still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.skeleton import Skeleton, forward_kinematics
from contrapposto.systems.posegpt.autoencoder import DecodedMotion
from contrapposto.systems.posegpt.losses import masked_mean
from contrapposto.systems.posegpt.root_motion import Standardizer, integrate

FEET = ("left_ankle", "right_ankle", "left_foot", "right_foot")
Legs = tuple[Tensor, Tensor, Tensor]  # root rotations (B, T, 3, 3), features, root positions (B, T, 3)
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
        root_weight, body_weight, step_weight, place_weight, change_weight, foot_weight, quantizer_weight: of the terms
            of `MotionLosses`.
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
        # Only the legs are needed, and the rest of the body costs time.
        self.legs = _with_ancestors(skeleton, skeleton.index(*FEET))
        self.parents = [
            self.legs.index(parent) if parent >= 0 else -1 for parent in _parents(skeleton, self.legs)
        ]
        self.feet = [self.legs.index(foot) for foot in skeleton.index(*FEET)]
        chosen = torch.as_tensor(np.asarray(offsets, np.float32))[self.legs]
        self.register_buffer("offsets", chosen, persistent=False)

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
        if motion.features is None or motion.root is None:
            raise ValueError("MotionLoss needs a network in the velocity representation")
        error = (motion.features - true) / standardizer.deviation
        both = valid[:, 1:] & valid[:, :-1]
        root, position, _ = integrate(true, valid)
        moved = motion.translation(valid)
        place = mean_square(moved - position, valid) + mean_square(motion.root - root, valid)
        terms = {
            "root": mean_square(error[..., :6], valid),
            "body": mean_square(error[..., 6:-4], valid),
            "step": mean_square(error[..., -4:], valid),
            "place": place,
            "change": mean_square(error.diff(dim=1), both),
            "foot": self._foot((motion.root, motion.features, moved), (root, true, position), both),
        }
        weight = token_valid.to(quantizer_loss.dtype)
        quantizer = (quantizer_loss * weight).sum() / weight.sum().clamp_min(1)
        total = self.scale * torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return MotionLosses(total + self.quantizer_weight * quantizer, **terms, quantizer=quantizer)

    def _foot(self, pred: Legs, true: Legs, both: Tensor) -> Tensor:
        """Mean squared velocity of the predicted feet where the true ones stand."""
        if not self.weights["foot"]:
            return both.new_zeros((), dtype=torch.float32)
        with torch.no_grad():
            still = self._foot_velocity(true).norm(dim=-1, keepdim=True) < STILL
        return mean_square(self._foot_velocity(pred) * still, both)

    def _foot_velocity(self, legs: Legs) -> Tensor:
        """(B, T - 1, 4, 3) m/s."""
        root, features, position = legs
        sixd = features[..., :-4].unflatten(-1, (-1, 6))[:, :, self.legs[1:]]
        matrices = torch.cat([root[:, :, None], rot.sixd_interleaved_to_matrix(sixd)], dim=2)
        joints = forward_kinematics(self.parents, matrices, self.offsets, position)[1]
        return joints[:, :, self.feet].diff(dim=1) * self.fps


def mean_square(error: Tensor, valid: Tensor) -> Tensor:
    """Scalar mean of the squares of (B, T, ...): over the valid frames (B, T) of each motion, then over the motions."""
    return masked_mean(error.square(), valid).mean()


def _with_ancestors(skeleton: Skeleton, joints: Sequence[int]) -> list[int]:
    """The joints and all above them, in the skeleton's order."""
    kept = set(joints)
    for joint in range(skeleton.num_joints - 1, 0, -1):
        if joint in kept:
            kept.add(skeleton.parents[joint])
    return sorted(kept)


def _parents(skeleton: Skeleton, joints: Sequence[int]) -> list[int]:
    return [skeleton.parents[joint] for joint in joints]
