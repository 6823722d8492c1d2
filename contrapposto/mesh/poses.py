"""Poses of a mesh as people have them: a folder of files, one file, an animated glTF, an .anime file, an archive."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrapposto.checks import check_file, naming
from contrapposto.errors import InputError, nearest
from contrapposto.mesh.anime import read_anime
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.files import READABLE, read_mesh
from contrapposto.mesh.rigged import RiggedMesh

MAX_UNPACKED = 4 * 2**30
"""Bytes that an archive may hold; one that holds more, or states less than it holds, is refused."""

_MOST_FILES = 20_000
_MOST_RATIO = 1000  # no mesh or image packs better; archives made to fill disks do
_TEMPLATES = ("template", "rest", "tpose", "t-pose", "neutral")


@dataclass(frozen=True, eq=False)
class MeshPoses:
    """A template and poses of it.

    Args:
        mesh: the template.
        vertices: (T, V, 3) float64, in the template's vertex order and units.
        names: of the poses.
        fps: frames per second of a sequence; None: poses without an order in time.
    """

    mesh: MeshAsset
    vertices: np.ndarray
    names: tuple[str, ...]
    fps: float | None = None


def read_poses(
    path: str | Path,
    *,
    template: str | Path | MeshAsset | None = None,
    clip: str | None = None,
    fps: float = 30.0,
    only: Sequence[str] | None = None,
) -> MeshPoses:
    """Read poses.

    Args:
        path: a folder of meshes or a zip archive of one; a mesh; a .glb or .gltf with clips; an .anime file.
        template: the mesh that the poses are of, where the input does not say it: a folder states it by a file called
            `template` (or `rest`, `neutral`), an animated file by its nodes, an .anime file by its first frame.
        clip: of an animated file; its first where absent.
        fps: at which a clip is sampled.
        only: names of parts to take, of glTF files.

    Raises:
        InputError: nothing to read, no template, or a pose with other vertices or faces than the template.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"There is no file or folder {path}.")
    if path.is_dir():
        return _folder(path, template, only)
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with tempfile.TemporaryDirectory() as folder, naming(path):
            return _folder(unpack(path, Path(folder)), template, only)
    if suffix == ".anime":
        mesh, frames = read_anime(path)
        return MeshPoses(mesh, frames, _numbered(len(frames)), fps)
    if suffix in (".glb", ".gltf", ".vrm"):
        rigged = RiggedMesh(path, only)
        if rigged.clips and template is None:
            return _clip(rigged, path, clip, fps)
    return _stills([path], _template(template, path, only), only)


def read_files(files: Sequence[Path], template: Path) -> MeshPoses:
    """Poses of a template out of one file each, in the order given.

    Raises:
        InputError: a file has other vertices or faces than the template.
    """
    return _stills(files, read_mesh(template), None)


def unpack(path: Path, folder: Path) -> Path:
    """Unpack a zip archive into an empty folder, or nothing of it.

    Raises:
        InputError: damaged, encrypted, too large, packed beyond what meshes can be, or names that lead outside.
    """
    try:
        with zipfile.ZipFile(check_file(path, "zip")) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check_archive(entries)
            left = MAX_UNPACKED
            for entry in entries:
                target = folder / entry.filename
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise InputError(
                        "A name in the archive leads out of it.", found=repr(entry.filename[:80])
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as sink:
                    left -= _copy(source, sink, min(left, entry.file_size))
    except InputError:
        raise
    except Exception as error:  # zipfile and zlib meet damage with whatever breaks first
        raise InputError(
            "The archive cannot be unpacked.", found=str(error)[:120], expected="a zip"
        ) from error
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _check_archive(entries: list[zipfile.ZipInfo]) -> None:
    size, packed = (sum(getattr(e, key) for e in entries) for key in ("file_size", "compress_size"))
    if len(entries) > _MOST_FILES or size > MAX_UNPACKED or size > _MOST_RATIO * max(packed, 1):
        raise InputError(
            "The archive is refused.",
            found=f"{len(entries)} files, {size} bytes out of {packed}",
            expected=f"at most {_MOST_FILES} files, {MAX_UNPACKED} bytes, {_MOST_RATIO} times what is packed",
            fix="unpack it yourself and name the folder",
        )


def _copy(source: object, sink: object, limit: int) -> int:
    """Copy at most `limit` bytes; more are an error, whatever the archive's list states."""
    done = 0
    while block := source.read(2**20):  # type: ignore[attr-defined]
        done += len(block)
        if done > limit:
            raise InputError("The archive holds more than it states.", expected=f"at most {limit} bytes")
        sink.write(block)  # type: ignore[attr-defined]
    return done


def _clip(rigged: RiggedMesh, path: Path, clip: str | None, fps: float) -> MeshPoses:
    names = list(rigged.clips)
    chosen = names[0] if clip is None else clip
    if chosen not in rigged.clips:
        raise InputError(
            f"{path} has no clip {chosen!r}.",
            found=", ".join(names),
            fix=f"did you mean {nearest(chosen, names)}?",
        )
    times = rigged.key_times(chosen)
    if times is not None:  # a sequence of meshes: every one of its own frames
        frames, fps = rigged.pose(chosen, times), (len(times) - 1) / (times[-1] - times[0])
    else:
        frames = rigged.frames(chosen, fps)
    return MeshPoses(rigged.mesh, frames, _numbered(len(frames)), fps)


def _folder(folder: Path, template: str | Path | MeshAsset | None, only: Sequence[str] | None) -> MeshPoses:
    files = [file for file in folder.rglob("*") if file.suffix.lower() in READABLE and file.is_file()]
    if not files:
        raise InputError(f"There are no meshes in {folder}.", expected=", ".join(READABLE))
    rest = None
    if template is None:
        text = [file for file in files if _called(file, folder).lower() in _TEMPLATES]
        if not text:
            raise InputError(
                f"Which mesh in {folder} is the template?",
                found=f"{len(files)} meshes, {files[0].name} and others",
                expected=f"one of them called {_TEMPLATES[0]} (its pose is the one without deformation)",
                fix="or name it: task.template=FILE",
            )
        rest, template = text[0], text[0]
    ordered = sorted(
        (f for f in files if f != rest), key=lambda file: _natural(str(file.relative_to(folder)))
    )
    if not ordered:
        raise InputError(f"There is a template in {folder} and no pose of it.")
    poses = _stills(ordered, _template(template, folder, only), only)
    return MeshPoses(poses.mesh, poses.vertices, tuple(_called(file, folder) for file in ordered))


def _called(file: Path, folder: Path) -> str:
    """Name of a pose: of its file, or of the folder that it is alone in (`0001/mesh.obj`)."""
    lone = file.parent != folder and file.stem.lower() in ("mesh", "model", "model_normalized")
    return file.parent.name if lone else file.stem


def _stills(files: Sequence[Path], mesh: MeshAsset, only: Sequence[str] | None) -> MeshPoses:
    vertices = []
    for file in files:
        pose = read_mesh(file, only)
        if len(pose.vertices) != len(mesh.vertices) or not np.array_equal(pose.faces, mesh.faces):
            raise InputError(
                f"{file} is not a pose of the template.",
                found=f"{len(pose.vertices)} vertices, {len(pose.faces)} faces",
                expected=f"the template's {len(mesh.vertices)} vertices and its {len(mesh.faces)} faces, in order",
            )
        vertices.append(pose.vertices)
    return MeshPoses(mesh, np.stack(vertices), tuple(file.stem for file in files))


def _template(template: str | Path | MeshAsset | None, path: Path, only: Sequence[str] | None) -> MeshAsset:
    if isinstance(template, MeshAsset):
        return template
    if template is None:
        raise InputError(
            f"{path} is one pose; which mesh is its template?",
            expected="the same mesh without deformation",
            fix="task.template=FILE",
        )
    return read_mesh(template, only)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"{number:05d}" for number in range(count))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorting key by which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
