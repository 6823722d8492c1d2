"""Losses of the decoder and refiner stages (docs/specs/sage.md, section 3), by joints-only kinematics of the whole
body.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.devices import full_precision
from contrapposto.rotations import sixd_columns_to_matrix
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.joints import DEVICES, HEAD


class BodyKinematics(nn.Module):
    """Joint positions from 6D rotations.

    Args:
        rest_positions: (22, 3) of the zero-shape body, metres; the default skeleton's where absent.
    """

    offsets: Tensor

    def __init__(self, rest_positions: Tensor | None = None) -> None:
        super().__init__()
        rest = torch.from_numpy(SMPL22.rest_positions) if rest_positions is None else rest_positions.float()
        above = torch.stack([rest[p] if p >= 0 else torch.zeros(3) for p in SMPL22.parents])
        self.register_buffer("offsets", rest - above, persistent=False)

    def forward(self, sixd: Tensor) -> Tensor:
        """(..., 132) to (..., 22, 3) metres, the root at its rest position."""
        with full_precision(sixd):
            matrices = sixd_columns_to_matrix(sixd.to(self.offsets.dtype).unflatten(-1, (22, 6)))
            return forward_kinematics(SMPL22.parents, matrices, self.offsets)[1]


def align_heads(joints: Tensor, head: Tensor) -> Tensor:
    """Move (..., 22, 3) joints so that the head stands at (..., 3)."""
    return joints + (head - joints[..., HEAD, :])[..., None, :]


@dataclass(frozen=True)
class DecoderLosses:
    """Scalars; `total` is the weighted sum, the others are unweighted.

    Args:
        total: what is minimised.
        root: mean norm of the root's 6D error.
        body: mean norm of the 6D errors of the other joints.
        aligned: mean joint distance in metres once both heads stand where the head was observed.
        unaligned: mean joint distance with both roots at rest; for the log only.
    """

    total: Tensor
    root: Tensor
    body: Tensor
    aligned: Tensor
    unaligned: Tensor


class DecoderLoss(nn.Module):
    """Loss of the full-body decoder on the last frame of each window.

    Args:
        rest_positions: see `BodyKinematics`.
        root_weight, body_weight, aligned_weight: of the terms.
    """

    def __init__(
        self,
        rest_positions: Tensor | None = None,
        *,
        root_weight: float = 0.02,
        body_weight: float = 1.0,
        aligned_weight: float = 5.0,
    ) -> None:
        super().__init__()
        self.kinematics = BodyKinematics(rest_positions)
        self.weights = (root_weight, body_weight, aligned_weight)

    def forward(self, prediction: Tensor, target: Tensor, sparse: Tensor) -> DecoderLosses:
        """Every term for 6D (B, 132) of the last frame and its device features (B, 3, 18)."""
        error = torch.linalg.vector_norm((prediction - target).unflatten(-1, (22, 6)), dim=-1)
        joints = self.kinematics(prediction)
        with torch.no_grad():
            true = self.kinematics(target)
        head = sparse[:, 0, 12:15]
        aligned = _distance(align_heads(joints, head), align_heads(true, head))
        root, body = error[:, 0].mean(), error[:, 1:].mean()
        total = self.weights[0] * root + self.weights[1] * body + self.weights[2] * aligned
        return DecoderLosses(total, root, body, aligned, _distance(joints, true))


@dataclass(frozen=True)
class RefinerLosses:
    """Scalars; `total` is the weighted sum, the others are unweighted.

    Args:
        total: what is minimised.
        reconstruction: smooth-L1 of the 6D.
        velocity: smooth-L1 of differences of neighbouring frames.
        slow_velocity: smooth-L1 of differences over three frames, at every third frame.
        kinematics: mean joint distance in metres with both roots at rest.
        devices: smooth-L1 of head and hands against the observed ones, the heads aligned.
        jitter: mean norm of the third difference of the predicted joints, metres per frame^3.
    """

    total: Tensor
    reconstruction: Tensor
    velocity: Tensor
    slow_velocity: Tensor
    kinematics: Tensor
    devices: Tensor
    jitter: Tensor


class RefinerLoss(nn.Module):
    """Loss of the refiner on sequences, each of which counts alike. Terms that need more frames than there are count as zero.

    Args:
        rest_positions: see `BodyKinematics`.
        weights: of the terms in the order of `RefinerLosses`.
    """

    def __init__(
        self,
        rest_positions: Tensor | None = None,
        *,
        weights: tuple[float, ...] = (0.01, 60.0, 20.0, 0.01, 0.01, 0.03),
    ) -> None:
        super().__init__()
        self.kinematics = BodyKinematics(rest_positions)
        self.weights = weights

    def forward(
        self, refined: Tensor, target: Tensor, sparse: Tensor, lengths: Tensor | None = None
    ) -> RefinerLosses:
        """Every term for 6D (N, 132) and device features (N, 3, 18) of one sequence.

        Args:
            refined, target, sparse: see above; with `lengths` (B, N, ...), padded at the end.
            lengths: (B,) frames of B sequences.
        """
        if lengths is None:
            refined, target, sparse = refined[None], target[None], sparse[None]
            lengths = torch.full((1,), refined.shape[1], device=refined.device)
        valid = torch.arange(refined.shape[1], device=lengths.device) < lengths[:, None]
        joints = self.kinematics(refined)
        with torch.no_grad():
            true = self.kinematics(target)
        observed = sparse[..., 12:15]
        devices = align_heads(joints, observed[:, :, 0])[..., list(DEVICES), :]
        jumps = torch.linalg.vector_norm(joints.diff(n=3, dim=1), dim=-1)
        terms = (
            _smooth_l1(refined, target, valid),
            _smooth_l1(refined.diff(dim=1), target.diff(dim=1), valid[:, 1:]),
            _smooth_l1(refined[:, ::3].diff(dim=1), target[:, ::3].diff(dim=1), valid[:, 3::3]),
            mean_of_sequences(torch.linalg.vector_norm(joints - true, dim=-1), valid),
            _smooth_l1(devices.flatten(2), observed.flatten(2), valid),
            mean_of_sequences(jumps, valid[:, 3:]),
        )
        total = torch.stack([weight * term for weight, term in zip(self.weights, terms)]).sum()
        return RefinerLosses(total, *terms)


def mean_of_sequences(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over sequences of their means of (B, N, J) over the frames that are valid (B, N); zero where none is.

    Sequences count alike, whatever their length, so that two processes with half a batch each agree with one.
    """
    counts = valid.sum(1).clamp_min(1) * values.shape[-1]
    return (torch.where(valid[..., None], values, 0).sum((1, 2)) / counts).mean()


def _smooth_l1(first: Tensor, second: Tensor, valid: Tensor) -> Tensor:
    return mean_of_sequences(F.smooth_l1_loss(first, second, reduction="none"), valid)


def _distance(joints: Tensor, true: Tensor) -> Tensor:
    return torch.linalg.vector_norm(joints - true, dim=-1).mean()
