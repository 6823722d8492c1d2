"""Read and write meshes by the suffix of the file name: OBJ, GLB and glTF here, PLY, STL and OFF through trimesh."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.io.checks import check_file, naming, shorten
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.gltf_write import write_mesh_glb
from contrapposto.mesh.obj import read_obj, write_obj
from contrapposto.mesh.rigged import RiggedMesh

READABLE = (".obj", ".glb", ".gltf", ".ply", ".stl", ".off")
WRITABLE = (".obj", ".glb", ".ply", ".stl", ".off")


def read_mesh(path: str | Path, only: Sequence[str] | None = None) -> MeshAsset:
    """Read a mesh; vertices and faces keep the file's order, nothing is merged or repaired.

    Args:
        path: the file.
        only: names of parts to take (with * and ?), of glTF files.

    Raises:
        InputError: an unknown suffix, or a file that cannot be used.
    """
    path = Path(path)
    try:
        return _read(path, only)
    except InputError as error:
        if str(path) in error.what:
            raise
        with naming(path):  # what was found only when the mesh was put together
            raise


def _read(path: Path, only: Sequence[str] | None) -> MeshAsset:
    suffix = path.suffix.lower()
    if suffix == ".obj":
        return read_obj(path)
    if suffix in (".glb", ".gltf"):
        return RiggedMesh(path, only).mesh
    if suffix in READABLE:
        return _read_plain(path, suffix)
    raise _unknown(path, READABLE, "read")


def write_mesh(path: str | Path, mesh: MeshAsset) -> Path:
    """Write a mesh. PLY keeps vertex colours; STL and OFF the shape alone; texture and materials need OBJ or GLB.

    Raises:
        InputError: an unknown suffix, or a place that cannot be written to.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".obj":
        return write_obj(path, mesh)
    if suffix == ".glb":
        return write_mesh_glb(path, mesh)
    if suffix not in WRITABLE:
        raise _unknown(path, WRITABLE, "written")
    import trimesh

    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertex_colors, process=False)
    options: Any = {"digits": 9} if suffix == ".off" else {}
    data: Any = plain.export(file_type=suffix[1:], **options)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _read_plain(path: Path, suffix: str) -> MeshAsset:
    import trimesh

    data = check_file(path, suffix[1:].upper()).read_bytes()
    try:
        loaded: Any = trimesh.load(io.BytesIO(data), file_type=suffix[1:], process=False, force="mesh")
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)
        painted = loaded.visual.kind == "vertex"
        colors = np.asarray(loaded.visual.vertex_colors) if painted else None
    except Exception as error:  # trimesh meets damage with whatever breaks first
        raise InputError(
            f"{path} cannot be read.", found=shorten(str(error), 120), expected=f"a {suffix[1:].upper()} mesh"
        ) from error
    if vertices.ndim != 2 or faces.ndim != 2 or not len(faces):
        raise InputError(
            f"{path} has no triangles.", found=f"{len(vertices)} vertices", expected="a mesh with faces"
        )
    return MeshAsset(vertices, faces, vertex_colors=colors, name=path.stem)


def _unknown(path: Path, known: tuple[str, ...], verb: str) -> InputError:
    found = f"suffix {path.suffix!r}" if path.suffix else "no suffix"
    return InputError(f"{path} cannot be {verb} as a mesh.", found=found, expected=", ".join(known))
