"""predict.py task=npr_generate: new poses, unconditional samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.files import write_json
from contrapposto.outputs import free_stem
from contrapposto.runs import best_run
from contrapposto.tasks.npr_inputs import read_template, target_files
from contrapposto.tasks.npr_outputs import check_formats, credit_of, write_poses

if TYPE_CHECKING:
    from contrapposto.mesh import Template
    from contrapposto.systems.npr import PoseCode, PoseTransfer
    from contrapposto.systems.npr.data.mesh_store import MeshStore
    from contrapposto.systems.npr.pretrained import PretrainedNetwork

_GREY = (0.62, 0.64, 0.68)


class NPRGenerate:
    """New poses on a target; see configs/task/npr_generate.yaml for the options."""

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = ("obj", "glb", "png"),
        model: str = "npr_residual_diffusion",
        data: str = "npr_poses",
        experiment: str | None = "npr_poses",
        steps: int | None = None,
        target_parts: Sequence[str] | None = None,
        rest_correction: bool = False,
        align: bool = True,
        rigid: float | None = None,
        fid: bool = False,
        network_steps: int = 800,
        size: int = 200,
    ) -> None:
        self.formats, self.run, self.steps = check_formats(formats), (model, data, experiment), steps
        self.target_parts, self.size = target_parts, size
        self.network_steps = network_steps if fid else None
        self.options: dict[str, Any] = {"rest_correction": rest_correction, "align": align}
        self.rigid = rigid

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Generate `count` poses by `seed` on `target=`, or on the body that the network was trained on."""
        if type(config.count) is not int or not 1 <= config.count <= 10_000 or type(config.seed) is not int:
            raise ConfigError(
                "count or seed cannot be used.",
                found=f"count={config.count}, seed={config.seed}",
                expected="whole numbers, count from 1 to 10000",
            )
        file = Path(config.target or config.input) if config.target or config.input else None
        if file is not None:
            target_files(file)
        name = f"{'template' if file is None else file.stem}_generated"
        stem = free_stem(output / name, (".glb", "_morph.glb", ".obj", "_obj", ".png", ".json"))
        from contrapposto.mesh import Template
        from contrapposto.systems.npr import PoseTransfer
        from contrapposto.systems.npr.body_poses import whole_body
        from contrapposto.systems.npr.pose_space import ResidualGenerator, load_generator

        matches = config.ckpt or best_run(config.paths.runs, *self.run).checkpoint
        generator = load_generator(matches)
        trained = generator.trained
        assert trained is not None
        print(trained.report)

        own = Template(next(iter(trained.templates.values())), normalize=trained.normalize)
        if file is None:
            whole = whole_body(own.mesh)
            target = own if whole is None else Template(whole, normalize=trained.normalize)
        else:
            target = read_template(file, trained.normalize, self.target_parts)
        rigid = self.rigid
        if rigid is None:
            rigid = 0.0 if isinstance(generator, ResidualGenerator) else 0.7
        transfer = PoseTransfer(trained.network, own, **self.options, rigid=rigid)
        codes = generator.generate(config.count, config.seed, steps=self.steps)
        frames = _applied(transfer, codes, target)
        names = [f"{number:05d}" for number in range(config.count)]
        credit = credit_of(trained.metadata)
        paths = write_poses(stem, target.mesh, frames, names, None, self.formats, credit)
        if "png" in self.formats or self.network_steps is not None:
            new = frames if target is own else _applied(transfer, codes, own)
        if "png" in self.formats:
            path = stem.with_name(f"{stem.name}.png")
            paths.append(self._sheet(path, _training_poses(trained, own), frames, target, new, own))
        if self.network_steps is not None:
            path = stem.with_name(f"{stem.name}.json")
            write_json(path, judged(trained, new, self.network_steps, config.seed))
            paths.append(path)
        return paths

    def _sheet(
        self,
        path: Path,
        known: tuple[np.ndarray, tuple[str, ...]] | None,
        frames: np.ndarray,
        target: Template,
        new: np.ndarray,
        own: Template,
    ) -> Path:
        """Every new pose on the target; beside it, on the network's own template, the training pose nearest to it."""
        from contrapposto.render.meshes import Cell, PaintedMesh, render_pose_sheet

        painted, plain = PaintedMesh(target.mesh), PaintedMesh(own.mesh, _GREY)
        cells = [[Cell(painted, frame, str(number))] for number, frame in enumerate(frames)]
        if known is not None:
            poses, names = known
            index, distance = _nearest_poses(new, poses)
            side = 1000 * distance / own.side
            print(
                "distance to the nearest training pose, in thousandths of the template's size: "
                f"median {np.median(side):.0f}, from {side.min():.0f} to {side.max():.0f}"
            )
            for cell, nearest_one, value in zip(cells, index, side):
                cell.append(Cell(plain, poses[nearest_one], f"{names[nearest_one][-14:]}: {value:.0f}"))
        return render_pose_sheet(path, cells, columns=5, size=(self.size, round(1.2 * self.size)))


def judged(trained: PretrainedNetwork, new: np.ndarray, steps: int, seed: int) -> dict[str, dict[str, float]]:
    """FID and KID of new poses (T, V, 3) of the template against the training poses, beside those of real poses.

    Raises:
        MissingError: the store that the network was trained on is gone.
    """
    from contrapposto.tasks.npr_evaluate import StoreViews

    name, store, numbers = _seen(trained)
    views = StoreViews(store, 100, steps, seed)
    poses = store.record(name).poses
    seen = [poses[i] for i in numbers]
    known = views.true(name, seen)
    unseen = [pose for pose in poses if pose not in set(seen)]
    rows = {"generated": views.compare(name, views.rendered_images(name, new), known)}
    if len(unseen) > 1:
        rows["unseen real poses"] = views.compare(name, views.true(name, unseen), known)
    by_pose = known.reshape(len(seen), -1, *known.shape[1:])
    halves = [by_pose[start::2].reshape(-1, *known.shape[1:]) for start in (0, 1)]
    rows["one half of the training poses against the other"] = views.compare(name, *halves)
    for title, row in rows.items():
        print(f"{title}: FID {row['fid']:.2f}, KID {row['kid']:.4f}")
    return rows


def _applied(transfer: PoseTransfer, codes: PoseCode, target: Template) -> np.ndarray:
    """(T, V, 3) of a target, its mean vertex where the template's is."""
    shape = transfer.apply(codes, target)
    return target.restored(shape + target.solver.vertices.mean(0))


def _nearest_poses(new: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For poses (T, V, 3) the nearest of (N, V, 3) by the mean distance of vertices, means at the same place."""
    known = known - known.mean(axis=1, keepdims=True)
    distances = np.stack(
        [np.linalg.norm(known - (pose - pose.mean(axis=0)), axis=-1).mean(axis=-1) for pose in new]
    )
    return distances.argmin(axis=1), distances.min(axis=1)


def _seen(trained: PretrainedNetwork) -> tuple[str, MeshStore, np.ndarray]:
    """First identity that a network was trained on, its store, and the numbers of its training poses.

    Raises:
        MissingError, InputError: the store is gone or damaged, or there never was one.
    """
    from contrapposto.systems.npr.data.mesh_store import training_poses

    if trained.origin is None:
        raise MissingError("The network names no training poses to compare with.", fix="task.fid=false")
    store, numbers = training_poses(trained.origin)
    name = next(iter(trained.templates))
    return name, store, numbers[name]


def _training_poses(trained: PretrainedNetwork, own: Template) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """Poses (N, V, 3) that the network saw on its template, and their names; None where their store is gone."""
    try:
        name, store, numbers = _seen(trained)
    except ContrappostoError as error:
        print(f"note: nearest training poses are not shown: {str(error).splitlines()[0]}")
        return None
    poses = own.normalized(np.asarray(store.poses(name)[numbers], np.float64))
    return own.restored(poses), tuple(store.record(name).poses[i] for i in numbers)
