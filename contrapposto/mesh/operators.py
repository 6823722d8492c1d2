"""Differential operators of a triangle mesh: per-face gradients, Jacobians, Laplacian.

Everything is linear in the posed vertices, so Jacobians of any number of poses are one product. Arrays are NumPy
float64 where a template is prepared, tensors of any float type with any leading dimensions where poses flow through.
Source: docs/specs/npr.md, sections 2 and 5.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from contrapposto.devices import without_tf32


def face_centroids(vertices: Tensor, faces: Tensor) -> Tensor:
    """(..., V, 3) vertices and (F, 3) faces to the (..., F, 3) means of the corners."""
    return vertices[..., faces, :].mean(-2)


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (..., F, 3) of (..., V, 3) vertices; zero for faces without area."""
    first, second, third = vertices[..., faces, :].unbind(-2)
    return torch.nn.functional.normalize(torch.linalg.cross(second - first, third - first), dim=-1, eps=1e-30)


def doubled_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) twice the area of each face."""
    first, second, third = np.moveaxis(vertices[faces], 1, 0)
    return np.linalg.norm(np.cross(second - first, third - first), axis=1)


def corner_gradients(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Gradients of the three hat functions on each face.

    Args:
        vertices: (V, 3) float64 template.
        faces: (F, 3), none without area.

    Returns:
        (F, 3 corners, 3 axes): the gradient of the function that is 1 at the corner and 0 at the other two. It lies
        in the face's plane, points from the opposite edge to the corner, and is as long as 1 / height.
    """
    corners = np.asarray(vertices, np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    opposite = corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]
    return np.cross(normal[:, None], opposite) / np.einsum("fk,fk->f", normal, normal)[:, None, None]


def gradient_matrix(vertices: np.ndarray, faces: np.ndarray, *, order: str = "face") -> sp.csr_matrix:
    """The gradient operator G, (3 F, V) sparse float64.

    Args:
        vertices: (V, 3) template.
        faces: (F, 3).
        order: of the rows. `face`: x, y, z of face 0, then of face 1, ...; `component`: x of all faces, then y, then z.
    """
    count = len(faces)
    gradients = corner_gradients(vertices, faces)  # F, corner, axis
    face, axis = np.arange(count)[:, None, None], np.arange(3)[None, None, :]
    rows = 3 * face + axis if order == "face" else count * axis + face
    rows = np.broadcast_to(rows, gradients.shape)
    columns = np.broadcast_to(faces[:, :, None], gradients.shape)
    shape = (3 * count, len(vertices))
    return sp.csr_matrix((gradients.ravel(), (rows.ravel(), columns.ravel())), shape)


def divergence_matrix(vertices: np.ndarray, faces: np.ndarray) -> sp.csr_matrix:
    """Gᵀ M, (V, 3 F), columns face-major; M is the doubled area of each face, which cancels in a solve."""
    weights = sp.diags(np.repeat(doubled_areas(vertices, faces), 3))
    return (gradient_matrix(vertices, faces).T @ weights).tocsr()


def laplacian(vertices: np.ndarray, faces: np.ndarray) -> sp.csr_matrix:
    """Gᵀ M G, (V, V), positive semidefinite: minus twice the cotangent matrix."""
    return (divergence_matrix(vertices, faces) @ gradient_matrix(vertices, faces)).tocsr()


@without_tf32()
def jacobians(gradients: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Jacobians of posed vertices with respect to the template.

    Args:
        gradients: (F, 3, 3) `corner_gradients` of the template.
        vertices: (..., V, 3) posed.
        faces: (F, 3) int64.

    Returns:
        (..., F, 3, 3): [i, j] is the derivative of coordinate i along template axis j. Tangent: J n = 0 for the
        template's normal n, so the template's own is I - n nᵀ.
    """
    return vertices[..., faces, :].transpose(-1, -2) @ gradients.to(vertices.dtype)


def completed_jacobians(tangent: Tensor, template_normals: Tensor, posed_normals: Tensor) -> Tensor:
    """Full-rank Jacobians from tangent ones: they also carry the template's normal to the posed one.

    The normal is stretched as the lengths in the face are, on geometric average, so a similarity comes out as itself.

    Args:
        tangent: (..., F, 3, 3) as `jacobians` gives them.
        template_normals: (F, 3) unit.
        posed_normals: (..., F, 3) unit.
    """
    normal = posed_normals[..., :, None] * template_normals[..., None, :].to(tangent.dtype)
    stretch = (
        torch.linalg.det(tangent + normal).clamp_min(0).sqrt()
    )  # the determinant is the ratio of the areas
    return tangent + stretch[..., None, None] * normal


def unique_edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) undirected edges, lower index first, sorted."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(edges, axis=0)


def unit_cube(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre of the bounding box (3,) and its largest side: (v - centre) / side fits a cube of side 1.

    A side of 0 (a single point) comes back as 1.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    side = float((high - low).max())
    return (low + high) / 2, side if side > 0 else 1.0
