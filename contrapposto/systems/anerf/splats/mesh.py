"""A splat avatar as a skinned mesh with a texture, and as a file of Gaussians."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import BodyModel, load_body
from contrapposto.body.texture_layout import texture_layout
from contrapposto.files import atomic_path
from contrapposto.mesh.asset import Material, MeshAsset
from contrapposto.mesh.gltf_document import vertex_normals
from contrapposto.mesh.texels import paint, texels
from contrapposto.systems.anerf.skinning import as_body
from contrapposto.systems.anerf.splats.model import SplatAvatar

_NEAREST = 12
_LEAST_WIDTH = 0.3  # of the spacing: thinner Gaussians would leave gaps
_TEXTURE_SIZE = 1024  # pixels: about 2 mm of an adult's skin each, a sixth of the spacing of 10,000 Gaussians
_SMOOTHINGS = 20
_CHUNK = 100_000
_DC = 0.5 / math.sqrt(math.pi)
"""Zeroth spherical harmonic, by which files of Gaussians store colours."""


@torch.no_grad()
def skinned_mesh(avatar: SplatAvatar, metres_per_unit: float) -> tuple[BodyModel, MeshAsset]:
    """The shipped body's surface with the offsets of the Gaussians near it, and with their colours as a texture.

    Args:
        avatar: trained.
        metres_per_unit: length of a world unit.

    Returns:
        A body of the suite (metres, y up, 24 joints), and its surface with a texture in even light.
    """
    body = load_body("smpl")
    rest = body.rest_joints()[0].double().numpy()
    own = avatar.rest.double().numpy()
    scale = float(np.ptp(own[:, 1]) / np.ptp(rest[:, 1]))
    vertices = (body.rest_vertices()[0].double().numpy() - rest[0]) * scale
    faces, weights = body.faces.numpy(), body.skinning.weights.double().numpy()
    splats = _Splats(avatar)
    normals = vertex_normals(vertices, faces)
    vertices = vertices + _smoothed(splats.offsets(vertices), faces)
    texture = _texture(splats, vertices, normals, faces)
    vertices = vertices + weights @ (avatar.figure.double().numpy() - own)
    result = as_body(vertices, faces, weights, avatar.figure.numpy(), metres_per_unit)
    coordinates, texture_faces = texture_layout()
    surface = MeshAsset(
        result.rest_vertices()[0].numpy(),
        faces,
        coordinates,
        texture_faces,
        np.zeros(len(faces), np.int64),
        (Material("avatar", texture=texture),),
        name="avatar",
    )
    return result, surface


class _Splats:
    """What the Gaussians near a place of the body are on average."""

    def __init__(self, avatar: SplatAvatar) -> None:
        from scipy.spatial import cKDTree

        self.axes = _axes(avatar).numpy()
        self.spacing = float(avatar.spacing)
        self.widths = np.maximum(avatar.log_scale.double().exp().numpy(), _LEAST_WIDTH * self.spacing)
        self.opacity = torch.sigmoid(avatar.opacity).double().numpy()
        self.position, self.offset = avatar.position.double().numpy(), avatar.offset.double().numpy()
        self.normal, self.colour = avatar.frame.double().numpy()[:, :, 2], even_colours(avatar)
        self.places, self.centres = cKDTree(self.position), cKDTree(self.position + self.offset)

    def offsets(self, places: np.ndarray) -> np.ndarray:
        """(P, 3) of the Gaussians around places (P, 3) of the body, on both sides of lips and ears alike."""
        distance, index = self.places.query(places, k=_NEAREST)
        share = self._shares(np.exp(-0.5 * (distance / self.spacing) ** 2), distance, index)
        return (share[..., None] * self.offset[index]).sum(1)

    def colours(self, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """(P, 3) at places (P, 3) of the surface that the offsets have moved: Gaussians count by their own extents."""
        distance, index = self.centres.query(places, k=_NEAREST)
        ways = places[:, None] - self.centres.data[index]
        along = np.einsum("pkd,pkde->pke", ways, self.axes[index]) / self.widths[index]
        facing = np.einsum("pkd,pd->pk", self.normal[index], normals) > 0
        share = self._shares(np.exp(-0.5 * (along**2).sum(-1)) * facing, distance, index)
        return (share[..., None] * self.colour[index]).sum(1)

    def _shares(self, near: np.ndarray, distance: np.ndarray, index: np.ndarray) -> np.ndarray:
        share = self.opacity[index] * near + 1e-6 / (distance / self.spacing + 1e-3)
        return share / share.sum(1, keepdims=True)


def _axes(avatar: SplatAvatar) -> torch.Tensor:
    """(N, 3, 3) float64 axes of the Gaussians at rest, as columns."""
    turn = torch.nn.functional.normalize(avatar.rotation.double(), dim=1)
    return avatar.frame.double() @ rot.quaternion_to_matrix(turn)


def _smoothed(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) means over neighbours, again and again: in folds (lips, eyelids) nearby Gaussians belong to both sides."""
    from scipy.sparse import coo_matrix, diags

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    ones = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(values), len(values))).tocsr()
    mean = diags(1 / ones.sum(1).A1) @ ones
    for _ in range(_SMOOTHINGS):
        values = 0.5 * (values + mean @ values)
    return values


def _texture(splats: _Splats, vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray) -> bytes:
    """A PNG in the layout of the shipped body."""
    from PIL import Image

    pixels, owner, shares = texels(*texture_layout(), _TEXTURE_SIZE)
    colours = np.empty((len(pixels), 3))
    for start in range(0, len(pixels), _CHUNK):
        part = slice(start, start + _CHUNK)
        corners = faces[owner[part]]
        place, normal = (
            np.einsum("pc,pcd->pd", shares[part], field[corners]) for field in (vertices, normals)
        )
        colours[part] = splats.colours(place, normal)
    data = io.BytesIO()
    shown = (colours.clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(paint(shown, pixels, _TEXTURE_SIZE)).save(data, "PNG")
    return data.getvalue()


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
    turn = _axes(avatar)
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
