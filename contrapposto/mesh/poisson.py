"""The Poisson layer: a field of Jacobians to the vertices that fit it best (docs/specs/npr.md, section 5).

Minimises the area-weighted squared difference between the gradients of the vertices and the given Jacobians. The
Laplacian of the template is factorised once, with one vertex pinned per connected component; then all poses are the
columns of one solve. On a GPU the solve is one product with the inverse of the Laplacian, computed there once for each
template; templates that are too large for that are solved on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from torch import Tensor

from contrapposto.devices import free_bytes, without_tf32
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.mesh.operators import (
    corner_gradients,
    divergence_matrix,
    doubled_areas,
    jacobians,
    laplacian,
)

Solve = Callable[[np.ndarray], np.ndarray]
_POSES = 16
BACKENDS = ("auto", "cholespy", "scipy")
DENSE_MOST = 8000
"""Vertices of a template up to which a GPU solves by the dense inverse of its Laplacian (8 V² bytes)."""
_DENSE_SHARE = 0.1  # of the GPU's free memory that one inverse may take


class PoissonSolver:
    """Jacobians to vertices on one template.

    Args:
        vertices: (V, 3) template, every vertex on a face.
        faces: (F, 3), none without area (see `contrapposto.mesh.clean_mesh`).
        backend: `cholespy`, `scipy` (LU in symmetric mode), or `auto`: cholespy where it is installed.

    Attributes:
        vertices: (V, 3) float64.
        faces: (F, 3) int64.
        component: (V,) int64 number of each vertex's connected component.
        pins: (C,) int64 the vertex of each component that stands still: its first.

    Raises:
        InputError: a vertex without a face, a face without area, or values that are not finite.
        ConfigError: an unknown backend. MissingError: cholespy was asked for and is not installed.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, *, backend: str = "auto") -> None:
        self._template = np.ascontiguousarray(vertices, np.float64)
        index = np.ascontiguousarray(faces, np.int64)
        _check(self._template, index)
        self.vertices, self.faces = torch.from_numpy(self._template), torch.from_numpy(index)
        self.gradients = torch.from_numpy(corner_gradients(self._template, index))
        matrix = laplacian(self._template, index)
        count, labels = connected_components(matrix, directed=False)
        self.component = torch.from_numpy(labels.astype(np.int64))
        pins = np.unique(labels, return_index=True)[1]
        self.pins = torch.from_numpy(pins)
        self.num_components = int(count)
        self._free = np.setdiff1d(np.arange(len(self._template)), pins)
        self._divergence = divergence_matrix(self._template, index)[self._free]
        self._matrix = matrix[self._free][:, self._free]
        self._solve = _factorise(self._matrix, backend)
        self._areas = torch.from_numpy(doubled_areas(self._template, index))
        self._placed: dict[torch.device, _Placed] = {}

    def jacobians(self, vertices: Tensor) -> Tensor:
        """(..., V, 3) posed vertices to (..., F, 3, 3); see `operators.jacobians`."""
        here = self._on(vertices.device)
        return jacobians(here.gradients, vertices, here.faces)

    def solve(self, field: Tensor, pins: Tensor | None = None) -> Tensor:
        """Vertices whose Jacobians are nearest to the field; differentiable.

        Args:
            field: (..., F, 3, 3) or (..., F, 9) row by row; solved in float64 whatever it is. What it does along the
                template's normals has no influence.
            pins: (..., C, 3) or (..., 3) where the pinned vertex of each component comes to lie; the origin where
                absent.

        Returns:
            (..., V, 3) in the type and on the device of the field.
        """
        batch = field.shape[: field.ndim - (2 if field.shape[-1] == 9 else 3)]
        if field.shape[len(batch)] != len(self.faces):
            raise ValueError(
                f"field {tuple(field.shape)}: expected {len(self.faces)} faces, as the template has"
            )
        rows = field.reshape(-1, len(self.faces), 3, 3)
        inverse = self._inverse(field.device)
        solved = _PoissonSolve.apply(rows, self) if inverse is None else self._solve_dense(rows, inverse)
        solved = solved.view(*batch, -1, 3)
        if pins is None:
            return solved.to(field.dtype)
        places = pins if pins.ndim == len(batch) + 2 else pins[..., None, :]
        places = places.expand(*batch, self.num_components, 3).to(solved)
        return (solved + places[..., self._on(solved.device).component, :]).to(field.dtype)

    def solve_centred(self, field: Tensor) -> Tensor:
        """As `solve`, then every pose has its mean vertex at the origin (the release's output)."""
        vertices = self.solve(field)
        return vertices - vertices.mean(-2, keepdim=True)

    def pinned(self, vertices: Tensor) -> Tensor:
        """(..., V, 3) to (..., C, 3): where the pinned vertices are, the `pins` that make a pose comparable."""
        return vertices[..., self._on(vertices.device).pins, :]

    def laplacian_product(self, vertices: Tensor) -> Tensor:
        """(..., V, 3) to (..., V, 3): Gᵀ M G of the template times the vertices, differentiable."""
        here = self._on(vertices.device)
        return self._divergence_of(jacobians(here.gradients, vertices, here.faces))

    def _divergence_of(self, field: Tensor) -> Tensor:
        """Gᵀ M times a field (..., F, 3, 3): (..., V, 3)."""
        here = self._on(field.device)
        weighted = field * here.areas.to(field.dtype)[:, None, None]
        # ..., F, corner, coordinate
        with without_tf32():
            shares = (weighted @ here.gradients.to(field.dtype).transpose(-1, -2)).transpose(-1, -2)
        result = field.new_zeros(*field.shape[:-3], len(self.vertices), 3)
        return result.index_add(-2, here.faces.reshape(-1), shares.flatten(-3, -2))

    def _on(self, device: torch.device) -> _Placed:
        """The template's arrays on a device, copied there once."""
        if device not in self._placed:
            self._placed[device] = _Placed(
                gradients=self.gradients.to(device),
                faces=self.faces.to(device),
                component=self.component.to(device),
                pins=self.pins.to(device),
                areas=self._areas.to(device),
                free=torch.from_numpy(self._free).to(device),
            )
        return self._placed[device]

    def _inverse(self, device: torch.device) -> Tensor | None:
        """The inverse of the Laplacian on a GPU; None where the host solves: on other devices, and for large templates."""
        count = len(self._free)
        if device.type != "cuda" or not 0 < count <= DENSE_MOST:
            return None
        here = self._on(device)
        if here.inverse is None and not here.too_large:
            here.too_large = 8 * count**2 > _DENSE_SHARE * (free_bytes(device) or 0)
            if not here.too_large:
                with torch.no_grad():
                    matrix = torch.from_numpy(self._matrix.toarray()).to(device)
                    here.inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
        return here.inverse

    def _solve_dense(self, field: Tensor, inverse: Tensor) -> Tensor:
        """(B, F, 3, 3) to (B, V, 3) with zeros at the pins, where the inverse is."""
        free = self._on(field.device).free
        right = self._divergence_of(field.double())
        solved = torch.einsum("uv,bvc->buc", inverse, right[:, free])
        return torch.zeros_like(right).index_copy(1, free, solved)

    def _forward(self, field: np.ndarray) -> np.ndarray:
        """(B, F, 3, 3) float64 to (B, V, 3) with zeros at the pins."""
        if len(field) > _POSES:  # more columns than this fall out of the cache
            return np.concatenate(
                [self._forward(field[i : i + _POSES]) for i in range(0, len(field), _POSES)]
            )
        count = len(field)
        columns = field.transpose(1, 3, 0, 2).reshape(
            -1, count * 3
        )  # row (face, axis j), column (pose, coordinate i)
        result = np.zeros((len(self._template), count * 3))
        result[self._free] = self._solve(self._divergence @ columns)
        return result.reshape(-1, count, 3).transpose(1, 0, 2)

    def _backward(self, gradient: np.ndarray) -> np.ndarray:
        """(B, V, 3) to (B, F, 3, 3): the transposed map, with the same factor since the matrix is symmetric."""
        if len(gradient) > _POSES:
            return np.concatenate(
                [self._backward(gradient[i : i + _POSES]) for i in range(0, len(gradient), _POSES)]
            )
        count = len(gradient)
        columns = gradient.transpose(1, 0, 2).reshape(-1, count * 3)[self._free]
        spread = self._divergence.T @ self._solve(columns)
        return spread.reshape(-1, 3, count, 3).transpose(2, 0, 3, 1)


@dataclass
class _Placed:
    """Arrays of a template on one device; see `PoissonSolver`."""

    gradients: Tensor
    faces: Tensor
    component: Tensor
    pins: Tensor
    areas: Tensor
    free: Tensor
    inverse: Tensor | None = None
    too_large: bool = False


class _PoissonSolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Tensor, solver: PoissonSolver) -> Tensor:
        ctx.solver, ctx.kind = solver, (field.device, field.dtype)
        solved = solver._forward(field.detach().cpu().double().numpy())
        return torch.from_numpy(np.ascontiguousarray(solved)).to(field.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        device, dtype = ctx.kind
        spread = ctx.solver._backward(gradients[0].detach().cpu().double().numpy())
        return torch.from_numpy(np.ascontiguousarray(spread)).to(device, dtype), None


def _factorise(matrix: sp.csr_matrix, backend: str) -> Solve:
    if backend not in BACKENDS:
        raise ConfigError(
            "Unknown backend of the Poisson solver.", found=backend, expected=", ".join(BACKENDS)
        )
    if matrix.shape[0] == 0:
        return lambda columns: columns
    if backend != "scipy":
        try:
            return _cholespy(matrix)
        except ImportError as error:
            if backend == "cholespy":
                raise MissingError("cholespy is not installed.", fix="pip install cholespy") from error
    factor = splu(
        matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return factor.solve


def _cholespy(matrix: sp.csr_matrix) -> Solve:
    import cholespy

    ordered = matrix.tocsc()
    ordered.sort_indices()
    size = ordered.shape[0]
    solver = cholespy.CholeskySolverD(
        size,
        ordered.indptr.astype(np.int32),
        ordered.indices.astype(np.int32),
        ordered.data.astype(np.float64),
        cholespy.MatrixType.CSC,
    )

    def solve(columns: np.ndarray) -> np.ndarray:
        right = np.ascontiguousarray(columns, np.float64)
        result = np.zeros_like(right)
        solver.solve(right, result)
        return result

    return solve


def _check(vertices: np.ndarray, faces: np.ndarray) -> None:
    fix = "clean the mesh first: contrapposto.mesh.clean_mesh"
    if not len(faces) or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError("The template has no faces, or faces with vertices that are not there.", fix=fix)
    if not np.isfinite(vertices).all():
        raise InputError("The template has vertices that are not finite.", fix=fix)
    unused = len(vertices) - len(np.unique(faces))
    flat = int((doubled_areas(vertices, faces) <= 0).sum())
    if unused or flat:
        actual = f"{unused} vertices without a face, {flat} faces without area"
        raise InputError("The template cannot be solved on.", found=actual, fix=fix)
