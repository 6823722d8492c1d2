"""predict.py task=npr_evaluate: transfers between all ordered pairs of identities, judged by truth and by images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, InputError
from contrapposto.files import atomic_path, write_json
from contrapposto.outputs import free_stem
from contrapposto.tasks.npr_inputs import find_network

if TYPE_CHECKING:
    from contrapposto.mesh import Template
    from contrapposto.systems.npr.data.mesh_store import MeshStore
    from contrapposto.systems.npr.pretrained import PretrainedNetwork

COLUMNS = (
    "pmd",
    "pmd_unaligned",
    "distance",
    "copy_pmd",
    "jacobian",
    "self_intersection",
    "true_self_intersection",
    "volume_change",
    "fid",
    "kid",
    "accuracy",
    "true_accuracy",
)
_GREY = (0.75, 0.75, 0.75)


class NPREvaluate:
    """Evaluate on a mesh store; see configs/task/npr_evaluate.yaml for the options."""

    needs_input = False

    def __init__(
        self,
        model: str = "npr",
        data: str = "smpl_poses",
        experiment: str | None = "npr_demo",
        checkpoints: Sequence[str] = (),
        sources: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        poses: int | None = 50,
        seen: bool = False,
        views: bool = True,
        network_steps: int = 800,
        rest_correction: bool = False,
        align: bool = True,
        rigid: float = 0.0,
        fps: float = 2.0,
        parts: Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
    ) -> None:
        self.run: tuple[str, str, str | None] = (model, data, experiment)
        self.checkpoints, self.sources, self.targets = list(checkpoints), sources, targets
        self.poses, self.seen, self.views, self.network_steps = poses, seen, views, network_steps
        self.options: dict[str, Any] = {"rest_correction": rest_correction, "align": align, "rigid": rigid}
        self.seed, self.fps, self.parts = seed, fps, dict(parts or {})

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Evaluate the store `source=` into pairs.json and pairs.md; with `target=`, motion into rig_truth.json and .md."""
        from contrapposto.report.columns import describe_settings
        from contrapposto.systems.npr.data.mesh_store import MeshStore

        if not (config.source or config.input):
            raise ConfigError(
                "No source given.",
                expected="a store of prepare.py data=smpl_poses, ...; or motion, with target=",
            )
        if config.get("target"):
            return self._rig_truth(config, Path(config.source or config.input), output)
        stem = free_stem(output / "pairs", (".json", ".md"))
        store = MeshStore.open(config.source or config.input)
        views = StoreViews(store, self.poses or 100, self.network_steps, self.seed) if self.views else None
        rows: list[dict[str, Any]] = []
        for checkpoint in self.checkpoints or [config.ckpt]:
            config.ckpt = checkpoint
            trained = find_network(config, *self.run)
            for name in self._sources(store, trained):
                rows += self._source(store, trained, name, views)
        if not rows:
            raise InputError(
                "No pair of identities of this store has poses in common.", found=", ".join(store.names)
            )
        print(table(rows))
        result = {"store": store.content_hash, "settings": self.options, "pairs": rows, "mean": means(rows)}
        text = f"{table(rows)}\n\n{describe_settings(self.options)}"
        return _write_tables(stem, result, text)

    def _rig_truth(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """All methods on rigged targets, whose own rigs say what is right."""
        from contrapposto.mesh import Template
        from contrapposto.report.columns import describe_settings
        from contrapposto.systems.npr import PoseTransfer
        from contrapposto.systems.npr.comparison import interval, rig_truth
        from contrapposto.systems.npr.methods import Target
        from contrapposto.tasks.npr_inputs import read_source, target_files

        stem, transfers = free_stem(output / "rig_truth", (".json", ".md")), {}
        for checkpoint in self.checkpoints or [config.ckpt]:
            config.ckpt = checkpoint
            trained = find_network(config, *self.run)
            body = Template(next(iter(trained.templates.values())), normalize=trained.normalize)
            transfers[trained.model] = PoseTransfer(trained.network, body, **self.options)
        rows: list[dict[str, Any]] = []
        for file in target_files(Path(config.target)):
            target = Target(file, self.parts.get(file.stem))
            for motion in [source] if source.is_file() else sorted(source.iterdir()):
                read = read_source(motion, {}, fps=self.fps)
                try:
                    errors = rig_truth(target, read.clip, transfers)
                except InputError as error:
                    print(f"{file.name} is left out: {str(error).splitlines()[0]}")
                    break
                row = {name: interval(values, self.seed) for name, values in errors.items()}
                print(
                    f"{file.stem} {motion.stem}: " + ", ".join(f"{n} {v}" for n, v in row.items()), flush=True
                )
                rows.append({"target": file.stem, "motion": motion.stem, **row})
        if not rows:
            raise InputError(f"No target in {config.target} has a humanoid rig.")
        text = rig_table(rows)
        print(text)
        result = {"settings": self.options, "pmd": [_plain(row) for row in rows]}
        return _write_tables(stem, result, f"{text}\n\n{describe_settings(self.options)}")

    def _sources(self, store: MeshStore, trained: PretrainedNetwork) -> list[str]:
        """Identities that are sources: those asked for, or those that the network was trained on."""
        if self.sources is not None:
            return [store.record(name).name for name in self.sources]
        matches = [name for name in trained.templates if name in store.names]
        if not matches:
            raise ConfigError(
                "The network was trained on no identity of this store.",
                found=", ".join(trained.templates),
                expected=", ".join(store.names),
                fix="name the sources: task.sources=[NAME]",
            )
        return matches

    def _source(
        self, store: MeshStore, trained: PretrainedNetwork, name: str, views: StoreViews | None
    ) -> list[dict[str, Any]]:
        from contrapposto.mesh import Template
        from contrapposto.systems.npr import PoseTransfer

        template = Template(store.mesh(name), normalize=trained.normalize)
        chosen = self._poses(store, trained, name)
        vertices = _named(store, name, chosen)
        transfer = PoseTransfer(trained.network, template, **self.options)
        taken = transfer.encode(vertices)
        rows = []
        for target in self.targets or store.names:
            common = set(chosen) & set(store.record(target).poses)
            if common != set(chosen):
                continue
            print(f"{name} -> {target}", flush=True)
            goal = template if target == name else Template(store.mesh(target), normalize=trained.normalize)
            matches = transfer.transfer(taken, goal)
            row = {"source": name, "target": target, "poses": len(chosen)}
            rows.append(row | shape_scores(goal, matches, _named(store, target, chosen)))
            if views is not None:
                rows[-1] |= views.scores(target, matches, chosen)
        return rows

    def _poses(self, store: MeshStore, trained: PretrainedNetwork, name: str) -> list[str]:
        """Names of the poses to transfer: ones that the network has not seen, drawn by the seed."""
        names = list(store.record(name).poses)
        if not self.seen and trained.origin is not None:
            seen = _seen(trained)
            names = [pose for pose in names if pose not in seen] or names
        order = np.random.default_rng(self.seed).permutation(len(names))
        return [names[i] for i in sorted(order[: self.poses])]


class StoreViews:
    """Grey images of poses from four sides, judged by a network that learnt to tell a store's identities apart.

    Args:
        store: whose identities with poses of their own the network learns.
        poses: four times as many of each are shown to it.
        steps, seed: of its training.
    """

    def __init__(self, store: MeshStore, poses: int, steps: int, seed: int) -> None:
        from contrapposto.metrics.mesh_views import train_view_network

        self.store, self.names = store, [r.name for r in store.identities if r.poses and r.copy_of is None]
        print(f"images of {len(self.names)} identities, to learn to tell them apart", flush=True)
        images = [self.true(name, list(store.record(name).poses)[: 4 * poses]) for name in self.names]
        labels = np.repeat(np.arange(len(images)), [len(part) for part in images])
        self.network = train_view_network(np.concatenate(images), labels, steps=steps, seed=seed)

    def true(self, name: str, poses: Sequence[str]) -> np.ndarray:
        """(4 P, 64, 64) of named poses of an identity."""
        return self.rendered_images(name, _named(self.store, name, list(poses)))

    def rendered_images(self, name: str, vertices: np.ndarray) -> np.ndarray:
        """(4 P, 64, 64) of poses (P, V, 3) of an identity."""
        from contrapposto.render.meshes import PaintedMesh, four_views

        images = four_views(PaintedMesh(self.store.mesh(name), _GREY), vertices)
        return images.reshape(-1, *images.shape[2:])

    def compare(self, name: str, transferred: np.ndarray, true: np.ndarray) -> dict[str, float]:
        """FID, KID and accuracies of images (N, 64, 64) of an identity against true ones (M, 64, 64)."""
        from dataclasses import asdict

        from contrapposto.metrics.mesh_views import view_scores

        return asdict(view_scores(self.network, transferred, true, self.names.index(name)))

    def scores(self, target: str, transferred: np.ndarray, poses: list[str]) -> dict[str, float]:
        """Those of transferred poses (P, V, 3); nothing for a remeshed copy, which is no identity."""
        if target not in self.names or len(transferred) < 2:
            return {}
        return self.compare(target, self.rendered_images(target, transferred), self.true(target, poses))


def _write_tables(stem: Path, result: Mapping[str, Any], text: str) -> list[Path]:
    """Write a result as JSON, and its table as Markdown beside it."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "md")]
    write_json(paths[0], result)
    with atomic_path(paths[1]) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return paths


def shape_scores(target: Template, transferred: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Errors of poses (T, V, 3) of a target against the truth, in units of its longest side.

    `pmd` is the mean squared distance of vertices in thousandths, mean vertices at the same place; `pmd_unaligned`
    without that; `distance` the mean distance in thousandths; `copy_pmd` that of the template left as it is; `jacobian`
    the error of faces; `self_intersection` the share of faces that cross others beyond those of the template (of the
    truth: `true_...`); `volume_change` the mean absolute change, as a share.
    """
    from contrapposto.mesh.operators import doubled_areas
    from contrapposto.metrics.mesh import jacobian_error, point_distance
    from contrapposto.metrics.mesh_shape import volume_change

    pred, goal = target.normalized(transferred), target.normalized(true)
    rest = target.solver.vertices
    areas = torch.from_numpy(doubled_areas(rest.numpy(), target.clean.faces))
    fields = (target.solver.jacobians(pred), target.solver.jacobians(goal))
    scores = {
        "pmd": 1000 * point_distance(pred, goal, centred=True),
        "pmd_unaligned": 1000 * point_distance(pred, goal),
        "distance": 1000 * point_distance(pred, goal, squared=False, centred=True),
        "copy_pmd": 1000 * point_distance(rest.expand_as(goal), goal, centred=True),
        "jacobian": jacobian_error(*fields, areas),
    }
    values = {name: float(value.mean()) for name, value in scores.items()}
    values["self_intersection"] = _crossed(target, pred)
    values["true_self_intersection"] = _crossed(target, goal)
    values["volume_change"] = float(
        np.abs(volume_change(pred.numpy(), rest.numpy(), target.clean.faces)).mean()
    )
    return values


def _crossed(target: Template, poses: torch.Tensor) -> float:
    """Mean share of faces that cross others, less that of the template."""
    from contrapposto.metrics.mesh_shape import self_intersections

    faces = target.clean.faces
    rest = self_intersections(target.solver.vertices.numpy(), faces).mean()
    return float(np.mean([self_intersections(pose.numpy(), faces).mean() for pose in poses]) - rest)


def means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Plain means over the pairs of two different identities (over all where there are none)."""
    pairs = [row for row in rows if row["source"] != row["target"]] or list(rows)
    return {
        name: float(np.mean([row[name] for row in pairs if name in row]))
        for name in COLUMNS
        if any(name in row for row in pairs)
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each pair, and the means."""
    shown = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = ["| source | target | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    for row in [*rows, {"source": "mean of pairs", "target": "", **means(rows)}]:
        values = " | ".join(f"{row[name]:.4g}" if name in row else "" for name in shown)
        lines.append(f"| {row['source']} | {row['target']} | {values} |")
    return "\n".join(lines)


def rig_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: PMD in thousandths for each target and motion with 95 % intervals, and the medians."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in ("target", "motion")))
    lines = ["| target | motion | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        lines.append(
            f"| {row['target']} | {row['motion']} | " + " | ".join(str(row.get(n, "")) for n in names) + " |"
        )
    medians = [np.median([row[name].mean for row in rows if name in row]) for name in names]
    return "\n".join([*lines, "| median | | " + " | ".join(f"{value:.2f}" for value in medians) + " |"])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return {name: value if isinstance(value, str) else asdict(value) for name, value in row.items()}


def _named(store: MeshStore, identity: str, names: Sequence[str]) -> np.ndarray:
    """(T, V, 3) float64 poses of an identity by name."""
    number = {name: index for index, name in enumerate(store.record(identity).poses)}
    return np.asarray(store.poses(identity)[[number[name] for name in names]], np.float64)


def _seen(trained: PretrainedNetwork) -> set[str]:
    """Names of the poses that the network was trained on."""
    from contrapposto.systems.npr.data.mesh_store import training_poses

    assert trained.origin is not None
    store, numbers = training_poses(trained.origin)
    return {store.record(name).poses[i] for name, chosen in numbers.items() for i in chosen}
