"""A surface of the learnt density (docs/specs/anerf.md, section 10)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.devices import device_of, in_chunks
from contrapposto.errors import InputError
from contrapposto.systems.anerf.model import ANeRF


@torch.no_grad()
def density_grid(
    model: ANeRF,
    world_to_bone: Tensor,
    root: Tensor,
    *,
    resolution: int = 255,
    radius: float = 1.8,
    chunk: int = 16384,
) -> Tensor:
    """(n, n, n) raw density at n = resolution + 1 points per axis in a cube around the root, axes x, y, z.

    It is computed, and stays, where the model is.

    Args:
        model: in eval mode.
        world_to_bone: (J, 4, 4) pose.
        root: (3,) root joint.
        resolution: cells per axis.
        radius: half the cube's side, world units.
        chunk: points at once.
    """
    device = device_of(model)
    root, world_to_bone = root.to(device), world_to_bone.to(device)
    line = torch.linspace(-radius, radius, resolution + 1, device=device)
    grid = torch.zeros((len(line),) * 3, device=device)
    flat = grid.view(-1)

    def fill(chunk: int) -> None:
        for start in range(0, flat.numel(), chunk):
            index = torch.arange(start, min(start + chunk, flat.numel()), device=device)
            cell = torch.stack(torch.unravel_index(index, grid.shape), dim=-1)
            flat[index] = model.density(line[cell] + root, world_to_bone)

    in_chunks(fill, chunk, device=device, least=256)
    return grid


def surface(
    grid: Tensor,
    root: Tensor,
    *,
    radius: float = 1.8,
    threshold: float = 10.0,
    unit_cube: bool = False,
    largest: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and faces (F, 3) int64 of the density's level set, by marching cubes.

    Seen from outside, where the density is lower, corners run counterclockwise.

    Args:
        grid: (n, n, n), see `density_grid`.
        root: (3,) centre of the cube.
        radius: half the cube's side, world units.
        threshold: density of the surface.
        unit_cube: leave vertices in [-0.5, 0.5] around the root, as the original writes them.
        largest: keep the largest connected part alone.

    Raises:
        InputError: the density crosses the threshold nowhere.
    """
    import warp as wp

    field = grid.clamp_min(0).contiguous().cpu().numpy()
    if not field.min() < threshold < field.max():
        raise InputError(
            "There is no surface at this density.",
            found=f"densities from {field.min():.3g} to {field.max():.3g}",
            expected=f"some below and some above {threshold:g}",
            fix="train longer, or choose another threshold",
        )
    wp.init()
    n = field.shape[0]
    values: Any = wp.array(field, dtype=wp.float32, device="cpu")
    mesh_vertices, mesh_faces = wp.MarchingCubes.extract_surface_marching_cubes(values, threshold)
    vertices = mesh_vertices.numpy() / (n - 1) - 0.5
    faces = mesh_faces.numpy().reshape(-1, 3)[:, ::-1].astype(np.int64)
    if largest:
        vertices, faces = _largest_part(vertices, faces)
    if not unit_cube:
        vertices = vertices * (2 * radius) + root.cpu().numpy()
    return vertices.astype(np.float32), faces


@torch.no_grad()
def vertex_colours(
    model: ANeRF, vertices: np.ndarray, faces: np.ndarray, world_to_bone: Tensor, *, chunk: int = 8192
) -> np.ndarray:
    """(V, 3) uint8 colours of a surface, each vertex seen from straight outside.

    Args:
        model: in eval mode.
        vertices: (V, 3) world.
        faces: (F, 3), see `surface`.
        world_to_bone: (J, 4, 4) pose.
        chunk: vertices at once.
    """
    world_to_bone = world_to_bone.to(device_of(model))
    points = torch.from_numpy(vertices).to(world_to_bone)
    corners = points[torch.from_numpy(faces).to(points.device)]
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1)
    normals = torch.zeros_like(points)
    for corner in range(3):
        normals.index_add_(0, torch.from_numpy(faces[:, corner]).to(points.device), across)
    inwards = -torch.nn.functional.normalize(normals, dim=-1)
    result = []
    for place, direction in zip(points.split(chunk), inwards.split(chunk)):
        codes = None
        if model.config.num_codes:
            codes = torch.full((len(place),), -1, dtype=torch.int64, device=place.device)
        result.append(model.colours(place, direction, world_to_bone, code_index=codes))
    return (torch.cat(result).clamp(0, 1) * 255).round().byte().cpu().numpy()


def _largest_part(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(vertices), len(vertices)))
    _, part = connected_components(links, directed=False)
    biggest = np.bincount(part[faces[:, 0]]).argmax()
    kept = part == biggest
    number = np.cumsum(kept) - 1
    return vertices[kept], number[faces[part[faces[:, 0]] == biggest]]
