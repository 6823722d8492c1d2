"""A-NeRF's losses and learning rates (docs/specs/anerf.md, section 7)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto.systems.anerf.poses import PosedFigures


def image_loss(predicted: Tensor, target: Tensor, kind: str = "mse") -> Tensor:
    """Mean over rays and channels (R, 3): "mse", "l1" or "huber" (smooth L1 with beta 0.1)."""
    if kind == "mse":
        return F.mse_loss(predicted, target)
    if kind == "l1":
        return F.l1_loss(predicted, target)
    if kind == "huber":
        return F.smooth_l1_loss(predicted, target, beta=0.1)
    raise ValueError(f"loss is {kind!r}; expected mse, l1 or huber")


def opacity_loss(opacity: Tensor, foreground: Tensor, *, background_only: bool = True) -> Tensor:
    """Binary cross entropy of opacities (R,) against masks (R,) or (R, 1), by default of the background rays only.

    Zero where no ray is in the background.
    """
    mask = foreground.reshape(-1)
    entropy = -(mask * torch.log(opacity + 1e-8) + (1 - mask) * torch.log(1 - opacity + 1e-8))
    if not background_only:
        return entropy.mean()
    outside = (mask < 1).to(entropy)
    return (entropy * outside).sum() / outside.sum().clamp_min(1)


def pose_regulariser(poses: PosedFigures, anchors: Tensor, *, tolerance: float = 0.01) -> Tensor:
    """Squared drift from the anchors beyond a tolerance, summed over entries, mean over poses and 23 joints.

    Compared are the axis-angles, or the first two columns of the orthonormal matrices for 6D poses.

    Args:
        poses: (R, ...) current.
        anchors: (R, J, 3) axis-angles or (R, J, 3, 3) matrices, in the kind of the poses' parameters.
        tolerance: of every squared entry.
    """
    current = _entries(poses)[:, 1:]
    anchor = (anchors[..., :2].flatten(-2) if anchors.ndim == 4 else anchors)[:, 1:]
    error = (current - anchor).square()
    error = torch.where(error > tolerance, error - tolerance, torch.zeros_like(error))
    return error.sum(-1).mean()


def temporal_loss(
    poses: PosedFigures, previous: PosedFigures, following: PosedFigures, valid: Tensor
) -> Tensor:
    """Squared second differences of bone rotations (as in `pose_regulariser`) and joints over time.

    Args:
        poses, previous, following: (R, ...) of the same rays; the neighbours are detached here.
        valid: (R,) 1 where both neighbours belong to the same take.
    """
    total = torch.zeros_like(valid)[:, None]
    for entries in (_entries, lambda pose: pose.joints):
        now, before, after = (entries(pose) for pose in (poses, previous, following))
        bend = (now - before.detach()) - (after.detach() - now)
        total = total + bend.square().sum(-1)
    return (total * valid[:, None]).mean()


def step_decay(step: int, rate: float, decay: int, unit: int = 1) -> float:
    """Factor of the learning rate after `step` steps: rate ^ (floor(step / unit) / decay)."""
    return rate ** ((step // unit) / decay)


def _entries(poses: PosedFigures) -> Tensor:
    return poses.parameters if poses.parameters.shape[-1] == 3 else poses.rotations[..., :2].flatten(-2)
