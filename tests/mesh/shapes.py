"""Small meshes for tests."""

from __future__ import annotations

import numpy as np
import trimesh

from contrapposto.mesh.asset import MeshAsset


def sphere(subdivisions: int = 2, *, centre=(0.0, 0.0, 0.0), radius: float = 1.0) -> MeshAsset:
    created = trimesh.creation.icosphere(subdivisions, radius)
    return MeshAsset(np.asarray(created.vertices) + centre, np.asarray(created.faces))


def grid(side: int = 5) -> MeshAsset:
    """An open, bumpy sheet."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    vertices = np.stack([x, y, 0.2 * np.sin(3 * x) * np.cos(2 * y)], axis=-1).reshape(-1, 3)
    cell = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    first = np.stack([cell, cell + side, cell + 1], axis=1)
    second = np.stack([cell + 1, cell + side, cell + side + 1], axis=1)
    return MeshAsset(vertices, np.concatenate([first, second]))


def together(*parts: MeshAsset) -> MeshAsset:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts)]
    return MeshAsset(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))


def rotation(seed: int = 0) -> np.ndarray:
    matrix = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    return matrix * np.sign(np.linalg.det(matrix))


def bent(vertices: np.ndarray, amount: float) -> np.ndarray:
    """Bend around the y axis, more the higher x is."""
    angle = amount * vertices[:, 0]
    x, y, z = vertices.T
    return np.stack([x * np.cos(angle) - z * np.sin(angle), y, x * np.sin(angle) + z * np.cos(angle)], axis=1)
