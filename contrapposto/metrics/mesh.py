"""Distances between posed meshes and the true ones (docs/specs/npr.md, section 10), in the units of the meshes."""

from __future__ import annotations

import torch
from torch import Tensor


def point_distance(predicted: Tensor, true: Tensor, *, squared: bool = True, centred: bool = False) -> Tensor:
    """Point-wise mesh distance (PMD).

    Args:
        predicted, true: (..., V, 3), the same vertices.
        squared: mean of squared distances (as the tables of pose-transfer papers have it), else of distances.
        centred: take each mesh's mean vertex off first: outputs of a Poisson solve have no place of their own.

    Returns:
        (...,).
    """
    if predicted.shape != true.shape:
        raise ValueError(f"predicted {tuple(predicted.shape)} and true {tuple(true.shape)} differ in shape")
    if centred:
        predicted, true = (mesh - mesh.mean(-2, keepdim=True) for mesh in (predicted, true))
    squares = (predicted - true).square().sum(-1)
    return (squares if squared else squares.sqrt()).mean(-1)


def jacobian_error(predicted: Tensor, true: Tensor, areas: Tensor) -> Tensor:
    """Root of the area-weighted mean squared difference of Jacobians (..., F, 3, 3); areas (F,)."""
    squares = (predicted - true).square().sum((-1, -2))
    return ((squares * areas).sum(-1) / areas.sum()).sqrt()


def signed_volume(vertices: Tensor, faces: Tensor) -> Tensor:
    """(...,) volume that closed meshes (..., V, 3) enclose; of open ones, that of the cone over the origin."""
    first, second, third = vertices[..., faces, :].unbind(-2)
    return (first * torch.linalg.cross(second, third)).sum((-1, -2)) / 6


def kernel_distance(predicted: Tensor, true: Tensor) -> Tensor:
    """Unbiased squared maximum mean discrepancy with the cubic kernel ("KID", Bińkowski et al. 2018).

    Features (N, D) and (M, D); all of them at once, in float64; may be slightly negative.
    """
    first, second = predicted.double(), true.double()
    if min(len(first), len(second)) < 2:
        return torch.full((), torch.nan, dtype=torch.float64)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(features: Tensor) -> Tensor:
        values, count = kernel(features, features), len(features)
        return (values.sum() - values.trace()) / (count * (count - 1))

    return within(first) + within(second) - 2 * kernel(first, second).mean()
