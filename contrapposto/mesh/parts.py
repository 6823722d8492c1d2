"""Where disconnected parts go: each follows the part it touches (docs/specs/npr.md, section 5, "Do better").

A Poisson solve gives each connected part its shape and leaves its place open. The parts are hung on the largest one in a
tree of nearest neighbours; a part is moved such that the places where it (nearly) touches its parent keep their offset,
carried by the mean Jacobian of the parent's faces there.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree
from torch import Tensor

from contrapposto.mesh.operators import completed_jacobians, doubled_areas, face_centroids, face_normals
from contrapposto.mesh.poisson import PoissonSolver

_CONTACTS = 24
_CANDIDATES = 16
_SAMPLES = 8


class PartPlacement:
    """Puts the parts of a solved template together.

    Args:
        solver: of the template.

    Attributes:
        parents: (C,) int64 the part that each one hangs on; -1 for the main one, the largest by area.
        order: (C,) int64 parts, parents first.
    """

    def __init__(self, solver: PoissonSolver) -> None:
        self.solver = solver
        vertices, faces = solver.vertices.numpy(), solver.faces.numpy()
        component = solver.component.numpy()
        self.face_part = component[faces[:, 0]]
        areas = np.bincount(self.face_part, doubled_areas(vertices, faces), solver.num_components)
        main = int(areas.argmax())
        self.order, self.parents = _tree(vertices, component, main)
        self.children = self.order[1:]
        if len(self.children):
            self._find_contacts(vertices, faces, component)

    def _find_contacts(self, vertices: np.ndarray, faces: np.ndarray, component: np.ndarray) -> None:
        centroids = vertices[faces].mean(axis=1)
        by_part = _groups(self.face_part, self.solver.num_components)
        own = _groups(component, self.solver.num_components)
        trees: dict[int, cKDTree] = {}
        contacts, touching = [], []
        for child in self.children:
            parent = int(self.parents[child])
            if parent not in trees:
                trees[parent] = cKDTree(centroids[by_part[parent]])
            distance, matches = trees[parent].query(vertices[own[child]])
            nearest = np.resize(np.argsort(distance, kind="stable")[:_CONTACTS], _CONTACTS)
            contacts.append(by_part[parent][matches[nearest]])
            touching.append(own[child][nearest])
        self.contacts = torch.from_numpy(np.stack(contacts))  # faces of the parent
        self.touching = torch.from_numpy(np.stack(touching))  # vertices of the child
        template = self.solver.vertices
        rest = face_centroids(template, self.solver.faces)[self.contacts].mean(1)
        self.offsets = template[self.touching].mean(1) - rest

    def place(self, vertices: Tensor) -> Tensor:
        """(B, V, 3) solved, parts anywhere, to (B, V, 3) with parts placed; the main one stays. Differentiable."""
        if not len(self.children):
            return vertices
        device = vertices.device
        faces = self.solver.faces.to(device)[self.contacts.to(device)]  # C, K, corner
        corners = vertices[:, faces]
        gradients = self.solver.gradients.to(vertices)[self.contacts.to(device)]
        tangent = corners.transpose(-1, -2) @ gradients
        local = torch.arange(faces[..., 0].numel(), device=device)[:, None] * 3 + torch.arange(
            3, device=device
        )
        posed_normals = face_normals(corners.flatten(1, 3), local).view(*tangent.shape[:3], 3)
        rest = self.solver.vertices.to(vertices)
        rest_normals = face_normals(rest, faces.flatten(0, 1)).view(*faces.shape[:2], 3)
        carried = (
            completed_jacobians(tangent, rest_normals, posed_normals).mean(2)
            @ self.offsets.to(vertices)[..., None]
        )
        wanted = corners.mean((2, 3)) + carried[..., 0]
        shift = wanted - vertices[:, self.touching.to(device)].mean(2)  # relative to the parent's own shift
        return vertices + self._accumulate(shift)[:, self.solver.component.to(device)]

    def _accumulate(self, shift: Tensor) -> Tensor:
        """(B, C - 1, 3) shifts against the parent, in the order of `children`, to (B, C, 3)."""
        total: list[Tensor] = [shift.new_zeros(len(shift), 3)] * self.solver.num_components
        for number, child in enumerate(self.children):
            total[child] = total[self.parents[child]] + shift[:, number]
        return torch.stack(total, dim=1)


def _groups(labels: np.ndarray, count: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, count)))


def _tree(vertices: np.ndarray, component: np.ndarray, root: int) -> tuple[np.ndarray, np.ndarray]:
    """Parts in breadth-first order from the root, and the parent of each: a tree of short distances."""
    count = int(component.max()) + 1
    parents = np.full(count, -1)
    if count == 1:
        return np.zeros(1, np.int64), parents
    edges = [_links(vertices, component, component, _CANDIDATES)]
    while True:
        first, second, distance = (np.concatenate(parts) for parts in zip(*edges))
        # Parts that touch have distance 0, which a sparse graph takes for no link.
        graph = _shortest(first, second, distance + 1e-9 * (1 + distance.max(initial=0)), count)
        tree = minimum_spanning_tree(graph)
        order, before = breadth_first_order(tree, root, directed=False)
        if len(order) == count:
            parents[order[1:]] = before[order[1:]]
            return order.astype(np.int64), parents
        forest = connected_components(tree, directed=False)[1]
        few = np.concatenate([_spread(group) for group in _groups(forest[component], int(forest.max()) + 1)])
        edges.append(_links(vertices[few], component[few], forest[component[few]], _SAMPLES + 1))


def _links(
    vertices: np.ndarray, component: np.ndarray, group: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of parts of different groups with near vertices: lower and higher number, and distance."""
    distance, index = cKDTree(vertices).query(vertices, k=min(count, len(vertices)))
    other = group[index] != group[:, None]
    first = np.broadcast_to(component[:, None], index.shape)[other]
    second = component[index][other]
    return np.minimum(first, second), np.maximum(first, second), distance[other]


def _shortest(first: np.ndarray, second: np.ndarray, distance: np.ndarray, count: int) -> coo_matrix:
    """A graph with the shortest link of each pair of parts (a sparse matrix would add them up)."""
    order = np.argsort(distance, kind="stable")
    chosen = order[np.unique(first[order] * count + second[order], return_index=True)[1]]
    return coo_matrix((distance[chosen], (first[chosen], second[chosen])), (count, count))


def _spread(group: np.ndarray) -> np.ndarray:
    """A few members of a group, evenly spread over their numbers."""
    return group[np.linspace(0, len(group) - 1, min(_SAMPLES, len(group))).astype(int)]
