"""Between two fields of Jacobians: rotations along the shortest arc, stretches along a line."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto import rotations as rot


def polar(field: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 3, 3) = rotation @ stretch; the stretch is symmetric, the rotation proper."""
    left, values, right = torch.linalg.svd(field)
    sign = torch.det(left @ right).sign()
    flip = torch.ones_like(values)
    flip[..., 2] = torch.where(sign == 0, 1, sign)
    rotation = (left * flip[..., None, :]) @ right
    stretch = right.transpose(-1, -2) @ ((values * flip)[..., None] * right)
    return rotation, stretch


def blend_jacobians(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Full-rank Jacobians (..., 3, 3) between two fields; 0 gives the first, 1 the second.

    Tangent Jacobians have no rotation about their own plane: complete them first
    (`operators.completed_jacobians`).
    """
    (first_rotation, first_stretch), (second_rotation, second_stretch) = polar(first), polar(second)
    fraction = torch.as_tensor(share, dtype=first.dtype, device=first.device)
    ends = (rot.matrix_to_quaternion(first_rotation), rot.matrix_to_quaternion(second_rotation))
    between = rot.quaternion_to_matrix(rot.slerp(*ends, fraction))
    return between @ torch.lerp(first_stretch, second_stretch, fraction)
