"""Write meshes as GLB: one pose, or a sequence as morph targets that play in any viewer, with texture and materials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.colors import linear_of_srgb
from contrapposto.mesh.gltf_document import Document, vertex_normals

_VERTEX_DATA, _INDEX_DATA = 34962, 34963
_MOST_FRAMES = 2000
_MOST_VALUES = 2**28


def write_mesh_glb(
    path: str | Path, mesh: MeshAsset, frames: np.ndarray | None = None, fps: float = 30.0, credit: str = ""
) -> Path:
    """Write a mesh, still or animated.

    The first V vertices are those of the mesh in their order; vertices at texture seams follow once more, and the
    attribute `_SOURCE` states which they are, so that reading gives the same mesh back. Axes are written as they are:
    glTF wants y up.

    Args:
        path: the .glb file.
        mesh: of the file; also its still pose.
        frames: (T, V, 3) poses to play; None: a still mesh.
        fps: frames per second.
        credit: goes into the file's copyright entry: licences travel with what is made of data.

    Raises:
        InputError: frames of another shape or too many for a file, or a place that cannot be written to.
    """
    document = Document()
    sources, faces, coordinates = split_seams(mesh)
    moves = None if frames is None else _checked_frames(mesh, np.asarray(frames), len(sources))
    attributes = _attributes(document, mesh, sources, coordinates)
    targets = [] if moves is None else _targets(document, mesh, moves, sources)
    primitives = []
    for material, chosen in _by_material(mesh):
        primitive: dict[str, Any] = {"attributes": attributes}
        index = faces[chosen].astype(np.uint16 if len(sources) < 65535 else np.uint32)
        primitive["indices"] = document.array(index.ravel(), _INDEX_DATA)
        if material >= 0:
            primitive["material"] = _material(document, mesh, material)
        if targets:
            primitive["targets"] = targets
        primitives.append(primitive)
    document.meshes.append({"name": mesh.name, "primitives": primitives})
    document.nodes.append({"name": mesh.name, "mesh": 0})
    document.roots.append(0)
    if targets:
        document.meshes[0]["weights"] = [0.0] * len(targets)
        times = document.array((np.arange(len(targets)) / fps).astype(np.float32), bounds=True)
        document.track(0, "weights", times, np.eye(len(targets), dtype=np.float32).ravel())
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(document.encode(credit))
    return path


def most_frames(mesh: MeshAsset) -> int:
    """How many poses of a mesh fit into one file."""
    return max(1, min(_MOST_FRAMES, _MOST_VALUES // (6 * len(split_seams(mesh)[0]))))


def split_seams(mesh: MeshAsset) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """glTF has one texture coordinate per vertex: (N,) the vertex that each written one is, faces, coordinates."""
    count = len(mesh.vertices)
    if mesh.texture_faces is None or mesh.texture_coordinates is None:
        return np.arange(count), mesh.faces, None
    pairs = np.stack([mesh.faces.ravel(), mesh.texture_faces.ravel()], axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    first = np.concatenate([[True], np.diff(unique[:, 0]) > 0])
    place = np.empty(len(unique), np.int64)
    place[first] = unique[first, 0]
    place[~first] = count + np.arange(int((~first).sum()))
    sources = np.concatenate([np.arange(count), unique[~first, 0]])
    coordinates = np.zeros((len(sources), 2))
    textured = unique[:, 1] >= 0
    coordinates[place[textured]] = mesh.texture_coordinates[unique[textured, 1]]
    return sources, place[inverse.ravel()].reshape(-1, 3), coordinates


def _checked_frames(mesh: MeshAsset, frames: np.ndarray, count: int) -> np.ndarray:
    if frames.ndim != 3 or frames.shape[1:] != mesh.vertices.shape or not len(frames):
        actual, expected = str(frames.shape), f"(T, {len(mesh.vertices)}, 3)"
        raise InputError("The frames do not belong to the mesh.", found=actual, expected=expected)
    if not np.isfinite(frames).all():
        raise InputError("The frames have values that are not finite.")
    if len(frames) > _MOST_FRAMES or len(frames) * count * 6 > _MOST_VALUES:
        raise InputError(
            "The sequence is too long for one GLB file.",
            found=f"{len(frames)} frames of {count} vertices",
            expected=f"at most {min(_MOST_FRAMES, _MOST_VALUES // (6 * count))} frames of this mesh",
            fix="write fewer frames per second, or a series of OBJ files",
        )
    return frames


def _attributes(
    document: Document, mesh: MeshAsset, sources: np.ndarray, coordinates: np.ndarray | None
) -> dict[str, int]:
    vertices = mesh.vertices.astype(np.float32)
    attributes = {
        "POSITION": document.array(vertices[sources], _VERTEX_DATA, bounds=True),
        "NORMAL": document.array(vertex_normals(vertices, mesh.faces)[sources], _VERTEX_DATA),
    }
    if coordinates is not None:
        flipped = (coordinates * [1.0, -1.0] + [0.0, 1.0]).astype(np.float32)
        attributes["TEXCOORD_0"] = document.array(flipped, _VERTEX_DATA)
    if len(sources) > len(vertices):
        attributes["_SOURCE"] = document.array(sources.astype(np.float32), _VERTEX_DATA)
    if mesh.vertex_colors is not None:
        colors = mesh.vertex_colors[sources] / 255
        colors[:, :3] = linear_of_srgb(colors[:, :3])
        attributes["COLOR_0"] = document.array(colors.astype(np.float32), _VERTEX_DATA)
    return attributes


def _targets(
    document: Document, mesh: MeshAsset, frames: np.ndarray, sources: np.ndarray
) -> list[dict[str, int]]:
    rest = mesh.vertices.astype(np.float32)
    rest_normals = vertex_normals(rest, mesh.faces)
    targets = []
    for frame in frames.astype(np.float32):
        normals = vertex_normals(frame, mesh.faces)
        positions = document.array((frame - rest)[sources], _VERTEX_DATA, bounds=True)
        targets.append(
            {"POSITION": positions, "NORMAL": document.array((normals - rest_normals)[sources], _VERTEX_DATA)}
        )
    return targets


def _by_material(mesh: MeshAsset) -> list[tuple[int, np.ndarray]]:
    if mesh.face_materials is None:
        return [(-1, np.arange(len(mesh.faces)))]
    return [
        (int(number), np.flatnonzero(mesh.face_materials == number))
        for number in np.unique(mesh.face_materials)
    ]


def _material(document: Document, mesh: MeshAsset, number: int) -> int:
    material = mesh.materials[number]
    settings = {key: _with_textures(document, value) for key, value in material.settings.items()}
    document.extensions |= set(settings.get("extensions") or {})
    stated = settings.pop("surface", None)
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.8}
    surface |= stated if isinstance(stated, dict) else {}
    surface["baseColorFactor"] = list(material.color)
    if material.texture is not None:
        surface["baseColorTexture"] = {"index": document.image(material.texture)}
    document.materials.append({"name": material.name, "pbrMetallicRoughness": surface, **settings})
    return len(document.materials) - 1


def _with_textures(document: Document, value: Any) -> Any:
    """A part of a material with numbers in place of encoded images; the extensions that it names are declared."""
    if isinstance(value, list):
        return [_with_textures(document, inner) for inner in value]
    if not isinstance(value, dict):
        return value
    document.extensions |= set(value.get("extensions") or {})
    if isinstance(value.get("index"), bytes):
        return {**value, "index": document.image(value["index"])}
    return {key: _with_textures(document, inner) for key, inner in value.items()}
