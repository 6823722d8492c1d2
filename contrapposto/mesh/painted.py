"""An image of the user's own as the texture of a figure."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from contrapposto.body.texture_layout import texture_layout
from contrapposto.checks import check_file
from contrapposto.errors import InputError
from contrapposto.mesh.asset import Material, MeshAsset
from contrapposto.mesh.obj import read_obj

MAKEHUMAN = "makehuman"
_MARGIN = 0.02  # of a half of the image, so that both sides stay apart where the texture is filtered


def painted(mesh: MeshAsset, image: str | Path, layout: str | Path | None = None) -> MeshAsset:
    """The mesh with an image as its texture.

    Args:
        mesh: a figure at rest: y up, facing +z.
        image: PNG or JPEG.
        layout: an OBJ with texture coordinates, whose faces join the same vertices as the mesh's, in any order (for SMPL
            its `smpl_uv.obj`); None: the left half of the image is seen from the front, the right half from behind,
            and the figure fills the height of both. `makehuman`: the layout of MakeHuman's skins, for the shipped body.

    Raises:
        InputError: the image or the layout cannot be used.
        MissingError: one of them does not exist.
    """
    if layout is None:
        coordinates, faces = _front_and_back(mesh)
    elif str(layout) == MAKEHUMAN:
        coordinates, faces = _of_makehuman(mesh)
    else:
        coordinates, faces = _of_layout(mesh, Path(layout))
    material = Material("painted", texture=_image(Path(image)), settings={"doubleSided": True})
    return replace(
        mesh,
        texture_coordinates=coordinates,
        texture_faces=faces,
        materials=(material,),
        face_materials=np.zeros(len(mesh.faces), np.int64),
        vertex_colors=None,
    )


def _image(path: Path) -> bytes:
    from PIL import Image

    data = check_file(path, "image").read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            opened.verify()
    except Exception as error:  # Pillow meets damage with whatever breaks first
        raise InputError(
            f"{path} cannot be used as a texture.", found=type(error).__name__, expected="a PNG or JPEG image"
        ) from None
    return data


def _front_and_back(mesh: MeshAsset) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (2 V, 2) of every vertex seen from both sides, and which of them each face has."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    across = (mesh.vertices[:, 0] - low[0]) / max(high[0] - low[0], 1e-9)
    up = (mesh.vertices[:, 1] - low[1]) / max(high[1] - low[1], 1e-9)
    across, up = (_MARGIN + (1 - 2 * _MARGIN) * values for values in (across, up))
    # Seen from the front, +x is on the right of the image: the figure's left, as on a photograph.
    coordinates = np.concatenate([np.stack([across / 2, up], axis=1), np.stack([1 - across / 2, up], axis=1)])
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    behind = normals[:, 2:] < 0
    return coordinates, mesh.faces + np.where(behind, len(mesh.vertices), 0)


def _of_makehuman(mesh: MeshAsset) -> tuple[np.ndarray, np.ndarray]:
    coordinates, faces = texture_layout()
    if len(faces) != len(mesh.faces):
        raise InputError(
            "MakeHuman's layout belongs to the shipped body only.",
            found=f"a figure of {len(mesh.faces)} faces",
            expected=f"{len(faces)} faces",
            fix="give the layout of this figure as an OBJ",
        )
    return coordinates, faces


def _of_layout(mesh: MeshAsset, path: Path) -> tuple[np.ndarray, np.ndarray]:
    layout = read_obj(path)
    if layout.texture_coordinates is None or layout.texture_faces is None:
        raise InputError(f"{path} has no texture coordinates.", expected="an OBJ with vt lines")
    order = np.argsort(layout.faces, axis=1)
    known = {
        tuple(corners): texture
        for corners, texture in zip(
            np.take_along_axis(layout.faces, order, 1).tolist(),
            np.take_along_axis(layout.texture_faces, order, 1).tolist(),
        )
    }
    order = np.argsort(mesh.faces, axis=1)
    rows = [known.get(tuple(corners)) for corners in np.take_along_axis(mesh.faces, order, 1).tolist()]
    missing = sum(row is None for row in rows)
    if missing:
        raise InputError(
            f"{path} does not belong to the figure that is written.",
            found=f"{missing} of the figure's {len(rows)} faces are not in it",
            expected="an OBJ of the same vertices",
            fix="for SMPL's layout put the official body into body_models/ and add task.gender=male",
        )
    faces = np.empty_like(mesh.faces)
    np.put_along_axis(faces, order, np.array(rows), axis=1)
    return layout.texture_coordinates, faces
