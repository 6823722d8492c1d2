"""NPR's auto-encoder: pose extractor and pose applier together (arXiv 2406.09728; docs/specs/npr.md, sections 1 to 6)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from contrapposto.mesh.operators import face_centroids, face_normals
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.systems.npr.applier import PoseApplier
from contrapposto.systems.npr.extractor import PoseCode, PoseExtractor
from contrapposto.systems.npr.layers import NormStatistics, PointNorm, TrainNorm
from contrapposto.weights import ImportReport, import_official, load_official_state_dict

Output = Literal["jacobians", "vertices"]


class NPR(nn.Module):
    """A posed mesh to a pose code, and a pose code to Jacobians (or vertices) of any template.

    Args:
        output: `jacobians`: reads and gives Jacobians on faces, vertices come from the Poisson layer; `vertices`: the
            paper's ablation, reads and gives vertex positions.
        norm_stats: statistics of the norms in evaluation: `batch` (of each sample itself, as the release's test
            script and hence official weights want it) or `running`.
        train_norm: statistics in training, see `layers.PointNorm`.
        extractor, applier: further options of `PoseExtractor` and `PoseApplier`.
    """

    def __init__(
        self,
        output: Output = "jacobians",
        *,
        norm_stats: NormStatistics = "batch",
        train_norm: TrainNorm = "sample",
        extractor: Mapping[str, Any] | None = None,
        applier: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if output not in ("jacobians", "vertices"):
            raise ValueError(f"output: expected jacobians or vertices, got {output!r}")
        self.output: Output = output
        jacobian = output == "jacobians"
        self.encoder = PoseExtractor(features=9 if jacobian else 0, **(extractor or {}))
        options = {"inputs": self.encoder.width, "outputs": 9 if jacobian else 3} | dict(applier or {})
        self.decoder = PoseApplier(**options)
        self.set_norm(norm_stats, train_norm)

    def set_norm(self, norm_stats: NormStatistics, train_norm: TrainNorm | None = None) -> None:
        """Choose the statistics of all norms.

        Raises:
            ValueError: an unknown name.
        """
        if norm_stats not in ("batch", "running") or train_norm not in (None, "sample", "batch"):
            raise ValueError(f"norm_stats {norm_stats!r}, train_norm {train_norm!r}: unknown statistics")
        for module in self.modules():
            if isinstance(module, PointNorm):
                module.statistics = norm_stats
                module.train_norm = train_norm or module.train_norm

    def encode(self, template: PoissonSolver, vertices: Tensor) -> PoseCode:
        """Extract the poses (B, V, 3) of a source with that template, in the template's units."""
        if self.output == "vertices":
            return self.encoder(vertices)
        field = template.jacobians(vertices.double()).to(vertices.dtype)
        faces = template.faces.to(vertices.device)
        return self.encoder(face_centroids(vertices, faces), field.flatten(-2))

    def decode(self, template: PoissonSolver, pose: PoseCode, points: Tensor | None = None) -> Tensor:
        """The output for a template: Jacobians (B, F, 9), or vertices (B, V, 3).

        `points` (F, 3): where to ask for the Jacobians, in place of the faces' centroids.
        """
        if points is not None:
            return self.decoder(points.to(pose.keypoints)[None], pose)
        points = template.vertices.to(pose.keypoints)
        if self.output == "jacobians":
            points = face_centroids(points, template.faces.to(points.device))
        return self.decoder(points[None], pose)

    def apply_pose(self, template: PoissonSolver, pose: PoseCode, pins: Tensor | None = None) -> Tensor:
        """Vertices (B, V, 3) of the template in the pose; `pins` as in `PoissonSolver.solve`."""
        decoded = self.decode(template, pose)
        return decoded if self.output == "vertices" else template.solve(decoded, pins)

    def forward(self, template: PoissonSolver, vertices: Tensor) -> Tensor:
        """Reconstruct poses (B, V, 3) of the template itself, pinned where they are pinned: the training pass."""
        return self.apply_pose(template, self.encode(template, vertices), template.pinned(vertices))

    def load_official(self, path: str | Path) -> ImportReport:
        """Load the authors' checkpoint, and take each sample's own statistics as their test script does.

        Raises:
            MissingError, InputError: see `contrapposto.weights`.
        """
        report = import_official(self, load_official_state_dict(path))
        self.set_norm("batch")
        return report


def vertex_loss(predicted: Tensor, posed: Tensor) -> Tensor:
    """Mean squared error over vertices and coordinates: the release's training loss."""
    return torch.nn.functional.mse_loss(predicted, posed)


def tangent_loss(template: PoissonSolver, decoded: Tensor, posed: Tensor) -> Tensor:
    """Mean squared error of Jacobians in the plane of each face.

    The Jacobian of a surface is only defined in the plane of its faces. What a network predicts along the normal has no
    influence on the result; a loss on all nine entries would pull it, and with it the rest, towards zero.

    Args:
        template: with F faces.
        decoded: (B, F, 9) row by row.
        posed: (B, V, 3) the truth.
    """
    field = template.jacobians(posed.double()).to(decoded.dtype)
    normals = face_normals(template.vertices, template.faces).to(decoded)
    difference = decoded.unflatten(-1, (3, 3)) - field
    along = (difference @ normals[..., None]) * normals[:, None, :]
    return (difference - along).square().mean()
