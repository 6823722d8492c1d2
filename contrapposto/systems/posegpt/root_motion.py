"""The velocity representation of a motion: turning and stepping of the root from frame to frame, its height, its tilt.

A frame is 6 J + 4 numbers: the root's rotation without its heading and the rotations of the other joints, all as
interleaved 6D; the turn of the heading since the frame before, radians; the horizontal step since the frame before in
the root's own frame (x to the left, z), metres; the height y, metres, downwards as everywhere in PoseGPT's world.
A motion in this representation begins at the origin with heading zero (`poses.face_forward`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.devices import without_tf32
from contrapposto.nn.distributed import all_sum
from contrapposto.systems.posegpt.poses import heading_of

GROUPS = ("root", "body", "turn", "step", "height")


class RootState(NamedTuple):
    """Heading (B,) in radians and horizontal place (B, 2) in metres at which further frames continue."""

    heading: Tensor
    place: Tensor


def turn_about_y(angle: Tensor) -> Tensor:
    """(..., 3, 3) rotations by (...,) radians about y."""
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cosine, zero, sine, zero, zero + 1, zero, -sine, zero, cosine]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def motion_features(sixd: Tensor, translation: Tensor) -> Tensor:
    """(B, T, 6 J + 4) of local 6D rotations (B, T, 6 J), the root's in the world, and root positions (B, T, 3)."""
    root = rot.sixd_interleaved_to_matrix(sixd[..., :6])
    heading = heading_of(root)
    difference = heading.diff(dim=1)
    turn = F.pad(torch.atan2(difference.sin(), difference.cos()), (1, 0))
    upright = rot.matrix_to_sixd_interleaved(turn_about_y(heading) @ root)
    before = torch.cat([heading[:, :1], heading[:, :-1]], dim=1)
    cosine, sine = before.cos(), before.sin()
    x, _, z = F.pad(translation.diff(dim=1), (0, 0, 1, 0)).unbind(-1)
    moves = [turn, cosine * x + sine * z, cosine * z - sine * x, translation[..., 1]]
    return torch.cat([upright, sixd[..., 6:], torch.stack(moves, dim=-1)], dim=-1)


def integrate(
    features: Tensor, valid: Tensor | None = None, state: RootState | None = None
) -> tuple[Tensor, Tensor, RootState]:
    """Root rotations (B, T, 3, 3) and positions (B, T, 3) in the world, and where the motion then is.

    Args:
        features: (B, T, 6 J + 4).
        valid: (B, T); turns and steps into invalid frames count as zero.
        state: of the frame before; without it the first frame stands at the origin with heading zero.
    """
    moves = features[..., -4:-1]
    if valid is not None:
        moves = moves * valid[..., None].to(moves.dtype)
    if state is None:
        moves = torch.cat([torch.zeros_like(moves[:, :1]), moves[:, 1:]], dim=1)
        state = RootState(moves.new_zeros(len(moves)), moves.new_zeros(len(moves), 2))
    heading = state.heading[:, None] + moves[..., 0].cumsum(1)
    before = torch.cat([state.heading[:, None], heading[:, :-1]], dim=1)
    cosine, sine = before.cos(), before.sin()
    x, z = moves[..., 1], moves[..., 2]
    place = (
        torch.stack([cosine * x - sine * z, sine * x + cosine * z], dim=-1).cumsum(1) + state.place[:, None]
    )
    with without_tf32():
        root = turn_about_y(-heading) @ rot.sixd_interleaved_to_matrix(features[..., :6])
    translation = torch.stack([place[..., 0], features[..., -1], place[..., 1]], dim=-1)
    return root, translation, RootState(heading[:, -1], place[:, -1])


def group_of(num_joints: int) -> Tensor:
    """(6 J + 4,) index into `GROUPS` of every feature."""
    sizes = torch.tensor([6, 6 * (num_joints - 1), 1, 2, 1])
    return torch.arange(len(GROUPS)).repeat_interleave(sizes)


class Standardizer(nn.Module):
    """Mean of every feature, and one standard deviation for each group of features.

    With a deviation of its own, a joint that hardly moves would count as much as one that moves a lot.

    Args:
        num_joints: J.

    """

    count: Tensor
    mean: Tensor
    variance: Tensor
    group: Tensor

    def __init__(self, num_joints: int) -> None:
        super().__init__()
        size = 6 * num_joints + 4
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.zeros(size))
        self.register_buffer("group", group_of(num_joints), persistent=False)

    @torch.no_grad()
    def update(self, features: Tensor, valid: Tensor) -> None:
        """Add the valid frames of (B, T, 6 J + 4), of all processes."""
        rows = features[valid.bool()]
        count = all_sum(rows.new_tensor([float(len(rows))]))
        mean = all_sum(rows.sum(0)) / count
        variance = all_sum((rows - mean).square().sum(0)) / count
        self.count += count
        share = count / self.count
        difference = mean - self.mean
        self.variance.lerp_(variance, share).add_(share * (1 - share) * difference.square())
        self.mean.add_(share * difference)

    @property
    def deviation(self) -> Tensor:
        """(6 J + 4,) root mean square of the group's deviations; 1 before the first update."""
        sums = torch.zeros(len(GROUPS)).to(self.variance).index_add_(0, self.group, self.variance)
        sizes = torch.bincount(self.group, minlength=len(GROUPS)).to(sums)
        deviation = (sums / sizes).sqrt().clamp_min(1e-3)[self.group]
        return torch.where(self.count > 0, deviation, 1.0)

    def standardize(self, features: Tensor) -> Tensor:
        """Of (..., 6 J + 4)."""
        return (features - self.mean) / self.deviation

    def restore(self, features: Tensor) -> Tensor:
        """Inverse of `standardize`."""
        return features * self.deviation + self.mean
