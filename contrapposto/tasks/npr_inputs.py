"""What the mesh tasks of predict.py read: a network with its templates, poses of a source, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.runs import best_run

if TYPE_CHECKING:
    from contrapposto.mesh import MeshAsset, Template
    from contrapposto.mesh.poses import MeshPoses
    from contrapposto.systems.npr.methods import SourceClip
    from contrapposto.systems.npr.pretrained import PretrainedNetwork

_METADATA = ("licence", "source", "attribution")
NetworkPoses = tuple["MeshAsset", np.ndarray, np.ndarray | None, np.ndarray | None]


@dataclass(frozen=True, eq=False)
class Source:
    """Poses to be transferred.

    Args:
        title: of the source.
        shown_mesh: the mesh that shows them, and `shown`: (T, V, 3) as it stands in the world.
        names: of the poses.
        fps: None: stills.
        clip: the same for targets with joints.
        metadata: licence and source of the poses.
    """

    title: str
    shown_mesh: MeshAsset
    shown: np.ndarray
    names: tuple[str, ...]
    fps: float | None
    clip: SourceClip
    metadata: dict[str, str]

    def __len__(self) -> int:
        return len(self.names)

    def for_network(self, templates: Mapping[str, MeshAsset], identity: str | None) -> NetworkPoses:
        """The poses as a network with these templates sees them.

        Args:
            templates: meshes that it was trained on.
            identity: which of them wears a motion; None: the first.

        Returns:
            Template, vertices (T, V, 3), and what was taken off them: rotations and means (see `PoseTransfer.encode`).
        """
        if self.clip.motion is None:
            known = [
                name for name, mesh in templates.items() if np.array_equal(mesh.faces, self.shown_mesh.faces)
            ]
            if templates and not known:
                print(
                    f"note: {self.title} is another mesh than the network was trained on ({', '.join(templates)})"
                )
            return self.shown_mesh, self.shown, None, None
        from contrapposto.systems.npr.body_poses import figure_poses

        posed = figure_poses(self.clip.motion, _identity(templates, identity))
        return posed.mesh, posed.vertices, posed.rotations, posed.means


def find_network(config: Any, model: str, data: str | None, experiment: str | None) -> PretrainedNetwork:
    """The network of `ckpt=` (a checkpoint, a run, or the authors' file), or of the best run of a model.

    Raises:
        MissingError, ConfigError: there is none, or the checkpoint is of another kind.
    """
    from contrapposto.systems.npr.pretrained import load_network

    if config.ckpt and not Path(config.ckpt).exists() and not str(config.ckpt).startswith("hub:"):
        raise MissingError(f"ckpt={config.ckpt} does not exist.", expected="a checkpoint or a run directory")
    path = config.ckpt or best_run(config.paths.runs, model, data, experiment).checkpoint
    trained = load_network(path)
    print(trained.report)
    return trained


def read_template(path: Path, normalize: Any, only: Sequence[str] | None) -> Template:
    """A target made ready as it stands in its file; what cleaning found is printed."""
    from contrapposto.mesh import Template, read_mesh

    template = Template(read_mesh(path, only), normalize=normalize)
    print(f"{path.name}: {template.clean.report}")
    return template


def target_files(path: Path) -> list[Path]:
    """A mesh file, all in a folder, or the templates of a list of the original.

    Raises:
        InputError: nothing there.
    """
    from contrapposto.mesh.files import READABLE

    if path.suffix.lower() == ".json" and path.is_file():
        from contrapposto.systems.npr.data.lists import read_list

        return list(dict.fromkeys(item.template for item in read_list(path)))
    if path.is_dir():
        matches = sorted(file for file in path.iterdir() if file.suffix.lower() in READABLE)
        if not matches:
            raise InputError(f"There are no meshes in {path}.", expected=", ".join(READABLE))
        return matches
    if not path.exists():
        raise InputError(f"There is no file {path}.", expected="a mesh: " + ", ".join(READABLE))
    return [path]


def read_source(
    path: Path,
    templates: Mapping[str, MeshAsset],
    *,
    template: str | None = None,
    clip: str | None = None,
    fps: float | None = None,
    start: float | None = None,
    seconds: float | None = None,
    parts: Sequence[str] | None = None,
) -> Source:
    """Poses of any form: motion files, folders, archives and files of meshes, animated files.

    Args:
        path: of the source.
        templates: of the network, for a lone posed mesh.
        template: mesh file that the poses are of, where the source does not say it.
        clip: of an animated file.
        fps: of a sequence; None: 30 for clips and motion, and a folder holds poses without an order in time.
        start, seconds: part of a sequence.
        parts: of a source glTF file.
    """
    from contrapposto.io import READABLE as MOTION

    if path.suffix.lower() in MOTION:
        try:
            return _figure(path, fps or 30.0, start, seconds, clip)
        except InputError:
            if path.suffix.lower() not in (".glb", ".gltf"):
                raise  # a glTF file may also hold poses of a mesh that is no figure
    from contrapposto.mesh.poses import read_poses
    from contrapposto.systems.npr.methods import SourceClip

    if path.suffix.lower() == ".json":
        poses = _listed_poses(path)
    else:
        rest = template or _same_faces(path, templates)
        poses = read_poses(path, template=rest, clip=clip, fps=fps or 30.0, only=parts)
    rate = poses.fps if fps is None else fps
    part = slice(*_part(len(poses.vertices), rate, start, seconds, path.stem))
    whole = part == slice(0, len(poses.vertices))
    animated = _animated(path, clip, parts) if whole and template is None else None
    names = poses.names[part]
    data = SourceClip(None, None, animated, rate, path.stem)
    return Source(path.stem, poses.mesh, poses.vertices[part], names, rate, data, {})


def _listed_poses(path: Path) -> MeshPoses:
    """The poses of a list of the original in its order; one identity in it has poses."""
    from contrapposto.mesh.poses import read_files
    from contrapposto.systems.npr.data.lists import read_list

    items = [item for item in read_list(path) if item.poses]
    if len(items) != 1:
        raise InputError(
            f"{path} is to give the poses of one mesh.",
            found=", ".join(item.name for item in items) or "templates without poses",
            expected="entries with the same src and different tgt",
        )
    poses = read_files([file for _, file in items[0].poses], items[0].template)
    return replace(poses, names=tuple(f"{number:05d}" for number in range(len(poses.vertices))))


def _animated(path: Path, clip: str | None, parts: Sequence[str] | None) -> Any:
    """An animated glTF file and its clip."""
    from contrapposto.mesh import RiggedMesh

    if path.suffix.lower() not in (".glb", ".gltf"):
        return None
    rigged = RiggedMesh(path, parts)
    return (rigged, clip or next(iter(rigged.clips))) if rigged.clips else None


def _figure(
    path: Path, fps: float, start: float | None, seconds: float | None, clip_name: str | None
) -> Source:
    from contrapposto.io import read_motion
    from contrapposto.systems.npr.body_poses import figure_poses
    from contrapposto.systems.npr.methods import SourceClip

    options: dict[str, Any] = (
        {"clip": clip_name} if clip_name and path.suffix.lower() in (".glb", ".gltf") else {}
    )
    motion = read_motion(path, **options).resample(fps)
    motion = motion.frames(*_part(motion.num_frames, fps, start, seconds, path.stem))
    posed = figure_poses(motion)
    lows = posed.world[..., 1].min(axis=1) - posed.mesh.vertices[:, 1].min()
    metadata = {key: str(motion.metadata[key]) for key in _METADATA if key in motion.metadata}
    names = tuple(f"{number:05d}" for number in range(motion.num_frames))
    clip = SourceClip(motion, lows, None, fps, path.stem)
    return Source(path.stem, posed.mesh, posed.world, names, fps, clip, metadata)


def _part(
    count: int, fps: float | None, start: float | None, seconds: float | None, title: str
) -> tuple[int, int]:
    """First frame and the one after the last of a part of a sequence.

    Raises:
        InputError: it ends before it starts.
    """
    if fps is None or (start is None and seconds is None):
        return 0, count
    first = round((start or 0.0) * fps)
    if first >= count:
        raise InputError(f"{title} ends before task.start={start}.", found=f"{count / fps:.2f} s")
    return first, count if seconds is None else min(first + max(round(seconds * fps), 1), count)


def _identity(templates: Mapping[str, MeshAsset], name: str | None) -> MeshAsset | None:
    if name is None:
        return next(iter(templates.values()), None)
    if name not in templates:
        raise ConfigError(
            f"The network was not trained on {name!r}.",
            expected=", ".join(templates),
            fix=f"try {nearest(name, templates)}",
        )
    return templates[name]


def _same_faces(path: Path, templates: Mapping[str, MeshAsset]) -> MeshAsset | None:
    """The network's own template that a lone posed mesh belongs to; None where the input states it itself."""
    from contrapposto.mesh.files import READABLE, read_mesh

    if not templates or not path.is_file() or path.suffix.lower() not in READABLE:
        return None
    if path.suffix.lower() in (".glb", ".gltf"):
        from contrapposto.mesh import RiggedMesh

        if RiggedMesh(path).clips:
            return None
    faces = read_mesh(path).faces
    return next((mesh for mesh in templates.values() if np.array_equal(mesh.faces, faces)), None)
