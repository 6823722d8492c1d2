"""What the mesh tasks of predict.py read: a network with its templates, poses of a source, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapposto.errors import ConfigError, InputError, MissingError, nearest
from contrapposto.runs import best_run, read_result
from contrapposto.tasks.base import load_module

if TYPE_CHECKING:
    from contrapposto.mesh import MeshAsset, Template

_OFFICIAL = (".pth", ".pt")
_TOLD = ("licence", "source", "attribution")


@dataclass(frozen=True, eq=False)
class Trained:
    """A network as the tasks use it.

    Args:
        network: extractor and applier, or the baseline.
        templates: meshes that it was trained on, by name.
        normalize: how these were scaled.
        facts: licence and source of the data that it was trained on.
        module: all that the checkpoint holds; None for the authors' weights.
        run: its run directory; None for these.
    """

    network: Any
    templates: Mapping[str, MeshAsset]
    normalize: Any
    facts: dict[str, str]
    module: Any = None
    run: Path | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """Poses to be taken.

    Args:
        title: of the source.
        mesh: its template.
        vertices: (T, V, 3) as the network shall see them.
        names: of the poses.
        fps: None: stills.
        rotations, means: what was taken off the poses, see `PoseTransfer.encode`; None: nothing.
        shown: (T, V, 3) as the source stands in the world.
        facts: licence and source of the poses.
    """

    title: str
    mesh: MeshAsset
    vertices: np.ndarray
    names: tuple[str, ...]
    fps: float | None
    rotations: np.ndarray | None
    means: np.ndarray | None
    shown: np.ndarray
    facts: dict[str, str]

    def part(self, start: int, stop: int) -> Source:
        """Poses from `start` to `stop` (exclusive)."""
        cut = slice(start, stop)
        turns = None if self.rotations is None else self.rotations[cut]
        means = None if self.means is None else self.means[cut]
        return Source(
            self.title,
            self.mesh,
            self.vertices[cut],
            self.names[cut],
            self.fps,
            turns,
            means,
            self.shown[cut],
            self.facts,
        )


def load_network(config: Any, model: str, data: str, experiment: str | None) -> Trained:
    """The network of `ckpt=` (a checkpoint, a run, or the authors' file), or of the best run of a model.

    Raises:
        MissingError, ConfigError: there is none, or the checkpoint is of another kind.
    """
    if config.ckpt and Path(config.ckpt).suffix in _OFFICIAL:
        from contrapposto.systems.npr import NPR

        network = NPR()
        print(network.load_official(config.ckpt))
        return Trained(network.eval(), {}, "none", {"source": "the authors' weights"})
    if config.ckpt and not Path(config.ckpt).exists():
        raise MissingError(f"ckpt={config.ckpt} does not exist.", expected="a checkpoint or a run directory")
    checkpoint = (
        Path(config.ckpt) if config.ckpt else best_run(config.paths.runs, model, data, experiment).checkpoint
    )
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent.parent
    from contrapposto.checkpoints import load_checkpoint

    facts = {}
    if (run / "result.json").is_file():
        result = read_result(run)
        facts = {key: str(result.data[key]) for key in _TOLD if key in result.data}
        checkpoint = result.checkpoint if checkpoint.is_dir() else checkpoint
    module = load_module(checkpoint)
    if not hasattr(module, "network") or not hasattr(module, "templates"):
        raise ConfigError(
            f"{checkpoint} has nothing to do with meshes.", expected="a run of npr, njf or a later stage"
        )
    module.on_load_checkpoint(load_checkpoint(checkpoint))  # the templates
    print(f"network: {checkpoint}, trained on {', '.join(module.templates) or 'no templates'}")
    return Trained(module.network.eval(), module.templates, module.normalize, facts, module, run)


def read_target(path: Path, trained_normalize: Any, only: Sequence[str] | None) -> Template:
    """A target made ready; what cleaning found is printed."""
    from contrapposto.mesh import Template, read_mesh

    mesh = read_mesh(path, only)
    template = Template(mesh, normalize="unit_cube" if trained_normalize == "none" else trained_normalize)
    print(f"{path.name}: {template.clean.report}")
    return template


def target_files(path: Path) -> list[Path]:
    """A mesh file, or all in a folder.

    Raises:
        InputError: nothing there.
    """
    from contrapposto.mesh.files import READABLE

    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in READABLE)
        if not found:
            raise InputError(f"There are no meshes in {path}.", expected=", ".join(READABLE))
        return found
    if not path.exists():
        raise InputError(f"There is no file {path}.", expected="a mesh: " + ", ".join(READABLE))
    return [path]


def read_source(
    path: Path,
    templates: Mapping[str, MeshAsset],
    *,
    identity: str | None,
    template: str | None,
    clip: str | None,
    fps: float | None,
    parts: Sequence[str] | None,
) -> Source:
    """Poses of any form: motion files, folders, archives and files of meshes, animated files.

    Args:
        path: of the source.
        templates: of the network.
        identity: which of them wears a motion; None: the first.
        template: mesh file that the poses are of, where the source does not say it.
        clip: of an animated file.
        fps: of a sequence; None: 30 for clips and motion, and a folder holds poses without an order in time.
        parts: of a source glTF file.
    """
    from contrapposto.io import READABLE as MOTION

    if path.suffix.lower() in MOTION:
        return _figure(path, _identity(templates, identity), fps or 30.0)
    from contrapposto.mesh.poses import read_poses

    rest = template or _same_faces(path, templates)
    poses = read_poses(path, template=rest, clip=clip, fps=fps or 30.0, only=parts)
    rate = poses.fps if fps is None else fps
    known = [n for n, mesh in templates.items() if np.array_equal(mesh.faces, poses.mesh.faces)]
    if templates and not known:
        print(
            f"note: {path.name} is another mesh than the network was trained on ({', '.join(templates)}); "
            "its poses may be read less well"
        )
    return Source(path.stem, poses.mesh, poses.vertices, poses.names, rate, None, None, poses.vertices, {})


def _figure(path: Path, template: MeshAsset | None, fps: float) -> Source:
    from contrapposto.io import read_motion
    from contrapposto.systems.npr.body_poses import figure_poses

    motion = read_motion(path).resample(fps)
    posed = figure_poses(motion, template)
    facts = {key: str(motion.metadata[key]) for key in _TOLD if key in motion.metadata}
    names = tuple(f"{number:05d}" for number in range(motion.num_frames))
    return Source(
        path.stem, posed.mesh, posed.vertices, names, fps, posed.rotations, posed.means, posed.world, facts
    )


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
    """The network's own template that a lone posed mesh belongs to; None where the input says it itself."""
    from contrapposto.mesh.files import READABLE, read_mesh

    if not templates or not path.is_file() or path.suffix.lower() not in READABLE:
        return None
    if path.suffix.lower() in (".glb", ".gltf"):
        from contrapposto.mesh import RiggedMesh

        if RiggedMesh(path).clips:
            return None
    faces = read_mesh(path).faces
    return next((mesh for mesh in templates.values() if np.array_equal(mesh.faces, faces)), None)
