"""A mesh made ready: cleaned, scaled to a unit cube, factorised once for all its poses."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from contrapposto.errors import ConfigError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.clean import CleanMesh, clean_mesh
from contrapposto.mesh.operators import unit_cube
from contrapposto.mesh.parts import PartPlacement
from contrapposto.mesh.poisson import PoissonSolver

Normalize = Literal["unit_cube", "centroid_pca", "none"]
_PCA_SCALE = 0.35


class Template:
    """A mesh whose poses are read or made.

    Args:
        mesh: as read, in any units.
        normalize: `unit_cube`: the bounding box's centre to the origin, its largest side to 1; `centroid_pca`: the mean
            vertex to the origin, 0.35 over the largest principal deviation (as DeformingThings4D is usually prepared);
            `none`: as it is. All poses get the template's transform, so animations do not pulse.
        merge: see `clean_mesh`.
        backend: of the solver, see `PoissonSolver`.

    Attributes:
        mesh: `MeshAsset` as given.
        clean: `CleanMesh` in the given units.
        solver: `PoissonSolver` in normalised units.
        centre, side: normalised = (given - centre) / side.

    Raises:
        InputError: see `clean_mesh`.
    """

    def __init__(
        self,
        mesh: MeshAsset,
        *,
        normalize: Normalize = "unit_cube",
        merge: float | None = 0.0,
        backend: str = "auto",
    ) -> None:
        self.mesh = mesh
        self.clean: CleanMesh = clean_mesh(mesh.vertices, mesh.faces, merge=merge)
        self.centre, self.side = _transform(self.clean.vertices, normalize)
        scaled = (self.clean.vertices - self.centre) / self.side
        self.solver = PoissonSolver(scaled, self.clean.faces, backend=backend)
        self.parts = PartPlacement(self.solver)

    @property
    def num_faces(self) -> int:
        """Faces of the clean mesh."""
        return len(self.clean.faces)

    def normalized(self, vertices: np.ndarray) -> Tensor:
        """Given poses (..., V, 3) to float64 (..., V', 3), cleaned and scaled.

        Raises:
            InputError: another number of vertices than the template, or values that are not finite.
        """
        return torch.from_numpy((self.clean.take(vertices) - self.centre) / self.side)

    def restored(self, vertices: Tensor) -> np.ndarray:
        """Solved poses (..., V', 3) to float64 (..., V, 3) in the given order, units and place."""
        solved = vertices.detach().cpu().double().numpy()
        return self.clean.restore(solved * self.side + self.centre)

    def solve(self, field: Tensor) -> Tensor:
        """Jacobians (B, F', 3, 3) or (B, F', 9) to vertices (B, V', 3), parts in place, mean vertex at the origin."""
        vertices = self.parts.place(self.solver.solve(field))
        return vertices - vertices.mean(-2, keepdim=True)


def _transform(vertices: np.ndarray, normalize: Normalize) -> tuple[np.ndarray, float]:
    if normalize == "unit_cube":
        return unit_cube(vertices)
    if normalize == "centroid_pca":
        centre = vertices.mean(axis=0)
        deviation = float(np.linalg.svd(vertices - centre, compute_uv=False)[0]) / np.sqrt(len(vertices))
        return centre, deviation / _PCA_SCALE if deviation > 0 else 1.0
    if normalize == "none":
        return np.zeros(3), 1.0
    raise ConfigError(
        "Unknown normalisation of a mesh.", found=str(normalize), expected="unit_cube, centroid_pca or none"
    )
