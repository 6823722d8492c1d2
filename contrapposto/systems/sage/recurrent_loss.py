"""Loss of the recurrent tracker: poses, joint positions, and how they move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.augmentation import MotionBatch
from contrapposto.systems.sage.body_losses import align_heads
from contrapposto.systems.sage.joints import HANDS, HEAD, NUM_JOINTS

FEET = (7, 8, 10, 11)
_STILL = 0.004  # metres per frame at 60 frames/s, under which a foot counts as standing


@dataclass(frozen=True)
class TrackerLosses:
    """Scalars, means over the frames of a sequence, then over sequences; `total` is the weighted sum of the others.

    Args:
        total: what is minimised.
        root: norm of the root's 6D error.
        body: norm of the 6D errors of the other joints.
        aligned: joint distance in metres once both heads stand in the same place.
        hands: the same for both wrists alone, while they are seen.
        velocity: norm of the error of the joints' velocities, metres per frame.
        feet: predicted speed of feet that truly stand, metres per frame.
        contacts: cross entropy of the toes that stand; zero where the network does not predict them.
    """

    total: Tensor
    root: Tensor
    body: Tensor
    aligned: Tensor
    hands: Tensor
    velocity: Tensor
    feet: Tensor
    contacts: Tensor


WEIGHTS = {
    "root": 0.02,
    "body": 1.0,
    "aligned": 5.0,
    "hands": 2.0,
    "velocity": 10.0,
    "feet": 10.0,
    "contacts": 0.1,
}


class TrackerLoss:
    """Loss of predicted 6D rotations on a `MotionBatch`.

    Args:
        weights: of the terms; those not named keep their value in `WEIGHTS`.
        warmup: frames at the start of every sequence that are not compared, because the network has seen little.
    """

    def __init__(self, weights: Mapping[str, float] | None = None, warmup: int = 12) -> None:
        unknown = set(weights or {}) - set(WEIGHTS)
        if unknown:
            raise ValueError(f"weights: {sorted(unknown)}; the terms are {sorted(WEIGHTS)}")
        self.weights = {**WEIGHTS, **(weights or {})}
        self.warmup = warmup

    def __call__(self, sixd: Tensor, batch: MotionBatch) -> TrackerLosses:
        """Every term for predictions (B, N, 132), or (B, N, 134) with contacts."""
        sixd, logits = sixd[..., : 6 * NUM_JOINTS], sixd[..., 6 * NUM_JOINTS :]
        valid = self._valid(batch.valid)
        target = rot.matrix_to_sixd_columns(batch.local)
        error = torch.linalg.vector_norm(sixd.unflatten(-1, (NUM_JOINTS, 6)) - target, dim=-1)
        local = rot.sixd_columns_to_matrix(sixd.unflatten(-1, (NUM_JOINTS, 6)))
        joints = forward_kinematics(SMPL22.parents, local, batch.offsets)[1]
        joints = align_heads(joints, batch.positions[..., HEAD, :])
        difference = joints - batch.positions
        distance = torch.linalg.vector_norm(difference, dim=-1)
        both, feet = valid[:, 1:] & valid[:, :-1], list(FEET)
        velocity = torch.linalg.vector_norm(difference.diff(dim=1), dim=-1)
        speed = torch.linalg.vector_norm(joints[:, :, feet].diff(dim=1), dim=-1)
        true_speed = torch.linalg.vector_norm(batch.positions[:, :, feet].diff(dim=1), dim=-1)
        seen = batch.seen[..., 1:3] & valid[..., None]
        terms = {
            "root": _mean(error[..., :1], valid[..., None]),
            "body": _mean(error[..., 1:], valid[..., None]),
            "aligned": _mean(distance, valid[..., None]),
            "hands": _mean(distance[..., list(HANDS)], seen),
            "velocity": _mean(velocity, both[..., None]),
            "feet": _mean(speed, both[..., None] & (true_speed < _STILL)),
            "contacts": self._contacts(logits[:, 1:], true_speed[..., 2:], both),
        }
        total = torch.stack([self.weights[name] * value for name, value in terms.items()]).sum()
        return TrackerLosses(total=total, **terms)

    def _contacts(self, logits: Tensor, speed: Tensor, valid: Tensor) -> Tensor:
        """Cross entropy of logits (B, N, 2) for toes with true speeds (B, N, 2); zero without logits."""
        if not logits.shape[-1]:
            return speed.new_zeros(())
        stands = (speed < _STILL).to(logits.dtype)
        return _mean(F.binary_cross_entropy_with_logits(logits, stands, reduction="none"), valid[..., None])

    def _valid(self, valid: Tensor) -> Tensor:
        """(B, N) without the first frames, unless a sequence is so short that little would remain."""
        counts = valid.sum(1, keepdim=True)
        first = torch.minimum(counts.new_tensor(self.warmup), counts // 2)
        return valid & (torch.arange(valid.shape[1], device=valid.device) >= first)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over sequences of the means of values (B, N, J) where the mask, broadcast, is true; zero where it is nowhere.

    Sequences count alike, so that two processes with half a batch each agree with one.
    """
    mask = mask.expand_as(values)
    return (torch.where(mask, values, 0).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)).mean()
