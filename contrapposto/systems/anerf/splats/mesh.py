"""A splat avatar as a skinned mesh with colours, and as a file of Gaussians."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import BodyModel, load_body
from contrapposto.files import atomic_path
from contrapposto.systems.anerf.skinning import as_body
from contrapposto.systems.anerf.splats.model import SplatAvatar

_NEAREST = 8
_DC = 0.5 / math.sqrt(math.pi)
"""Zeroth spherical harmonic, by which files of Gaussians store colours."""


@torch.no_grad()
def skinned_mesh(avatar: SplatAvatar, metres_per_unit: float) -> tuple[BodyModel, np.ndarray]:
    """The shipped body's surface with the offsets and colours of the Gaussians near it.

    Args:
        avatar: trained.
        metres_per_unit: length of a world unit.

    Returns:
        A body of the suite (metres, y up, 24 joints), and (V, 3) uint8 colours of its vertices in even light.
    """
    from scipy.spatial import cKDTree

    body = load_body("smpl")
    rest = body.rest_joints()[0].double().numpy()
    own = avatar.rest.double().numpy()
    scale = float(np.ptp(own[:, 1]) / np.ptp(rest[:, 1]))
    vertices = (body.rest_vertices()[0].double().numpy() - rest[0]) * scale
    vertices, faces, weights = _subdivided(
        vertices, body.faces.numpy(), body.skinning.weights.double().numpy()
    )
    places = avatar.position.double().numpy()
    distance, index = cKDTree(places).query(vertices, k=_NEAREST)
    facing = np.einsum("vkd,vd->vk", avatar.frame.numpy()[index, :, 2], _normals(vertices, faces))
    opacity = torch.sigmoid(avatar.opacity).numpy()[index]
    share = opacity * np.exp(-0.5 * (distance / float(avatar.spacing)) ** 2) * (facing > 0) + 1e-6 / (
        distance + 1e-3
    )
    share /= share.sum(1, keepdims=True)
    vertices = vertices + (share[..., None] * avatar.offset.numpy()[index]).sum(1)
    colours = (share[..., None] * even_colours(avatar)[index]).sum(1)
    vertices = vertices + weights @ (avatar.figure.double().numpy() - own)
    shown = (colours.clip(0, 1) * 255).round().astype(np.uint8)
    return as_body(vertices, faces, weights, avatar.figure.numpy(), metres_per_unit), shown


@torch.no_grad()
def even_colours(avatar: SplatAvatar) -> np.ndarray:
    """(N, 3) colours of the Gaussians under the mean of the light over all directions."""
    return (torch.sigmoid(avatar.colour) * avatar.light[0]).double().numpy()


@torch.no_grad()
def write_ply(path: str | Path, avatar: SplatAvatar, metres_per_unit: float) -> Path:
    """The Gaussians at rest, metres, y up, in the layout that viewers of splats read.

    Properties: x, y, z, nx, ny, nz, f_dc_0..2, opacity (logit), scale_0..2 (logarithms), rot_0..3 (w, x, y, z); and
    for the skinning joint_0..3 and weight_0..3, which viewers ignore.
    """
    turn = avatar.frame.double() @ rot.quaternion_to_matrix(
        torch.nn.functional.normalize(avatar.rotation.double(), dim=1)
    )
    columns = {
        "xyz": (avatar.position + avatar.offset).double() * metres_per_unit,
        "n": turn[:, :, 2],
        "f_dc_": torch.from_numpy((even_colours(avatar) - 0.5) / _DC),
        "opacity": avatar.opacity[:, None],
        "scale_": avatar.log_scale + math.log(metres_per_unit),
        "rot_": rot.matrix_to_quaternion(turn),
        "joint_": avatar.joint,
        "weight_": avatar.weight,
    }
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), "opacity"]
    names += [
        f"{name}_{i}"
        for name, count in (("scale", 3), ("rot", 4), ("joint", 4), ("weight", 4))
        for i in range(count)
    ]
    values = torch.cat([part.double() for part in columns.values()], dim=1).numpy().astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(values)}"]
    header += [f"property float {name}" for name in names]
    with atomic_path(path) as temporary:
        temporary.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode() + values.tobytes())
    return Path(path)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    result = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(result, faces[:, corner], normal)
    return result / (np.linalg.norm(result, axis=1, keepdims=True) + 1e-12)


def _subdivided(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every triangle in four, so that colours of vertices show what a texture would."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, back = np.unique(edges, axis=0, return_inverse=True)
    first, second, third = len(vertices) + back.reshape(3, -1)
    a, b, c = faces.T
    parts = [(a, first, third), (b, second, first), (c, third, second), (first, second, third)]
    split = np.concatenate([np.stack(part, axis=1) for part in parts])
    middle = vertices[unique].mean(1), weights[unique].mean(1)
    return np.concatenate([vertices, middle[0]]), split, np.concatenate([weights, middle[1]])
