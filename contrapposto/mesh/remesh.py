"""Other connectivity for the same shape: decimated, subdivided, with holes. For data and for tests of transfer."""

from __future__ import annotations

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.mesh.asset import MeshAsset


def decimate(mesh: MeshAsset, num_faces: int) -> MeshAsset:
    """Collapse edges by quadric error until about `num_faces` are left; texture and materials are lost.

    Raises:
        MissingError: the package fast-simplification is not installed. InputError: a target that is not below.
    """
    try:
        import fast_simplification
    except ImportError as error:
        fix = "pip install fast-simplification"
        raise MissingError("Decimation needs the package fast-simplification.", fix=fix) from error
    if not 4 <= num_faces < len(mesh.faces):
        actual, expected = f"{num_faces} of {len(mesh.faces)} faces", "at least 4, fewer than there are"
        raise InputError("A mesh cannot be decimated to so many faces.", found=actual, expected=expected)
    share = 1 - num_faces / len(mesh.faces)
    vertices, faces = fast_simplification.simplify(
        mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_reduction=share
    )
    return MeshAsset(vertices, faces, name=mesh.name)


def subdivide(mesh: MeshAsset) -> MeshAsset:
    """Every face into four by the middles of its edges; the shape stays. Texture and materials are lost."""
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = len(mesh.vertices) + inverse.reshape(-1, 3)
    a, b, c = mesh.faces.T
    ab, bc, ca = middle.T
    faces = np.concatenate(
        [np.stack(face, axis=1) for face in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    return MeshAsset(
        np.concatenate([mesh.vertices, mesh.vertices[unique].mean(axis=1)]), faces, name=mesh.name
    )


def cut_holes(mesh: MeshAsset, count: int, radius: float, generator: np.random.Generator) -> MeshAsset:
    """Take out the faces within `radius` (a share of the bounding box's diagonal) of `count` random vertices.

    Vertices stay, so that a pose of the mesh is one of the cut mesh too.

    Raises:
        InputError: nothing would be left.
    """
    reach = radius * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    centres = mesh.vertices[generator.choice(mesh.faces.ravel(), count)]
    centroids = mesh.vertices[mesh.faces].mean(axis=1)
    distance = np.linalg.norm(centroids[:, None] - centres[None], axis=2).min(axis=1, initial=np.inf)
    kept = mesh.faces[distance > reach]
    if not len(kept):
        raise InputError("The holes take the whole mesh.", found=f"{count} holes of radius {radius}")
    return MeshAsset(mesh.vertices, kept, name=mesh.name)
