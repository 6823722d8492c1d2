"""A pose network that corrects a blend of the source's own Jacobians instead of predicting them from nothing.

The paper's network (`NPR`) keeps its keypoints on the posed source and asks for places on the rest pose of the target,
so it has to learn which posed part belongs to which place. Here keypoints stay where they lie on the source's *rest* pose,
and some hundred points of it carry the mean Jacobian of the faces around them. A target face takes the mean of the
nearest ones, weighted by distance, plus what the network adds. The last layer starts at zero, so an untrained network already
transfers poses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.neighbours import nearest, squared_distances
from contrapposto.mesh.operators import completed_jacobians, face_centroids, face_normals
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.mesh.surface_sampling import furthest_points
from contrapposto.systems.npr.attention import take
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.layers import NormStatistics, TrainNorm
from contrapposto.systems.npr.model import NPR

_NEAREST = 4


@dataclass(frozen=True, eq=False)
class Spread:
    """Values at some points to values at all: weighted means of the nearest ones.

    Args:
        chosen: (M,) which points have values.
        near: (Q, K) of those, the nearest to each point.
        weights: (Q, K).
    """

    chosen: Tensor
    near: Tensor
    weights: Tensor

    @classmethod
    def over(cls, points: Tensor, count: int) -> Spread:
        """`count` of points (Q, 3), spread evenly over them, and for each point the four nearest by inverse squares."""
        some = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))[: 4 * count]
        chosen = some[furthest_points(points[some][None], min(count, len(some)))[0]].unique()
        near = nearest(points[None], points[chosen][None], min(_NEAREST, len(chosen)))[0]
        weights = 1 / squared_distances(points[:, None], points[chosen][near])[:, 0].clamp_min(1e-10)
        return cls(chosen, near, weights / weights.sum(-1, keepdim=True))

    def __call__(self, values: Tensor) -> Tensor:
        """(B, M, C) to (B, Q, C)."""
        table = values.transpose(0, 1).flatten(1)
        near, weights = self.near.to(table.device), self.weights.to(table)
        rows = F.embedding_bag(near, table, per_sample_weights=weights, mode="sum")
        return rows.unflatten(-1, (len(values), -1)).transpose(0, 1)


@dataclass(frozen=True)
class ResidualCode(PoseCode):
    """A pose code with Jacobians.

    Args:
        keypoints, features, code: see `PoseCode`; the keypoints lie on the rest pose.
        places: (B, P, 3) points of the rest pose.
        jacobians: (B, P, 9) mean Jacobian around each, row by row.
    """

    places: Tensor
    jacobians: Tensor

    def __getitem__(self, index: slice | Tensor) -> ResidualCode:
        return ResidualCode(*(getattr(self, field.name)[index] for field in fields(self)))


class ResidualNPR(NPR):
    """A posed mesh to a pose code, and a pose code to Jacobians of any template; used like `NPR`.

    Args:
        norm_stats, train_norm, extractor, applier: see `NPR`.
        blend_points: points of the rest pose that carry Jacobians.
        gathered_faces: faces whose Jacobians each of them averages.
        blended: how many of them a target face blends.
        radius: of the blend, in units of the template's longest side.
    """

    def __init__(
        self,
        *,
        norm_stats: NormStatistics = "batch",
        train_norm: TrainNorm = "sample",
        extractor: Mapping[str, Any] | None = None,
        applier: Mapping[str, Any] | None = None,
        blend_points: int = 300,
        gathered_faces: int = 4,
        blended: int = 5,
        radius: float = 0.03,
    ) -> None:
        super().__init__(
            "jacobians", norm_stats=norm_stats, train_norm=train_norm, extractor=extractor, applier=applier
        )
        self.blend_points, self.gathered_faces, self.blended, self.radius = (
            blend_points,
            gathered_faces,
            blended,
            radius,
        )
        nn.init.zeros_(self.decoder.fc_out.weight)
        nn.init.zeros_(self.decoder.fc_out.bias)

    def encode(self, template: PoissonSolver, vertices: Tensor) -> ResidualCode:
        """Extract the poses (B, V, 3) of a source with that template, in the template's units."""
        field = surface_jacobians(template, vertices).to(vertices.dtype).flatten(-2)
        rest = template.vertices.to(vertices)
        centroids = face_centroids(rest, template.faces.to(vertices.device))[None]
        code = self.encoder(centroids, field)
        chosen = furthest_points(centroids, min(self.blend_points, centroids.shape[1]))
        places = take(centroids, chosen)
        around = nearest(places, centroids, min(self.gathered_faces, centroids.shape[1]))[0]
        return ResidualCode(
            code.keypoints,
            code.features,
            code.code,
            places.expand(len(vertices), -1, -1),
            field[:, around].mean(dim=2),
        )

    def decode(
        self,
        template: PoissonSolver,
        pose: PoseCode,
        points: Tensor | None = None,
        spread: Spread | None = None,
    ) -> Tensor:
        """Full-rank Jacobians (B, F, 9) of a template, at `points` (F, 3) in place of the faces' centroids if given.

        `spread`: the network corrects these points only, and its corrections are interpolated.
        """
        if not isinstance(pose, ResidualCode):
            raise ValueError("pose: expected a code of this network, with Jacobians")
        if points is None:
            points = face_centroids(template.vertices, template.faces)
        points = points.to(pose.keypoints)
        same = PoseCode(pose.keypoints[:1], pose.features, pose.code)  # keypoints lie on the rest pose
        if spread is None:
            correction = self.decoder(points[None], same)
        else:
            correction = spread(self.decoder(points[spread.chosen.to(points.device)][None], same))
        return self._blend(points, pose.places[0])(pose.jacobians) + correction

    def _blend(self, points: Tensor, places: Tensor) -> Spread:
        """What blends values at the known places (P, 3) to values at the asked points (Q, 3)."""
        near = nearest(points[None], places[None], min(self.blended, len(places)))[0]
        distances = squared_distances(points[:, None], places[near])[:, 0]
        return Spread(torch.arange(len(places)), near, torch.softmax(-distances / self.radius**2, dim=-1))


def surface_jacobians(template: PoissonSolver, vertices: Tensor) -> Tensor:
    """Full-rank Jacobians (B, F, 3, 3) float64 of posed vertices (B, V, 3): they carry the template's normals along."""
    posed, faces = vertices.double(), template.faces.to(vertices.device)
    rest = template.vertices.to(vertices.device)
    return completed_jacobians(
        template.jacobians(posed), face_normals(rest, faces), face_normals(posed, faces)
    )
