"""Thin out the mesh of the shipped body for small images.

    python contrapposto/assets/body/thin.py

Vertices go one by one into a neighbour, those first whose going moves the surface least (quadric errors: Garland and
Heckbert, Surface simplification using quadric error metrics, 1997), so that those that stay are vertices of the whole
body and are skinned as they are there. Writes `thin.npz` beside this file, within half a minute: `vertices` (K,) and
`faces` (G, 3) over them, uint16. The mesh stays closed.
"""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np

from contrapposto.files import atomic_path

FACES = 9000
_IMPORTANT = {
    15: 40.0,
    20: 3.0,
    21: 3.0,
}  # joint -> weight of the errors around it: the face, the wrists' hands
_LEAST_TURN = 0.3  # cosine by which faces may turn
_THINNEST = 0.05  # area of a face over the square of its longest side
_SLIDE = 1e-6  # error of a metre along the surface: on flat places, short ways first


class Mesh:
    """Faces around vertices, with the quadric error of each.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        weights: (V,) of the errors.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> None:
        self.vertices = vertices.astype(np.float64)
        self.homogeneous = np.concatenate([self.vertices, np.ones((len(vertices), 1))], axis=1)
        a, b, c = np.moveaxis(self.vertices[faces], 1, 0)
        normals = np.cross(b - a, c - a)
        areas = np.linalg.norm(normals, axis=1)
        normals /= np.maximum(areas, 1e-15)[:, None]
        planes = np.concatenate([normals, -np.einsum("fi,fi->f", normals, a)[:, None]], axis=1)
        quadrics = planes[:, :, None] * planes[:, None] * (areas * weights[faces].mean(axis=1))[:, None, None]
        self.quadrics = np.zeros((len(vertices), 4, 4))
        for corner in range(3):
            np.add.at(self.quadrics, faces[:, corner], quadrics)
        self.faces: list[list[int] | None] = faces.tolist()
        self.around: list[set[int]] = [set() for _ in vertices]
        for number, corners in enumerate(faces):
            for vertex in corners:
                self.around[vertex].add(number)

    def corners(self, face: int) -> list[int]:
        """Of a face that is there."""
        corners = self.faces[face]
        assert corners is not None
        return corners

    def neighbours(self, vertex: int) -> set[int]:
        """Vertices that share a face with this one."""
        return {other for face in self.around[vertex] for other in self.corners(face)} - {vertex}

    def error(self, vertex: int, target: int) -> float:
        """What it costs to move a vertex to another."""
        place = self.homogeneous[target]
        way = self.vertices[vertex] - self.vertices[target]
        return float(place @ self.quadrics[vertex] @ place + _SLIDE * (way @ way))

    def allowed(self, vertex: int, target: int) -> bool:
        """Whether the mesh stays closed, no face turns over and none gets too thin."""
        if len(self.neighbours(vertex) & self.neighbours(target)) != 2:
            return False
        for face in self.around[vertex]:
            corners = self.corners(face)
            if target in corners:
                continue
            before = self.vertices[corners]
            after = self.vertices[[target if corner == vertex else corner for corner in corners]]
            old, new = (np.cross(x[1] - x[0], x[2] - x[0]) for x in (before, after))
            area, longest = (
                float(np.linalg.norm(new)),
                float(((after - np.roll(after, 1, 0)) ** 2).sum(1).max()),
            )
            if area < _THINNEST * longest or old @ new < _LEAST_TURN * area * float(np.linalg.norm(old)):
                return False
        return True

    def move(self, vertex: int, target: int) -> int:
        """Move a vertex into another; returns how many faces vanish."""
        gone = 0
        for face in list(self.around[vertex]):
            corners = self.corners(face)
            if target in corners:
                for corner in corners:
                    self.around[corner].discard(face)
                self.faces[face], gone = None, gone + 1
            else:
                self.faces[face] = [target if corner == vertex else corner for corner in corners]
                self.around[target].add(face)
        self.around[vertex].clear()
        self.quadrics[target] += self.quadrics[vertex]
        return gone


def thin(mesh: Mesh, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (K,) that stay, and about `count` faces (G, 3) over them."""
    versions = [0] * len(mesh.vertices)
    heap: list[tuple[float, int, int, int]] = []

    def offer(vertex: int) -> None:
        ways = sorted((mesh.error(vertex, other), other) for other in mesh.neighbours(vertex))
        for error, other in ways:
            if mesh.allowed(vertex, other):
                heapq.heappush(heap, (error, vertex, other, versions[vertex]))
                return

    for vertex in range(len(mesh.vertices)):
        offer(vertex)
    left = len(mesh.faces)
    while left > count and heap:
        _, vertex, target, version = heapq.heappop(heap)
        if version != versions[vertex] or not mesh.allowed(vertex, target):
            continue
        changed = (mesh.neighbours(vertex) | mesh.neighbours(target)) - {vertex}
        left -= mesh.move(vertex, target)
        versions[vertex] += 1
        for other in changed:
            versions[other] += 1
            offer(other)
    faces = np.array([face for face in mesh.faces if face is not None])
    kept, numbers = np.unique(faces, return_inverse=True)
    return kept, numbers.reshape(-1, 3)


def main() -> None:
    """Write the file."""
    from contrapposto.body import load_body

    body = load_body()
    weights = 1 + sum(
        (weight - 1) * body.skinning.weights[:, joint].numpy() for joint, weight in _IMPORTANT.items()
    )
    kept, faces = thin(Mesh(body.v_template.numpy(), body.faces.numpy(), np.asarray(weights)), FACES)
    with atomic_path(Path(__file__).with_name("thin.npz")) as temporary:
        np.savez_compressed(temporary, vertices=kept.astype(np.uint16), faces=faces.astype(np.uint16))
    print(f"{len(kept)} of {body.num_vertices} vertices, {len(faces)} of {len(body.faces)} faces")


if __name__ == "__main__":
    main()
