"""Refinement of pose codes for one target template (docs/specs/npr.md, section 8; paper, section on per-identity refinement).

The paper names the losses and states "shallow transformer"; width, depth and reductions are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from contrapposto.mesh.operators import unique_edges
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.systems.npr.extractor import PoseCode, PoseExtractor

Reduction = Literal["mean_norm", "mean_square", "sum_square"]


class PoseRefiner(nn.Module):
    """A small transformer that moves keypoints and features; the identity before training.

    Args:
        features: channels D of a keypoint's features.
        width, heads, layers: of the transformer (pre-norm, no position code: keypoints are a set).
    """

    def __init__(self, features: int = 256, width: int = 256, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(3 + features, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 3 + features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, keypoints: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 3) and features (B, K, D) to refined ones."""
        tokens = torch.cat([keypoints, features], dim=-1)
        change = self.out(self.norm(self.transformer(self.embed(tokens))))
        return keypoints + change[..., :3], features + change[..., 3:]

    def refine(self, extractor: PoseExtractor, pose: PoseCode) -> PoseCode:
        """A refined pose, its code computed anew."""
        return extractor.assemble(*self(pose.keypoints, pose.features))


@dataclass(frozen=True)
class RefinementLoss:
    """Terms of the refinement, unweighted scalars.

    Args:
        laplacian: how far local shape departs from the template's.
        edge: how far edge lengths do.
        regularization: how far the pose moved.
        total: their weighted sum.
    """

    laplacian: Tensor
    edge: Tensor
    regularization: Tensor
    total: Tensor


class RefinementLosses(nn.Module):
    """The paper's losses on one target.

    Args:
        template: of the target.
        laplacian_weight, edge_weight, regularization_weight: the paper's 1, 1, 0.05.
        laplacian_reduction: over vertices: mean of row norms (default), mean of their squares, or their sum.
        edge_reduction: over edges: `mean` (independent of the mesh's size) or `sum`.
        rotation_invariant: compare the lengths of the Laplacian vectors of pose and template, in place of the length
            of their difference, which also penalises parts for turning.
    """

    def __init__(
        self,
        template: PoissonSolver,
        *,
        laplacian_weight: float = 1.0,
        edge_weight: float = 1.0,
        regularization_weight: float = 0.05,
        laplacian_reduction: Reduction = "mean_norm",
        edge_reduction: Literal["mean", "sum"] = "mean",
        rotation_invariant: bool = False,
    ) -> None:
        super().__init__()
        if laplacian_reduction not in ("mean_norm", "mean_square", "sum_square"):
            raise ValueError(f"laplacian_reduction: unknown {laplacian_reduction!r}")
        self.template, self.rotation_invariant = template, rotation_invariant
        self.weights = (laplacian_weight, edge_weight, regularization_weight)
        self.laplacian_reduction, self.edge_reduction = laplacian_reduction, edge_reduction
        self.edges = torch.from_numpy(unique_edges(template.faces.numpy()))

    def laplacian_vectors(self, vertices: Tensor) -> Tensor:
        """(..., V, 3): the positive cotangent Laplacian of the template applied to vertices (..., V, 3)."""
        # Gᵀ M G with doubled areas is twice the cotangent matrix.
        return self.template.laplacian_product(vertices) / 2

    def laplacian(self, vertices: Tensor) -> Tensor:
        """Scalar for posed vertices (B, V, 3)."""
        rest = self.template.vertices.to(vertices)
        if self.rotation_invariant:
            length = [self.laplacian_vectors(v).norm(dim=-1, keepdim=True) for v in (vertices, rest)]
            rows = length[0] - length[1]
        else:
            rows = self.laplacian_vectors(vertices - rest)
        if self.laplacian_reduction == "mean_norm":
            return _safe_norm(rows).mean()
        squares = rows.square().sum(-1)
        return squares.mean() if self.laplacian_reduction == "mean_square" else squares.sum(-1).mean()

    def edge(self, vertices: Tensor) -> Tensor:
        """Scalar for posed vertices (B, V, 3)."""
        difference = (self._lengths(vertices) - self._lengths(self.template.vertices.to(vertices))).abs()
        return difference.mean() if self.edge_reduction == "mean" else difference.sum(-1).mean()

    def forward(self, vertices: Tensor, before: PoseCode, after: PoseCode) -> RefinementLoss:
        """All terms for posed vertices (B, V, 3) and the pose before and after refinement."""
        terms = (self.laplacian(vertices), self.edge(vertices), latent_change(before, after))
        return RefinementLoss(*terms, sum(weight * term for weight, term in zip(self.weights, terms)))  # type: ignore[arg-type]

    def _lengths(self, vertices: Tensor) -> Tensor:
        ends = vertices[..., self.edges.to(vertices.device), :]
        return _safe_norm(ends[..., 0, :] - ends[..., 1, :])


def latent_change(before: PoseCode, after: PoseCode) -> Tensor:
    """Summed squared movement of keypoints and features, averaged over poses."""
    keypoints = (after.keypoints - before.keypoints).square().sum((-1, -2))
    return (keypoints + (after.features - before.features).square().sum((-1, -2))).mean()


def _safe_norm(rows: Tensor) -> Tensor:
    """Length of rows; its gradient at zero is zero, not NaN."""
    squares = rows.square().sum(-1)
    zero = squares == 0
    return torch.where(zero, 0, torch.where(zero, 1, squares).sqrt())
