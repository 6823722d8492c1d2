"""Rotation conversions over any leading dimensions.

Quaternions are real-first (w, x, y, z). Axis-angles are radians. Everything is differentiable and finite at the zero
rotation and at half turns. The closed forms stand here and are tested against SciPy and `roma`: importing `roma` loads
torch's compiler, which takes longer than most commands. The systems disagree about the layout of 6D rotations:

* `columns`: first column, then second column (docs/specs/sage.md, section 2.7);
* `interleaved`: the 3x2 matrix of the first two columns, row by row: r00 r01 r10 r11 r20 r21
  (docs/specs/posegpt.md, section 2; docs/specs/anerf.md, section 2).
"""

from __future__ import annotations

import torch
from torch import Tensor


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: (..., 3) radians to (..., 3, 3)."""
    _check(axis_angle, (3,), "axis_angle")
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    angle = _safe_norm(axis_angle)[..., None]
    half = torch.sinc(angle / (2 * torch.pi))
    outer = axis_angle[..., :, None] * axis_angle[..., None, :] * (half * half / 2)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye * (1 - half * half * squared / 2) + torch.sinc(angle / torch.pi) * cross + outer


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """(..., 3, 3) to (..., 3) radians with a norm of at most pi."""
    _check(matrix, (3, 3), "matrix")
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def axis_angle_to_quaternion(axis_angle: Tensor) -> Tensor:
    """(..., 3) radians to (..., 4) wxyz by the half-angle formula; w is negative for angles beyond pi."""
    _check(axis_angle, (3,), "axis_angle")
    angle = _safe_norm(axis_angle)
    half = angle / 2
    return torch.cat([torch.cos(half), axis_angle * (torch.sinc(half / torch.pi) / 2)], dim=-1)


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """Unit (..., 4) wxyz to (..., 3) radians with a norm of at most pi; both signs of a quaternion agree."""
    _check(quaternion, (4,), "quaternion")
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    real, imaginary = quaternion[..., :1], quaternion[..., 1:]
    squared = (imaginary * imaginary).sum(-1, keepdim=True)
    small = squared < 1e-12
    sine = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    # angle / sin(angle / 2), by its limit 2 where the sine vanishes: no division by zero, also not in the gradient
    factor = torch.where(small, 2.0 / real.clamp_min(1e-6), 2.0 * torch.atan2(sine, real) / sine)
    return imaginary * factor


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Unit (..., 4) wxyz to (..., 3, 3)."""
    _check(quaternion, (4,), "quaternion")
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        *(w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """(..., 3, 3) to unit (..., 4) wxyz; the sign is not fixed."""
    _check(matrix, (3, 3), "matrix")
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in matrix.unbind(-2))
    x, y, z = h - f, c - g, d - b
    # Four multiples of the quaternion, by 4w, 4x, 4y and 4z; the longest one loses no digits.
    rows = [
        *(1 + a + e + i, x, y, z),
        *(x, 1 + a - e - i, b + d, c + g),
        *(y, b + d, 1 - a + e - i, f + h),
        *(z, c + g, f + h, 1 - a - e + i),
    ]
    multiples = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    longest = multiples.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
    chosen = multiples.take_along_dim(longest, dim=-2).squeeze(-2)
    return torch.nn.functional.normalize(chosen, dim=-1)


def matrix_to_sixd_columns(matrix: Tensor) -> Tensor:
    """(..., 3, 3) to (..., 6): first column, then second column."""
    _check(matrix, (3, 3), "matrix")
    return matrix[..., :2].transpose(-1, -2).reshape(*matrix.shape[:-2], 6)


def sixd_columns_to_matrix(sixd: Tensor) -> Tensor:
    """(..., 6) of the `columns` layout to (..., 3, 3) by Gram-Schmidt; the numbers need not be orthonormal."""
    _check(sixd, (6,), "sixd")
    return _gram_schmidt(sixd[..., :3], sixd[..., 3:])


def matrix_to_sixd_interleaved(matrix: Tensor) -> Tensor:
    """(..., 3, 3) to (..., 6): r00 r01 r10 r11 r20 r21."""
    _check(matrix, (3, 3), "matrix")
    return matrix[..., :2].reshape(*matrix.shape[:-2], 6)


def sixd_interleaved_to_matrix(sixd: Tensor) -> Tensor:
    """(..., 6) of the `interleaved` layout to (..., 3, 3) by Gram-Schmidt."""
    _check(sixd, (6,), "sixd")
    return _gram_schmidt(sixd[..., 0::2], sixd[..., 1::2])


def geodesic_angle(first: Tensor, second: Tensor) -> Tensor:
    """Angle in radians, (...), of the rotation between two (..., 3, 3) matrices; finite gradient at 0 and pi."""
    _check(first, (3, 3), "first")
    _check(second, (3, 3), "second")
    relative = first.transpose(-1, -2) @ second
    skew = torch.stack(
        [
            relative[..., 2, 1] - relative[..., 1, 2],
            relative[..., 0, 2] - relative[..., 2, 0],
            relative[..., 1, 0] - relative[..., 0, 1],
        ],
        dim=-1,
    )
    sine = _safe_norm(skew).squeeze(-1) / 2
    cosine = (relative.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)


def slerp(first: Tensor, second: Tensor, fraction: Tensor) -> Tensor:
    """Interpolate rotations on the shortest way: quaternions (..., 4) wxyz, `fraction` (...) in [0, 1]."""
    _check(first, (4,), "first")
    _check(second, (4,), "second")
    second = torch.where((first * second).sum(-1, keepdim=True) < 0, -second, second)
    conjugate = first * first.new_tensor([1.0, -1.0, -1.0, -1.0])
    step = quaternion_to_axis_angle(quaternion_product(conjugate, second)) * fraction[..., None]
    return quaternion_product(first, axis_angle_to_quaternion(step))


def quaternion_product(first: Tensor, second: Tensor) -> Tensor:
    """Hamilton product of (..., 4) wxyz quaternions."""
    w1, v1 = first[..., :1], first[..., 1:]
    w2, v2 = second[..., :1], second[..., 1:]
    v1, v2 = torch.broadcast_tensors(v1, v2)
    real = w1 * w2 - (v1 * v2).sum(-1, keepdim=True)
    imaginary = w1 * v2 + w2 * v1 + torch.linalg.cross(v1, v2, dim=-1)
    return torch.cat([real, imaginary], dim=-1)


def _gram_schmidt(first: Tensor, second: Tensor) -> Tensor:
    # F.normalize divides by max(norm, eps): a zero vector stays zero instead of becoming NaN.
    x = torch.nn.functional.normalize(first, dim=-1)
    y = torch.nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y, dim=-1)], dim=-1)


def _safe_norm(vector: Tensor) -> Tensor:
    squared = (vector * vector).sum(-1, keepdim=True)
    zero = squared == 0
    return torch.where(
        zero, torch.zeros_like(squared), torch.sqrt(torch.where(zero, torch.ones_like(squared), squared))
    )


def _check(tensor: Tensor, trailing: tuple[int, ...], name: str) -> None:
    if tuple(tensor.shape[-len(trailing) :]) != trailing:
        shape = ", ".join(map(str, trailing))
        raise ValueError(f"{name}: expected shape (..., {shape}), got {tuple(tensor.shape)}")
