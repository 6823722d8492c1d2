"""Linear blend skinning, dense (any device, any derivative) and sparse (CPU, several times faster).

A vertex hangs on one to four joints out of 52, so a dense product spends nine tenths of its time on zeros.
With one shape for the whole batch, skinning is a fixed sparse matrix (V, 4J) times the joint transforms (4J,
3B): its entries are weight times homogeneous rest vertex.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_OWN_BLOCK = 4  # bodies at a time that have vertices of their own
_BLOCK = 8  # bodies at a time: a block's vertices (13,380 x 8 x 3 floats) stay in the cache


class Skinning(nn.Module):
    """Moves rest vertices with their joints.

    Args:
        weights: (V, J) share of each joint in each vertex, rows summing to one.
    """

    weights: Tensor
    rows: Tensor
    forward_starts: Tensor
    forward_columns: Tensor
    forward_values: Tensor
    shape_starts: Tensor
    shape_columns: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        # Compressed rows are kept as plain buffers: `to`, DDP and copies know nothing of sparse tensors.
        self.register_buffer("weights", weights, persistent=False)
        for name, matrix in (("forward", weights), ("transposed", weights.T)):
            starts, columns, values = _compress(matrix)
            self.register_buffer(f"{name}_starts", starts, persistent=False)
            self.register_buffer(f"{name}_columns", columns, persistent=False)
            self.register_buffer(f"{name}_values", values, persistent=False)
        counts = self.forward_starts.diff()
        self.register_buffer("rows", torch.repeat_interleave(counts.long()), persistent=False)
        quadruple = self.forward_columns[:, None] * 4 + torch.arange(4, dtype=torch.int32)
        self.register_buffer("shape_starts", self.forward_starts * 4, persistent=False)
        self.register_buffer("shape_columns", quadruple.flatten(), persistent=False)
        self.sparse = len(self.rows) < 0.25 * weights.numel()

    def forward(self, transforms: Tensor, vertices: Tensor) -> Tensor:
        """Skinned vertices (B, V, 3).

        Args:
            transforms: (B, J, 3, 4) from rest to posed positions.
            vertices: (B, V, 3), or (1, V, 3) where all share one shape: that is the fast case.
        """
        if self.sparse and transforms.device.type == "cpu":
            return _SparseSkinning.apply(transforms, vertices, self)
        return dense_skinning(self.weights, transforms, vertices)

    def matrix(self, name: str) -> Tensor:
        """The weights as a sparse (V, J) `forward` or (J, V) `transposed` matrix."""
        starts, columns, values = (
            getattr(self, f"{name}_{part}") for part in ("starts", "columns", "values")
        )
        shape = self.weights.shape if name == "forward" else self.weights.T.shape
        return _sparse(starts, columns, values, tuple(shape))

    def of_shape(self, vertices: Tensor) -> Tensor:
        """The sparse (V, 4J) matrix that skins rest vertices (V, 3): weight times homogeneous position."""
        weights = self.forward_values[:, None]
        entries = torch.cat([vertices.index_select(0, self.rows) * weights, weights], dim=1)
        shape = (self.weights.shape[0], self.weights.shape[1] * 4)
        return _sparse(self.shape_starts, self.shape_columns, entries.flatten(), shape)


def dense_skinning(weights: Tensor, transforms: Tensor, vertices: Tensor) -> Tensor:
    """Skinned vertices (B, V, 3) by blending the transforms (B, J, 3, 4) of each of (B|1, V, 3) vertices."""
    blended = (weights @ transforms.flatten(2)).unflatten(-1, (3, 4))
    return (blended[..., :3] * vertices[..., None, :]).sum(-1) + blended[..., 3]


class _SparseSkinning(torch.autograd.Function):
    """The sparse products with their hand-written gradient (first order only)."""

    @staticmethod
    def forward(ctx: Any, transforms: Tensor, vertices: Tensor, skinning: Skinning) -> Tensor:
        ctx.save_for_backward(transforms, vertices)
        ctx.skinning = skinning
        batch, joints = transforms.shape[:2]
        result = transforms.new_empty(batch, vertices.shape[1], 3)
        if len(vertices) > 1:
            for start in range(0, batch, _OWN_BLOCK):
                part = slice(start, start + _OWN_BLOCK)
                turns = _blended(skinning.matrix("forward"), transforms[part])
                rest = vertices[part].transpose(0, 1)
                moved = turns[:, :, 3]
                for axis in range(3):
                    moved = torch.addcmul(moved, turns[:, :, axis], rest[..., axis, None])
                result[part] = moved.transpose(0, 1)
            return result
        columns = transforms.transpose(2, 3).reshape(batch, 4 * joints, 3)
        shared = skinning.of_shape(vertices[0])
        for start in range(0, batch, _BLOCK):
            block = columns[start : start + _BLOCK].transpose(0, 1).reshape(4 * joints, -1)
            result[start : start + _BLOCK] = (shared @ block).unflatten(1, (-1, 3)).transpose(0, 1)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        transforms, vertices = ctx.saved_tensors
        skinning: Skinning = ctx.skinning
        needs_transforms, needs_vertices, _ = ctx.needs_input_grad
        to_transforms = torch.empty_like(transforms) if needs_transforms else None
        to_vertices = torch.zeros_like(vertices) if needs_vertices else None
        weights, transposed = skinning.matrix("forward"), skinning.matrix("transposed")
        shared = len(vertices) == 1
        if not shared:
            return *_own_gradients(ctx, gradient, to_transforms, to_vertices), None
        for start in range(0, len(transforms), _BLOCK):
            part = slice(start, start + _BLOCK)
            slope, rest = gradient[part], vertices
            if to_transforms is not None:
                outer = torch.cat([slope[..., None] * rest[..., None, :], slope[..., None]], dim=-1)
                to_transforms[part] = _over_batch(transposed, outer)
            if to_vertices is not None:
                turns = _over_batch(weights, transforms[part, :, :, :3].contiguous())
                to_vertices += (turns * slope[..., None]).sum(-2).sum(0, keepdim=True)
        return to_transforms, to_vertices, None


def _own_gradients(
    ctx: Any, gradient: Tensor, to_transforms: Tensor | None, to_vertices: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Fill the gradients of bodies that each have vertices of their own; vertices come first, as the products want."""
    transforms, vertices = ctx.saved_tensors
    weights, transposed = ctx.skinning.matrix("forward"), ctx.skinning.matrix("transposed")
    for start in range(0, len(transforms), _OWN_BLOCK):
        part = slice(start, start + _OWN_BLOCK)
        slope = gradient[part].transpose(0, 1).contiguous()  # (V, B, 3)
        if to_transforms is not None:
            rest = F.pad(vertices[part].transpose(0, 1), (0, 1), value=1.0)
            outer = rest[..., None] * slope[..., None, :]
            pulled = transposed @ outer.flatten(1)
            to_transforms[part] = pulled.view(len(pulled), -1, 4, 3).permute(1, 0, 3, 2)
        if to_vertices is not None:
            turns = _blended(weights, transforms[part, :, :, :3])
            to_vertices[part] = (turns * slope[:, :, None]).sum(-1).transpose(0, 1)
    return to_transforms, to_vertices


def _blended(weights: Tensor, transforms: Tensor) -> Tensor:
    """Sparse weights (V, J) times transforms (B, J, 3, K): (V, B, K, 3)."""
    batch, joints, _, columns = transforms.shape
    rows = transforms.permute(1, 0, 3, 2).reshape(joints, -1)
    return (weights @ rows).view(-1, batch, columns, 3)


def _over_batch(matrix: Tensor, values: Tensor) -> Tensor:
    """A sparse (M, N) matrix times values (B, N, ...), as (B, M, ...)."""
    batch, size, trailing = values.shape[0], values.shape[1], values.shape[2:]
    product = matrix @ values.transpose(0, 1).reshape(size, -1)
    return product.unflatten(1, (batch, *trailing)).transpose(0, 1)


def _compress(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row starts, columns and values of the entries that are not zero."""
    rows, columns = matrix.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(matrix))
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return starts.int(), columns.int(), matrix[rows, columns].clone()


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
