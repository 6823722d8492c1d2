"""task=npr_transfer: poses of a mesh, or motion, on other meshes; task=rig: joints and weights for a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, ContrappostoError, InputError, nearest
from contrapposto.files import write_json
from contrapposto.outputs import claim, free_stem
from contrapposto.tasks.npr_inputs import Source, find_network, read_source, target_files
from contrapposto.tasks.npr_outputs import check_formats, credit_of, write_poses

if TYPE_CHECKING:
    from contrapposto.systems.npr import PoseTransfer, SourcePoses
    from contrapposto.systems.npr.methods import Posed, Target
    from contrapposto.systems.npr.pretrained import PretrainedNetwork

_SHEET = 24
_ENDINGS = (".glb", ".json", ".mp4", ".png", ".obj", "_obj", "_morph.glb")
_NETWORKS = {"npr": ("npr_residual", "npr_free", "npr_free"), "original": ("npr", "smpl_poses", "npr_demo")}


class NPRTransfer:
    """Poses of a source on one or several targets; see configs/npr_transfer.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = ("glb", "mp4", "png"),
        method: str = "auto",
        up: str | None = None,
        forward: str | None = None,
        joint_names: str = "smpl",
        model: str | None = None,
        data: str | None = None,
        experiment: str | None = None,
        identity: str | None = None,
        template: str | None = None,
        clip: str | None = None,
        fps: float | None = None,
        start: float | None = None,
        seconds: float | None = None,
        source_parts: Sequence[str] | None = None,
        target_parts: Sequence[str] | None = None,
        smooth: float = 1.0,
        place: str | None = None,
        canonical: bool = False,
        rest_correction: bool = False,
        align: bool = True,
        rigid: float = 0.0,
        decoded_faces: int | None = 1000,
        refiner: str | None = None,
        between: int | None = None,
        by: str = "jacobians",
        size: int = 512,
    ) -> None:
        from contrapposto.systems.npr.methods import METHODS
        from contrapposto.systems.npr.rigged_files import NAMINGS
        from contrapposto.systems.npr.transfer import PLACES

        for name, value, known in (
            ("place", place, PLACES),
            ("method", method, METHODS),
            ("joint_names", joint_names, NAMINGS),
        ):
            if value is not None and value not in known:
                raise ConfigError(f"task.{name}={value} cannot be used.", expected=nearest(value, known))
        if not 0 <= rigid <= 1:
            raise ConfigError("task.rigid cannot be used.", found=f"{rigid}", expected="0 to 1")
        if decoded_faces is not None and decoded_faces < 1:
            raise ConfigError(
                "task.decoded_faces cannot be used.",
                found=f"{decoded_faces}",
                expected="at least 1, or null for all faces",
            )
        if smooth < 0 or (between is not None and between < 2) or by not in ("jacobians", "codes"):
            raise ConfigError(
                "An option of the transfer cannot be used.",
                found=f"smooth={smooth}, between={between}, by={by}",
                expected="smooth of at least 0, between of at least 2, by=jacobians or codes",
            )
        self.formats, self.method, self.joint_names = check_formats(formats), method, joint_names
        self.standing: dict[str, Any] = {"up": up, "forward": forward}
        self.run = (model, data, experiment)
        self.reading: dict[str, Any] = {"template": template, "clip": clip, "fps": fps, "parts": source_parts}
        self.reading |= {"start": start, "seconds": seconds}
        self.identity, self.target_parts = identity, target_parts
        self.smooth, self.place, self.refiner = smooth, place, refiner
        self.options: dict[str, Any] = {"canonical_rotation": canonical, "rest_correction": rest_correction}
        self.options |= {"align": align, "rigid": rigid, "decoded_faces": decoded_faces}
        self.between, self.by, self.size = between, by, size

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Transfer the poses of `source=` (or `input=`) to every `target=` into files in `output`."""
        origin = config.source or config.input
        if not origin or not config.target:
            missing, example = ("source", "poses/") if not origin else ("target", "mine.glb")
            raise ConfigError(f"No {missing} given.", expected=f"{missing}={example}")
        files = target_files(Path(config.target))
        job = _Job(self, config, Path(origin))
        print(f"{job.source.title}: {len(job.source)} poses{job.rate}")
        paths: list[Path] = []
        for file in files:
            try:
                paths += self._one(job, file, free_stem(output / file.stem, _ENDINGS, tag="posed"))
            except ContrappostoError as error:  # one bad file does not stop the others of a folder
                if len(files) == 1:
                    raise
                print(f"{file.name} is left out: {error}")
        if not paths:
            raise InputError(f"None of the {len(files)} targets in {config.target} could be used.")
        return paths

    def _one(self, job: _Job, file: Path, stem: Path) -> list[Path]:
        """Pose one target and write it."""
        from contrapposto.systems.npr.methods import Target

        target = Target(file, self.target_parts, **self.standing)
        posed, passed_over = self._posed(job, target)
        if posed.method != "rig":
            print(f"{file.name}: {target.template.clean.report}")
        for line in [*passed_over, f"{posed.method}: {posed.reason}"]:
            print(f"{file.name}: {line}")
        names, fps = job.source.names, job.source.fps
        if self.between is not None:
            names, fps = tuple(f"{number:05d}" for number in range(self.between)), fps or 30.0
        credit = credit_of(job.credits, job.source.metadata)
        posed = self._rigged(target, posed, fps, stem.name)
        formats = [name for name in self.formats if name != "glb" or posed.write is None]
        paths = []
        if posed.write is not None and "glb" in self.formats:
            paths.append(posed.write(stem.with_name(f"{stem.name}.glb"), self.joint_names, credit))
        paths += write_poses(stem, target.mesh, posed.frames, names, fps, formats, credit)
        paths.append(stem.with_name(f"{stem.name}.json"))
        write_json(paths[-1], describe(target, posed, passed_over))
        return paths + self._images(stem, job.source, target, posed, fps)

    def _rigged(self, target: Target, posed: Posed, fps: float | None, name: str) -> Posed:
        """A sequence of a network with bones that are fitted to it, for the GLB; others as they are."""
        from contrapposto.systems.npr.methods import rig_of_frames

        if posed.write is not None or fps is None or "glb" not in self.formats or len(posed.frames) < 2:
            return posed
        rig, write = rig_of_frames(target, posed.frames, fps, name)
        print(
            f"{target.path.name}: {rig.weights.shape[1]} bones fitted; the rigged file is off by {rig.error:.2%} of the "
            f"size (root mean square), at most {rig.worst:.1%}"
        )
        return replace(posed, write=write, rig_error=rig.error)

    def _posed(self, job: _Job, target: Target) -> tuple[Posed, list[str]]:
        from contrapposto.systems.npr import methods

        ways = {"rig": methods.pose_by_rig, "skin": methods.pose_by_skin}
        if self.method in ways:
            return ways[self.method](target, job.source.clip), []
        reasons: list[str] = []
        if self.method == "auto" and self.between is None and not job.config.ckpt:
            posed, reasons = methods.choose(target, job.source.clip)
            if posed is not None:
                return posed, reasons
        return job.by_network(target), reasons

    def _images(
        self, stem: Path, poses: Source, target: Target, posed: Posed, fps: float | None
    ) -> list[Path]:
        from contrapposto.render.meshes import Cell, PaintedMesh, Panel, render_mesh_video, render_pose_sheet

        frames = posed.frames @ posed.axes.T
        upright = target.mesh.moved(target.mesh.vertices @ posed.axes.T)
        if fps is not None and "mp4" in self.formats:
            shown = poses.shown if self.between is None else _held(poses.shown, len(frames))
            panels = {poses.title: Panel(poses.shown_mesh, shown), stem.name: Panel(upright, frames)}
            path, side = stem.with_name(f"{stem.name}.mp4"), (self.size, self.size)
            return [render_mesh_video(path, panels, size=side, fps=fps, progress=True)]
        if fps is None and "png" in self.formats:
            source, painted = PaintedMesh(poses.shown_mesh), PaintedMesh(upright)
            chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _SHEET)).astype(int))
            cells = [
                [Cell(source, poses.shown[i], poses.names[i]), Cell(painted, frames[i], stem.name)]
                for i in chosen
            ]
            columns = 1 if len(cells) < 3 else 3
            return [render_pose_sheet(stem.with_name(f"{stem.name}.png"), cells, columns=columns)]
        return []


def describe(target: Target, posed: Posed, passed_over: Sequence[str]) -> dict[str, Any]:
    """What was done with a target and why, for its JSON file."""
    from contrapposto.systems.npr.methods import torn_edges
    from contrapposto.systems.npr.orientation import direction

    return {
        "target": target.path.name,
        "method": posed.method,
        "reason": posed.reason,
        "passed_over": list(passed_over),
        "up": direction(posed.axes[1]),
        "forward": direction(posed.axes[2]),
        "torn_edges": round(torn_edges(target, posed.frames), 5),
        "poses": len(posed.frames),
        **({} if posed.rig_error is None else {"rig_error": round(posed.rig_error, 6)}),
    }


class _Job:
    """One source for all targets: read once, encoded once, and only by a network that is needed."""

    def __init__(self, task: NPRTransfer, config: DictConfig, path: Path) -> None:
        self.task, self.config, self.path = task, config, path
        self.credits: dict[str, str] = {}
        self._network: PretrainedNetwork | None = None
        self._transfer: tuple[PoseTransfer, SourcePoses] | None = None
        network = task.method in ("npr", "original") or bool(config.ckpt) or task.between is not None
        self.source = read_source(path, self.network.templates if network else {}, **task.reading)

    @property
    def rate(self) -> str:
        return "" if self.source.fps is None else f" at {self.source.fps:g} frames/s"

    @property
    def network(self) -> PretrainedNetwork:
        """Loaded when it is first needed."""
        if self._network is None:
            defaults = _NETWORKS["original" if self.task.method == "original" else "npr"]
            model, data, experiment = (own or default for own, default in zip(self.task.run, defaults))
            self._network = find_network(self.config, model, data, experiment)
            self.credits = self._network.metadata
        return self._network

    def by_network(self, target: Target) -> Posed:
        """Pose a target by the network."""
        from contrapposto.systems.npr.methods import Posed
        from contrapposto.systems.npr.residual import ResidualNPR

        transfer, encoded = self._encoded()
        task, template, turns = self.task, target.template, None
        if (
            isinstance(transfer.model, ResidualNPR)
            and task.options["align"]
            and self.source.clip.motion is not None
        ):
            turns = target.face_turns()
        if task.between is not None:
            if len(self.source) != 2:
                actual = f"{len(self.source)} poses"
                raise InputError("Between which two poses?", found=actual, expected="a source of two")
            shares = np.linspace(0, 1, task.between).tolist()
            frames = transfer.interpolate(encoded, template, shares, by=task.by)
        else:
            smooth = 0.0 if self.source.fps is None else task.smooth
            frames = transfer.transfer(encoded, template, smooth=smooth, turns=turns)
        reason = f"the network {self.network.model}"
        reason += (
            ", asked for each part where it lies on the source"
            if transfer.places(template) is not None
            else ""
        )
        reason += ", arms corrected" if turns is not None else ""
        method = "npr" if isinstance(transfer.model, ResidualNPR) else "original"
        axes = target.standing.axes
        return Posed(frames @ axes, method, reason, axes)

    def _encoded(self) -> tuple[PoseTransfer, SourcePoses]:
        if self._transfer is None:
            from contrapposto.mesh import Template
            from contrapposto.systems.npr import PoseTransfer

            trained, task = self.network, self.task
            mesh, vertices, rotations, means = self.source.for_network(trained.templates, task.identity)
            place: Any = task.place or ("template" if self.source.fps is None else "ground")
            template = Template(mesh, normalize=trained.normalize)
            transfer = PoseTransfer(
                trained.network, template, place=place, refiner=self._refiner(trained), **task.options
            )
            self._transfer = transfer, transfer.encode(vertices, rotations, means)
        return self._transfer

    def _refiner(self, trained: PretrainedNetwork) -> Any:
        name = self.task.refiner
        if name is None:
            return trained.refiner
        from contrapposto.runs import best_run
        from contrapposto.systems.npr.pretrained import load_network

        path = Path(name)
        if not path.exists():
            path = best_run(self.config.paths.runs, name, *self.task.run[1:]).checkpoint
        refiner = load_network(path).refiner
        if refiner is None:
            raise ConfigError(f"{path} holds no refiner.", expected="a run of npr_refiner")
        return refiner


def _held(frames: np.ndarray, count: int) -> np.ndarray:
    """Two poses for as many frames as there are between them: the first, then the second."""
    return frames[(np.arange(count) * 2 >= count).astype(int)]


class Rig:
    """Joints and skinning weights for an unrigged figure; see configs/rig.yaml for the options."""

    needs_input = False

    def __init__(
        self,
        up: str | None = None,
        forward: str | None = None,
        joint_names: str = "smpl",
        target_parts: Sequence[str] | None = None,
    ) -> None:
        from contrapposto.systems.npr.rigged_files import NAMINGS

        if joint_names not in NAMINGS:
            raise ConfigError(f"task.joint_names={joint_names} cannot be used.", expected=", ".join(NAMINGS))
        self.standing: dict[str, Any] = {"up": up, "forward": forward}
        self.joint_names, self.parts = joint_names, target_parts

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Rig `target=` (or `input=`); `output` is a .glb file, or a folder."""
        from contrapposto.systems.npr.methods import Target
        from contrapposto.systems.npr.rigged_files import write_skinned

        if not (config.target or config.input):
            raise ConfigError("No target given.", expected="target=mine.glb")
        (file,) = target_files(Path(config.target or config.input))[:1]
        if output.suffix.lower() == ".glb":
            path = output
            claim(path)
        else:
            stem = free_stem(output / f"{file.stem}_rigged", [".glb"])
            path = stem.with_name(f"{stem.name}.glb")
        target = Target(file, self.parts, **self.standing)
        if target.rigged is not None and target.rigged.skin_joints():
            print(f"{file.name} has a rig already: it is replaced in the result")
        skin, standing = target.skin, target.standing
        print(f"{file.name}: {standing.reason}; up={standing.up}, forward={standing.forward}")
        return [
            write_skinned(
                path, target.mesh, target.unskinned_file, skin, standing.axes, naming=self.joint_names
            )
        ]
