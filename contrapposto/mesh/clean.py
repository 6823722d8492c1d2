"""From meshes as people have them to meshes that can be solved on, and back (docs/specs/npr.md, sections 5 and 14)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from contrapposto.errors import InputError

MAX_FACES = 1_000_000
"""More are refused: the solve would need more memory than most machines have. Decimate first."""

_FLAT = 1e-7  # a face whose height is a smaller share of its longest side has no usable gradient


@dataclass(frozen=True)
class CleanReport:
    """What cleaning found.

    Args:
        vertices, faces: given.
        kept_vertices, kept_faces: left to solve on.
        merged_vertices: at the place of another one.
        unreferenced_vertices: on no face that was kept.
        degenerate_faces: with a corner twice, or without area.
        duplicate_faces: with the same corners as an earlier one.
        components: connected parts.
        boundary_edges: with one face only.
        crowded_edges: with more than two faces (not a manifold).
    """

    vertices: int
    faces: int
    kept_vertices: int
    kept_faces: int
    merged_vertices: int
    unreferenced_vertices: int
    degenerate_faces: int
    duplicate_faces: int
    components: int
    boundary_edges: int
    crowded_edges: int

    def __str__(self) -> str:
        lines = [
            f"{self.kept_vertices} of {self.vertices} vertices and {self.kept_faces} of {self.faces} faces kept"
        ]
        for count, text in (
            (self.merged_vertices, "vertices merged with another at the same place"),
            (self.unreferenced_vertices, "vertices on no face, carried along"),
            (self.degenerate_faces, "faces without area, carried along"),
            (self.duplicate_faces, "faces given twice"),
            (self.boundary_edges, "edges at holes or borders"),
            (self.crowded_edges, "edges with more than two faces"),
        ):
            if count:
                lines.append(f"{count} {text}")
        if self.components > 1:
            lines.append(f"{self.components} separate parts")
        return "; ".join(lines)


@dataclass(frozen=True, eq=False)
class CleanMesh:
    """A mesh to solve on, and the way back to the given one.

    Args:
        vertices: (V', 3) float64.
        faces: (F', 3) int64.
        component: (V',) int64 connected part of each vertex.
        source: (V',) int64: the given vertex that each one is.
        place: (V,) int64: the clean vertex that stands for each given one; of a vertex without a face, the nearest.
        offset: (V, 3) float64: how far the given one lies from it; zero but for vertices without a face.
        kept: (F',) int64: the given face that each one is.
        report: what was found.
    """

    vertices: np.ndarray
    faces: np.ndarray
    component: np.ndarray
    source: np.ndarray
    place: np.ndarray
    offset: np.ndarray
    kept: np.ndarray
    report: CleanReport

    def take(self, vertices: np.ndarray) -> np.ndarray:
        """Vertices (..., V, 3) of the given mesh, in any pose, to (..., V', 3) of this one.

        Raises:
            InputError: another number of vertices, or values that are not finite.
        """
        if np.ndim(vertices) < 2 or np.shape(vertices)[-2:] != (self.report.vertices, 3):
            raise InputError(
                "A pose does not belong to its template.",
                found=f"vertices {np.shape(vertices)}",
                expected=f"{self.report.vertices} vertices of 3 coordinates, in the template's order",
            )
        taken = np.asarray(vertices, np.float64)[..., self.source, :]
        if not np.isfinite(taken).all():
            raise InputError("A pose has vertices that are not finite.")
        return taken

    def restore(self, vertices: np.ndarray) -> np.ndarray:
        """Posed vertices (..., V', 3) of this mesh to (..., V, 3) in the order of the given one.

        A vertex without a face keeps its offset from the nearest vertex, turned as the surface there turned.
        """
        posed = np.asarray(vertices)[..., self.place, :]
        lone = np.flatnonzero(np.abs(self.offset).max(axis=1) > 0)
        if len(lone):
            posed = posed.copy()
            posed[..., lone, :] += self._turned(np.asarray(vertices), self.place[lone], self.offset[lone])
        return posed

    def _turned(self, vertices: np.ndarray, places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        first = np.full(len(self.vertices), -1)
        first[self.faces[::-1].ravel()] = np.repeat(np.arange(len(self.faces))[::-1], 3)
        face = self.faces[first[places]]
        before, after = _frames(self.vertices, face), _frames(vertices, face)
        local = np.einsum("vkc,vk->vc", before, offsets)
        return np.einsum("...vkc,vc->...vk", after, local)


def clean_mesh(vertices: np.ndarray, faces: np.ndarray, *, merge: float | None = 0.0) -> CleanMesh:
    """Clean a template.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        merge: vertices at most this share of the bounding box's diagonal apart become one (0: only those at exactly
            the same place, as at texture seams and in STL files); None: none.

    Raises:
        InputError: no faces, wrong shapes, indices without a vertex, used vertices that are not finite, more than
            `MAX_FACES` faces, or nothing left.
    """
    points, index = _checked(vertices, faces)
    used = np.unique(index)
    label = np.arange(len(points)) if merge is None else _merged(points, used, merge)
    joined = label[index]
    degenerate = _degenerate(points, joined)
    ordered = np.sort(joined, axis=1)
    order = np.unique(ordered[~degenerate], axis=0, return_index=True)[1]
    kept = np.sort(np.flatnonzero(~degenerate)[order])
    if not len(kept):
        raise InputError("The mesh has no face with an area.", found=f"{len(index)} faces, all degenerate")
    source, compact = np.unique(joined[kept], return_inverse=True)
    compact = compact.reshape(-1, 3)
    place = np.full(len(points), -1)
    place[source] = np.arange(len(source))
    place = place[label]
    lone = np.flatnonzero(place < 0)
    offset = np.zeros_like(points)
    if len(lone):
        there = np.where(np.isfinite(points[lone]), points[lone], points[source].mean(axis=0))
        place[lone] = cKDTree(points[source]).query(there)[1]
        offset[lone] = there - points[source][place[lone]]
    component = components(len(source), compact)
    edges = np.sort(compact[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2))
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    report = CleanReport(
        vertices=len(points),
        faces=len(index),
        kept_vertices=len(source),
        kept_faces=len(kept),
        merged_vertices=int((label[used] != used).sum()),
        unreferenced_vertices=len(lone),
        degenerate_faces=int(degenerate.sum()),
        duplicate_faces=int((~degenerate).sum()) - len(kept),
        components=int(component.max()) + 1,
        boundary_edges=int((counts == 1).sum()),
        crowded_edges=int((counts > 2).sum()),
    )
    return CleanMesh(points[source], compact, component, source, place, offset, kept, report)


def components(count: int, faces: np.ndarray) -> np.ndarray:
    """(count,) int64 number of the connected part of each vertex, counted by their first vertices."""
    rows, columns = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), (count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _checked(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, index = np.asarray(vertices, np.float64), np.asarray(faces)
    if points.ndim != 2 or points.shape[1] != 3 or index.ndim != 2 or index.shape[-1] != 3 or not len(index):
        raise InputError(
            "The mesh has no triangles.",
            found=f"vertices {points.shape}, faces {index.shape}",
            expected="(V, 3) and (F, 3), at least one face",
        )
    if len(index) > MAX_FACES:
        raise InputError(
            "The mesh has too many faces.",
            found=f"{len(index)}",
            expected=f"at most {MAX_FACES}",
            fix="decimate it first (contrapposto.mesh.decimate, or Blender's Decimate modifier)",
        )
    if not np.issubdtype(index.dtype, np.integer) or index.min() < 0 or index.max() >= len(points):
        raise InputError(
            "A face of the mesh names a vertex that is not there.",
            found=f"indices {index.min()} to {index.max()}",
            expected=f"whole numbers from 0 to {len(points) - 1}",
        )
    index = index.astype(np.int64)
    bad = np.flatnonzero(~np.isfinite(points[index]).all(axis=(1, 2)))
    if len(bad):
        raise InputError(
            "The mesh has vertices that are not finite.",
            found=f"{len(bad)} faces with one, the first is face {bad[0]}",
            fix="remove them in a mesh editor",
        )
    return points, index


def _merged(points: np.ndarray, used: np.ndarray, share: float) -> np.ndarray:
    """(V,) lowest index of the vertices at the same place."""
    label = np.arange(len(points))
    own = points[used]
    if share > 0:
        distance = share * float(np.linalg.norm(np.ptp(own, axis=0)))
        pairs = cKDTree(own).query_pairs(distance, output_type="ndarray")
        graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (len(own), len(own)))
        group = connected_components(graph, directed=False)[1]
    else:
        group = np.unique(own + 0.0, axis=0, return_inverse=True)[1].ravel()  # + 0.0: -0 is 0
    lowest = np.unique(group, return_index=True)[1]
    label[used] = used[lowest[group]]
    return label


def _degenerate(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = points[faces] - points[faces].mean(axis=1, keepdims=True)
    sides = np.linalg.norm(corners - corners[:, [1, 2, 0]], axis=2).max(axis=1)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return ~(area > _FLAT * sides**2) | (sides < 1e-150)


def _frames(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(..., F, 3, 3) axes of faces, in columns: along the first edge, in the plane, and the normal."""
    first, second, third = (vertices[..., faces[:, corner], :] for corner in range(3))
    along = _unit(second - first)
    normal = _unit(np.cross(second - first, third - first))
    return np.stack([along, np.cross(normal, along), normal], axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-300)
