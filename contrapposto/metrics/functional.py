"""Pure functions behind the metrics: errors per frame and joint, in SI units, over any leading dimensions.

Definitions: docs/specs/sage.md, section 5. `joints` have shape (..., T, J, 3), metres, z up; rotations are local.
"""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle


def position_error(pred: Tensor, true: Tensor) -> Tensor:
    """Distance in metres, (..., J), of (..., J, 3) joints."""
    _same(pred, true)
    return torch.linalg.vector_norm(pred - true, dim=-1)


def procrustes_align(pred: Tensor, true: Tensor, *, reflection: bool = False) -> Tensor:
    """Move, turn and scale each pose (..., J, 3) onto `true` with the least squared distance (Umeyama 1991).

    Reflections are allowed only with `reflection` (A-NeRF's evaluation). A pose whose joints all coincide is only moved.
    """
    _same(pred, true)
    centre, true_centre = pred.mean(-2, keepdim=True), true.mean(-2, keepdim=True)
    moved, target = (pred - centre).double(), (true - true_centre).double()
    left, stretch, right = torch.linalg.svd(target.transpose(-1, -2) @ moved)
    # The last axis is turned over where the best orthogonal matrix would be a reflection.
    sign = torch.ones_like(stretch)
    if not reflection:
        sign[..., -1] = torch.sign(torch.linalg.det(left @ right))
    rotation = (left * sign[..., None, :]) @ right
    power = moved.square().sum((-1, -2))
    scale = (stretch * sign).sum(-1) / power.clamp_min(1e-12)
    aligned = scale[..., None, None] * (moved @ rotation.transpose(-1, -2))
    return aligned.to(pred.dtype) + true_centre


def velocity_error(pred: Tensor, true: Tensor, fps: float | Tensor) -> Tensor:
    """Norm in m/s, (..., T - 1, J), of the difference of finite-difference velocities."""
    _same(pred, true)
    return torch.linalg.vector_norm((pred - true).diff(dim=-3), dim=-1) * _rate(fps, pred)


def jerk(joints: Tensor, fps: float | Tensor) -> Tensor:
    """Norm in m/s^3, (..., T - 3, J), of the third finite difference; its mean is called jitter."""
    return torch.linalg.vector_norm(joints.diff(n=3, dim=-3), dim=-1) * _rate(fps, joints) ** 3


def axis_angle_component_error(pred: Tensor, true: Tensor) -> Tensor:
    """SAGE's rotation error in radians, (..., J), of (..., J, 3) axis-angles.

    The mean absolute component of the difference of the two vectors, wrapped to a norm of at most pi. It is
    not the angle between the rotations (see `rotation_error`) and depends on the axes; published MPJRE
    figures of this line of work are this one.
    """
    _same(pred, true)
    wrapped = matrix_to_axis_angle(axis_angle_to_matrix(true - pred))
    return wrapped.abs().mean(-1)


def rotation_error(pred: Tensor, true: Tensor) -> Tensor:
    """Angle in radians, (..., J), between rotations (..., J, 3, 3)."""
    _same(pred, true)
    return geodesic_angle(pred, true)


def foot_skate(feet: Tensor, fps: float | Tensor, *, floor: float = 0.0, height: float = 0.025) -> Tensor:
    """Sliding speed in m/s, (..., T - 1, P), of foot points (..., T, P, 3) near the floor.

    Horizontal speed weighted by 2 - 2^(h / height), with the height h over the floor cut to [0, height]: 1 on
    the floor, 0 from `height` on (Zhang et al., "Mode-adaptive neural networks for quadruped motion control",
    2018, section 8).
    """
    speed = torch.linalg.vector_norm(feet[..., :2].diff(dim=-3), dim=-1) * _rate(fps, feet)
    above = ((feet[..., 1:, :, 2] + feet[..., :-1, :, 2]) / 2 - floor).clamp(0, height)
    return speed * (2 - torch.exp2(above / height))


def floor_penetration(points: Tensor, *, floor: float = 0.0) -> Tensor:
    """Depth in metres, (..., T), of the lowest of (..., T, P, 3) points below the floor; 0 where none is."""
    return (floor - points[..., 2]).amax(-1).clamp_min(0)


def frechet_distance(
    mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor
) -> Tensor:
    """Squared Fréchet distance of two normal distributions (Heusel et al. 2017, "FID").

    Means (D,), covariances (D, D); computed in float64. The trace of sqrt(A B) is taken as that of the
    symmetric sqrt(sqrt(A) B sqrt(A)), which stays real for singular covariances.
    """
    first, second = covariance.double(), other_covariance.double()
    values, vectors = torch.linalg.eigh((first + first.T) / 2)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = root @ second @ root
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    shift = (mean.double() - other_mean.double()).square().sum()
    return (shift + first.trace() + second.trace() - 2 * cross).clamp_min(0)


def codebook_counts(indices: Tensor, book_size: int) -> Tensor:
    """(K, V) int64 occurrences of codes (..., K); negative ones (padding) do not count.

    Raises:
        ValueError: a code is not below `book_size`.
    """
    flat = indices.reshape(-1, indices.shape[-1]).t()
    if flat.numel() and int(flat.max()) >= book_size:
        raise ValueError(f"code {int(flat.max())} in a codebook of {book_size} codes")
    counts = torch.zeros(flat.shape[0], book_size + 1, dtype=torch.int64, device=flat.device)
    slots = torch.where(flat < 0, book_size, flat)
    return counts.scatter_add_(1, slots, torch.ones_like(flat))[:, :book_size]


def perplexity(counts: Tensor) -> Tensor:
    """(K,) exp of the entropy of each row of counts (K, V): V for uniform use, 1 for a single code."""
    share = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    return torch.exp(-torch.xlogy(share, share).sum(1)).float()


def _rate(fps: float | Tensor, like: Tensor) -> Tensor:
    """Frame rate that multiplies (..., T, J): a number, or one per clip (B,)."""
    rate = torch.as_tensor(fps, dtype=like.dtype, device=like.device)
    return rate if rate.ndim == 0 else rate[..., None, None]


def _same(pred: Tensor, true: Tensor) -> None:
    if pred.shape != true.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and truth {tuple(true.shape)} differ in shape")
