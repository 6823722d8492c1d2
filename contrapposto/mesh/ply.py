"""PLY files: vertices in their order, polygons, strips, colours and texture coordinates of vertices and faces.

Source: G. Turk, The PLY Polygon File Format, 1994; the names of properties are those that MeshLab, Blender, CloudCompare,
Agisoft and the Stanford scans use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import check_file, shorten
from contrapposto.errors import InputError
from contrapposto.mesh.asset import Material, MeshAsset
from contrapposto.mesh.beside import image_beside
from contrapposto.mesh.clean import MAX_FACES
from contrapposto.mesh.ply_tables import Element, Header, Table, read_tables
from contrapposto.mesh.polygons import strip_faces, triangulate

_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_COORDINATES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_INDICES = ("vertex_indices", "vertex_index")


def read_ply(path: str | Path) -> MeshAsset:
    """Read a mesh; polygons become triangles.

    Raises:
        InputError: no PLY file, a damaged one, or one without faces.
    """
    path = check_file(path, "PLY")
    data = path.read_bytes()
    try:
        header, tables = read_tables(data)
        return _mesh(path, header, tables)
    except InputError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read.", found=shorten(str(error), 120), expected="a PLY mesh"
        ) from error


def _mesh(path: Path, header: Header, tables: dict[str, Table]) -> MeshAsset:
    vertex, face = tables.get("vertex", {}), tables.get("face", {})
    vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1)
    name = next((name for name in _INDICES if name in face), None)
    if name is not None and len(face[name]):
        if sum(max(len(polygon) - 2, 0) for polygon in face[name]) > MAX_FACES:
            raise InputError(
                f"{path} has too many faces.", expected=f"at most {MAX_FACES}", fix="decimate it first"
            )
        corners, owners = triangulate(vertices, face[name])
        faces = _at(face[name], owners, corners).astype(np.int64)
    else:
        strips = tables.get("tristrips", {}).get("vertex_indices", [])
        faces = np.concatenate(
            [strip_faces(np.asarray(strip, np.int64)) for strip in strips] or [np.zeros((0, 3))]
        )
        corners = owners = np.zeros((0, 3), np.int64)
    if not len(faces):
        raise InputError(
            f"{path} has no triangles.", found=f"{len(vertices)} vertices", expected="a mesh with faces"
        )
    coordinates, texture_faces = _coordinates(vertex, face, faces, corners, owners)
    images = [image_beside(path.parent, texture) for texture in header.textures]
    materials = tuple(Material(f"texture {n}", texture=image) for n, image in enumerate(images) if image)
    paint = np.zeros(len(faces), np.int64) if materials else None
    if materials and "texnumber" in face and len(owners) and len(materials) == len(images):
        paint = np.clip(face["texnumber"][owners].astype(np.int64), -1, len(materials) - 1)
    kinds = {element.name: element for element in header.elements}
    shades = _colors(face, kinds.get("face"))
    if not materials and shades is not None and len(owners):
        paint, materials = face_paint(shades[owners])
    return MeshAsset(
        vertices,
        faces,
        coordinates,
        texture_faces,
        paint,
        materials,
        _colors(vertex, kinds.get("vertex")),
        path.stem,
    )


def _coordinates(
    vertex: Table, face: Table, faces: np.ndarray, corners: np.ndarray, owners: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(T, 2) texture coordinates and (F, 3) of the faces into them: of the corners of faces, else of vertices."""
    if "texcoord" in face and len(owners):
        pairs = face["texcoord"]
        firsts = np.concatenate([[0], np.cumsum([len(row) // 2 for row in pairs])])
        values = np.concatenate([np.asarray(row)[: len(row) // 2 * 2] for row in pairs]).reshape(-1, 2)
        if not np.isfinite(values).all() or not len(values):
            return None, None
        index = firsts[owners][:, None] + corners
        return values, np.where((index < firsts[owners + 1][:, None]).all(axis=1, keepdims=True), index, -1)
    for names in _COORDINATES:
        if set(names) <= set(vertex):
            values = np.stack([vertex[name] for name in names], axis=1)
            return (values, faces) if np.isfinite(values).all() else (None, None)
    return None, None


def _at(lists: Any, owners: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(F, 3) entries `corners` of the lists `owners`."""
    if isinstance(lists, np.ndarray):
        return np.asarray(lists[owners[:, None], corners])
    firsts = np.concatenate([[0], np.cumsum([len(row) for row in lists])])
    return np.asarray(np.concatenate(lists)[firsts[owners][:, None] + corners])


def _colors(table: Table, element: Element | None) -> np.ndarray | None:
    """(N, 4) uint8, of bytes or of numbers from 0 to 1."""
    kinds = {name: kind for name, kind, _ in element.properties} if element else {}
    for names in _COLORS:
        if set(names) <= set(table) and len(table[names[0]]):
            prefix = names[0].removesuffix("red").removesuffix("r")
            opacity = next((name for name in (f"{prefix}alpha", "alpha", "a") if name in table), None)
            shades = np.full((len(table[names[0]]), 4), 255.0)
            for column, name in enumerate((*names, *([opacity] if opacity else []))):
                shades[:, column] = table[name] * (255.0 if kinds[name].startswith("f") else 1.0)
            return np.clip(np.nan_to_num(shades), 0, 255).round().astype(np.uint8)
    return None


def face_paint(shades: np.ndarray) -> tuple[np.ndarray, tuple[Material, ...]]:
    """Colours of faces (F, 4) as materials, one for each colour."""
    table, paint = np.unique(shades, axis=0, return_inverse=True)
    linear = np.where(
        table[:, :3] <= 10, table[:, :3] / 255 / 12.92, ((table[:, :3] / 255 + 0.055) / 1.055) ** 2.4
    )
    materials = tuple(
        Material(f"color {number}", (*color.tolist(), alpha / 255))
        for number, (color, alpha) in enumerate(zip(linear, table[:, 3].tolist()))
    )
    return paint.ravel(), materials
