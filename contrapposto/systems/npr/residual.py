"""A pose network that corrects a blend of the source's own Jacobians instead of predicting them from nothing.

The paper's network (`NPR`) keeps its keypoints on the posed source and asks for places on the rest pose of the target,
so it has to learn which posed part belongs to which place. Here the keypoints stay where they lie on the source's *rest*
pose and carry the mean Jacobian of the faces around them. A target face then takes the distance-weighted mean of its
nearest keypoints' Jacobians, plus what the network adds. The last layer starts at zero, so an untrained network already
transfers poses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.mesh.neighbours import nearest, squared_distances
from contrapposto.mesh.operators import completed_jacobians, face_centroids, face_normals
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.layers import NormStatistics, TrainNorm
from contrapposto.systems.npr.model import NPR

_ENTRIES = 9


class ResidualNPR(NPR):
    """A posed mesh to a pose code, and a pose code to Jacobians of any template; used like `NPR`.

    Codes have D + 9 features for each keypoint: those of the extractor, and the keypoint's mean Jacobian row by row.

    Args:
        norm_stats, train_norm, extractor, applier: see `NPR`.
        gathered_faces: faces whose Jacobians a keypoint averages.
        blended_keypoints: keypoints that a target face blends.
        radius: of the blend, in units of the template's longest side.
    """

    def __init__(
        self,
        *,
        norm_stats: NormStatistics = "batch",
        train_norm: TrainNorm = "sample",
        extractor: Mapping[str, Any] | None = None,
        applier: Mapping[str, Any] | None = None,
        gathered_faces: int = 12,
        blended_keypoints: int = 5,
        radius: float = 0.035,
    ) -> None:
        super().__init__(
            "jacobians", norm_stats=norm_stats, train_norm=train_norm, extractor=extractor, applier=applier
        )
        self.gathered_faces, self.blended_keypoints, self.radius = gathered_faces, blended_keypoints, radius
        nn.init.zeros_(self.decoder.fc_out.weight)
        nn.init.zeros_(self.decoder.fc_out.bias)

    def encode(self, template: PoissonSolver, vertices: Tensor) -> PoseCode:
        """Extract the poses (B, V, 3) of a source with that template, in the template's units."""
        field = surface_jacobians(template, vertices).to(vertices.dtype).flatten(-2)
        rest = template.vertices.to(vertices)
        places = face_centroids(rest, template.faces.to(vertices.device))[None].expand(len(vertices), -1, -1)
        code = self.encoder(places, field)
        around = nearest(code.keypoints[:1], places[:1], min(self.gathered_faces, places.shape[1]))[0]
        means = field[:, around].mean(dim=2)
        return PoseCode(code.keypoints, torch.cat([code.features, means], dim=-1), code.code)

    def decode(self, template: PoissonSolver, pose: PoseCode, points: Tensor | None = None) -> Tensor:
        """Full-rank Jacobians (B, F, 9) of a template, at `points` (F, 3) in place of the faces' centroids if given."""
        features, means = pose.features[..., :-_ENTRIES], pose.features[..., -_ENTRIES:]
        if points is None:
            points = face_centroids(template.vertices, template.faces)
        points = points.to(pose.keypoints)
        added = self.decoder(points[None], PoseCode(pose.keypoints, features, pose.code))
        return self._blend(points, pose.keypoints[0], means) + added

    def _blend(self, points: Tensor, keypoints: Tensor, means: Tensor) -> Tensor:
        """(Q, 3) places, (K, 3) keypoints on the rest pose and (B, K, 9) Jacobians to (B, Q, 9)."""
        near = nearest(points[None], keypoints[None], min(self.blended_keypoints, len(keypoints)))[0]
        distances = squared_distances(points[:, None], keypoints[near])[:, 0]
        weights = torch.softmax(-distances / self.radius**2, dim=-1)
        return torch.einsum("qk,bqkc->bqc", weights, means[:, near])


def surface_jacobians(template: PoissonSolver, vertices: Tensor) -> Tensor:
    """Full-rank Jacobians (B, F, 3, 3) float64 of posed vertices (B, V, 3): they carry the template's normals along."""
    posed, faces = vertices.double(), template.faces.to(vertices.device)
    rest = template.vertices.to(vertices.device)
    return completed_jacobians(
        template.jacobians(posed), face_normals(rest, faces), face_normals(posed, faces)
    )
