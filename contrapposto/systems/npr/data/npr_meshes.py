"""Templates and poses as people have them: folders of mesh files, animated GLB files, the official JSON lists.

* `FOLDER/template.obj` and other meshes beside it: an identity, its poses named by their files;
* `FOLDER/template/mesh.obj` and `FOLDER/0000001/mesh.obj`, ...: likewise (the official human data);
* `FOLDER/<identity>/...` as above: several identities; poses of equal names are the same pose;
* an animated GLB or glTF file, or a folder of them: the rest pose is the template, frames of all clips are poses;
* a JSON list of the official release (docs/specs/npr.md, section 7.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contrapposto.errors import InputError, MissingError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.files import READABLE, read_mesh
from contrapposto.mesh.rigged import RiggedMesh
from contrapposto.systems.npr.data.lists import Item, read_list
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, file_name
from contrapposto.systems.npr.data.prepare import Plan, Progress
from contrapposto.systems.npr.data.scaling import drawn, scaled

_ANIMATED = (".glb", ".gltf")


def plan(
    raw: Path | None,
    *,
    poses: int = 300,
    fps: float = 10.0,
    normalize: str = "none",
    root: str | None = None,
    seed: int = 0,
) -> Plan:
    """See the module.

    Args:
        raw: the folder or file.
        poses: per identity, drawn by the seed where there are more.
        fps: frames taken per second of animated files.
        normalize: every pose, and the template, by itself: see `scaled`.
        root: folder that relative paths of a JSON list start from; found by looking upwards where None.
        seed: of the draw.
    """
    if raw is None or not raw.exists():
        raise MissingError(
            "No meshes were given.", found=f"raw={raw}", fix="python prepare.py data=npr_meshes raw=FOLDER"
        )
    matches = _survey(raw, None if root is None else Path(root))
    if not any(item.poses or item.template.suffix.lower() in _ANIMATED for item in matches):
        raise InputError(
            f"{raw} has no template with poses.",
            found=f"{len(matches)} templates, no poses",
            expected="template.obj beside the poses, an animated GLB, or an official JSON list",
        )
    files = sorted({path for item in matches for path in item.files})
    sizes = [(path.as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    options = {"poses": poses, "fps": fps, "normalize": normalize, "seed": seed}
    origin = Origin(
        "npr_meshes",
        source=f"meshes of the user's ({raw.name})",
        licence="unknown: the user's own",
        options=options,
        input_hash=hashlib.sha256(repr(sizes).encode()).hexdigest(),
    )

    def make(progress: Progress | None) -> Sequence[Identity]:
        identities = []
        for number, item in enumerate(matches):
            identities.append(_read(item, poses, fps, normalize, seed))
            if progress:
                progress("identities", number + 1, len(matches))
        # The first one is the default source: it needs poses.
        return sorted(identities, key=lambda identity: not len(identity.poses))

    return Plan(origin, make)


def _survey(raw: Path, root: Path | None) -> list[Item]:
    if raw.is_file():
        if raw.suffix.lower() == ".json":
            return read_list(raw, root)
        if raw.suffix.lower() in _ANIMATED:
            return [Item(file_name(raw.stem), raw)]
        raise InputError(
            f"{raw} cannot hold poses.", expected="a folder, an animated .glb or .gltf, or a .json list"
        )
    own = _folder(raw)
    if own is not None:
        return [own]
    animated = [path for path in sorted(raw.iterdir()) if path.suffix.lower() in _ANIMATED]
    inner = [_folder(path) for path in sorted(raw.iterdir()) if path.is_dir()]
    matches = [*(Item(file_name(path.stem), path) for path in animated), *(item for item in inner if item)]
    if not matches:
        names = ", ".join(path.name for path in sorted(raw.iterdir())[:8])
        raise InputError(
            f"{raw} has no templates.",
            found=names or "an empty folder",
            expected="a mesh called template.* with poses beside it, folders of such, or animated GLB files",
        )
    return matches


def _folder(folder: Path) -> Item | None:
    """The identity that a folder holds: poses as files, or as folders with one mesh each."""
    meshes = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in READABLE}
    if "template" not in meshes:
        meshes = {}
        for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = sorted(path for path in inner.iterdir() if path.suffix.lower() in READABLE)
            if len(files) == 1:
                meshes[inner.name] = files[0]
    if "template" not in meshes:
        return None
    poses = tuple((name, path) for name, path in meshes.items() if name != "template")
    return Item(file_name(folder.name), meshes["template"], poses)


def _read(item: Item, count: int, fps: float, normalize: str, seed: int) -> Identity:
    if not item.poses and item.template.suffix.lower() in _ANIMATED:
        return _animated(item, count, fps, normalize, seed)
    mesh = read_mesh(item.template)
    chosen = [item.poses[i] for i in drawn(len(item.poses), count, seed, item.name)]
    stack = np.zeros((len(chosen), *mesh.vertices.shape))
    for number, (_, path) in enumerate(chosen):
        pose = read_mesh(path)
        if pose.faces.shape != mesh.faces.shape or (pose.faces != mesh.faces).any():
            raise InputError(
                f"{path} has other faces than its template {item.template.name}.",
                found=f"{len(pose.vertices)} vertices, {len(pose.faces)} faces",
                expected=f"{len(mesh.vertices)} vertices, {len(mesh.faces)} faces, in the same order",
            )
        stack[number] = pose.vertices
    return _identity(item.name, mesh, stack, [name for name, _ in chosen], [], normalize)


def _animated(item: Item, count: int, fps: float, normalize: str, seed: int) -> Identity:
    rigged = RiggedMesh(item.template)
    places = [
        (clip, number / fps)
        for clip, seconds in sorted(rigged.clips.items())
        for number in range(int(seconds * fps + 1e-6) + 1)
    ]
    chosen = [places[i] for i in drawn(len(places), count, seed, item.name)]
    stack = np.zeros((len(chosen), *rigged.mesh.vertices.shape))
    for number, (clip, time) in enumerate(chosen):
        stack[number] = rigged.pose(clip, [time])[0]
    names = [f"{clip}#{time:g}" for clip, time in chosen]
    return _identity(item.name, rigged.mesh, stack, names, [clip for clip, _ in chosen], normalize)


def _identity(
    name: str, mesh: MeshAsset, stack: np.ndarray, names: list[str], groups: list[str], normalize: str
) -> Identity:
    template = mesh.moved(scaled(mesh.vertices[None], normalize)[0])
    return Identity(name, template, scaled(stack, normalize), names, groups)
