"""Read and write meshes by the suffix of the file name: STL through trimesh, the others here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.checks import check_file, naming, shorten
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.gltf_write import write_mesh_glb
from contrapposto.mesh.obj import read_obj, write_obj
from contrapposto.mesh.off import read_off
from contrapposto.mesh.ply import read_ply
from contrapposto.mesh.rigged import RiggedMesh

READABLE = (".obj", ".glb", ".gltf", ".vrm", ".ply", ".stl", ".off")
_FARTHEST = 1e15  # products of three coordinates still fit into single precision's range with room to spare
_HINTS = {
    ".fbx": "in Blender: File > Import > FBX, then File > Export > glTF 2.0 (.glb)",
    ".blend": "in Blender: File > Export > glTF 2.0 (.glb)",
    ".dae": "in Blender: File > Import > Collada, then File > Export > glTF 2.0 (.glb)",
    ".usdz": "in Blender: File > Import > Universal Scene Description, then File > Export > glTF 2.0 (.glb)",
}
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
        mesh = _read(path, only)
    except InputError as error:
        if str(path) in error.what:
            raise
        with naming(path):  # what was found only when the mesh was put together
            raise
    far = ~(np.abs(mesh.vertices) < _FARTHEST)
    if far.any():
        row = int(far.any(axis=1).argmax())
        raise InputError(
            f"{path} has vertices that are infinitely far away.",
            found=f"{int(far.any(axis=1).sum())}, the first is number {row + 1}: {mesh.vertices[row]}",
            expected=f"coordinates below {_FARTHEST:g}",
        )
    return mesh


def _read(path: Path, only: Sequence[str] | None) -> MeshAsset:
    suffix = path.suffix.lower()
    if suffix == ".obj":
        return read_obj(path)
    if suffix in (".glb", ".gltf", ".vrm"):
        return RiggedMesh(path, only).mesh
    if suffix == ".ply":
        return read_ply(path)
    if suffix == ".off":
        return read_off(path)
    if suffix == ".stl":
        return _read_stl(path)
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


def _read_stl(path: Path) -> MeshAsset:
    import trimesh

    data = check_file(path, "STL").read_bytes()
    try:
        loaded: Any = trimesh.load(io.BytesIO(data), file_type="stl", process=False, force="mesh")
        vertices, faces = np.asarray(loaded.vertices), np.asarray(loaded.faces)
    except Exception as error:  # trimesh meets damage with whatever breaks first
        raise InputError(
            f"{path} cannot be read.", found=shorten(str(error), 120), expected="an STL mesh"
        ) from error
    if vertices.ndim != 2 or faces.ndim != 2 or not len(faces):
        raise InputError(
            f"{path} has no triangles.", found=f"{len(vertices)} vertices", expected="a mesh with faces"
        )
    return MeshAsset(vertices, faces, name=path.stem)


def _unknown(path: Path, known: tuple[str, ...], verb: str) -> InputError:
    actual = f"suffix {path.suffix!r}" if path.suffix else "no suffix"
    hint = _HINTS.get(path.suffix.lower(), "")
    return InputError(
        f"{path} cannot be {verb} as a mesh.", found=actual, expected=", ".join(known), fix=hint
    )


def check_mesh_name(path: str | Path) -> None:
    """Refuse a file whose suffix is not that of a mesh, with the way to convert it; nothing is read.

    Raises:
        InputError: see above.
    """
    if Path(path).suffix.lower() not in READABLE:
        raise _unknown(Path(path), READABLE, "read")
