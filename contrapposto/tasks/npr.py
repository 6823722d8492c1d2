"""predict.py task=npr_transfer: poses of one mesh on others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from contrapposto.errors import ConfigError, ContrappostoError, InputError, nearest
from contrapposto.runs import best_run
from contrapposto.tasks.base import load_module
from contrapposto.tasks.npr_inputs import (
    Source,
    Trained,
    load_network,
    read_source,
    read_target,
    target_files,
)
from contrapposto.tasks.npr_outputs import check_formats, credit_of, write_poses

if TYPE_CHECKING:
    from contrapposto.mesh import Template
    from contrapposto.systems.npr import PoseTransfer, SourcePoses

_SHEET = 24


class NPRTransfer:
    """Poses of a source on one or several targets; see configs/task/npr_transfer.yaml for the options.

    Raises:
        ConfigError: an option that cannot be used.
    """

    needs_input = False

    def __init__(
        self,
        formats: Sequence[str] = ("obj", "glb", "mp4", "png"),
        model: str = "npr",
        data: str = "smpl_poses",
        experiment: str | None = "npr_demo",
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
        rigid: float = 0.7,
        refiner: str | None = None,
        between: int | None = None,
        by: str = "jacobians",
        size: int = 512,
    ) -> None:
        from contrapposto.systems.npr.transfer import PLACES

        if place is not None and place not in PLACES:
            raise ConfigError(f"There is no place {place!r}.", expected=nearest(place, PLACES))
        if not 0 <= rigid <= 1:
            raise ConfigError("task.rigid cannot be used.", found=f"{rigid}", expected="0 to 1")
        if smooth < 0 or (between is not None and between < 2) or by not in ("jacobians", "codes"):
            raise ConfigError(
                "An option of the transfer cannot be used.",
                found=f"smooth={smooth}, between={between}, by={by}",
                expected="smooth of at least 0, between of at least 2, by=jacobians or codes",
            )
        self.formats = check_formats(formats)
        self.run: tuple[str, str, str | None] = (model, data, experiment)
        self.reading: dict[str, Any] = {"identity": identity, "template": template, "clip": clip}
        self.reading |= {"fps": fps, "parts": source_parts}
        self.start, self.seconds, self.target_parts = start, seconds, target_parts
        self.smooth, self.place, self.refiner = smooth, place, refiner
        self.options: dict[str, Any] = {"canonical_rotation": canonical, "rest_correction": rest_correction}
        self.options |= {"align": align, "rigid": rigid}
        self.between, self.by, self.size = between, by, size

    def __call__(self, config: DictConfig, source: Path, output: Path) -> list[Path]:
        """Transfer the poses of `source=` (or `input=`) to every `target=` into files in `output`."""
        given = config.source or config.input
        if not given or not config.target:
            missing, example = ("source", "poses/") if not given else ("target", "mine.glb")
            raise ConfigError(f"No {missing} given.", expected=f"{missing}={example}")
        files = target_files(Path(config.target))
        trained = load_network(config, *self.run)
        poses = self._cut(read_source(Path(given), trained.templates, **self.reading))
        rate = "" if poses.fps is None else f" at {poses.fps:g} frames/s"
        print(f"{poses.title}: {len(poses.vertices)} poses{rate}")
        transfer = self._transfer(config, trained, poses)
        taken = transfer.encode(poses.vertices, poses.rotations, poses.means)
        paths: list[Path] = []
        for file in files:
            try:
                target = read_target(file, trained.normalize, self.target_parts)
                if transfer.places(target) is not None:
                    print(f"{file.name}: its arms, legs and head are asked for where they are on the source")
                paths += self._apply(transfer, taken, poses, target, output / file.stem, trained)
            except (
                ContrappostoError
            ) as error:  # of a folder of targets, one bad file does not stop the others
                if len(files) == 1:
                    raise
                print(f"{file.name} is left out: {error}")
        if not paths:
            raise InputError(f"None of the {len(files)} targets in {config.target} could be used.")
        return paths

    def _cut(self, source: Source) -> Source:
        if source.fps is None or (self.start is None and self.seconds is None):
            return source
        first = round((self.start or 0.0) * source.fps)
        last = (
            len(source.vertices) if self.seconds is None else first + max(round(self.seconds * source.fps), 1)
        )
        if first >= len(source.vertices):
            raise InputError(
                f"{source.title} ends before task.start={self.start}.",
                found=f"{len(source.vertices) / source.fps:.2f} s",
            )
        return source.part(first, last)

    def _transfer(self, config: DictConfig, trained: Trained, poses: Source) -> PoseTransfer:
        from contrapposto.mesh import Template
        from contrapposto.systems.npr import PoseTransfer

        normalize: Any = "unit_cube" if trained.normalize == "none" else trained.normalize
        template = Template(poses.mesh, normalize=normalize)
        place: Any = self.place or ("template" if poses.fps is None else "ground")
        return PoseTransfer(
            trained.network, template, place=place, refiner=self._refiner(config, trained), **self.options
        )

    def _refiner(self, config: DictConfig, trained: Trained) -> Any:
        if self.refiner is None:
            return getattr(trained.module, "refiner", None)
        path = Path(self.refiner)
        if not path.exists():
            _, data, experiment = self.run
            path = best_run(config.paths.runs, self.refiner, data, experiment).checkpoint
        refiner = getattr(load_module(path), "refiner", None)
        if refiner is None:
            raise ConfigError(f"{path} holds no refiner.", expected="a run of npr_refiner")
        return refiner

    def _apply(
        self,
        transfer: PoseTransfer,
        taken: SourcePoses,
        poses: Source,
        target: Template,
        stem: Path,
        trained: Trained,
    ) -> list[Path]:
        names, fps = poses.names, poses.fps
        if self.between is not None:
            if len(poses.vertices) != 2:
                raise InputError(
                    "Between which two poses?",
                    found=f"{len(poses.vertices)} poses",
                    expected="a source of two",
                )
            shares = np.linspace(0, 1, self.between).tolist()
            frames = transfer.interpolate(taken, target, shares, by=self.by)
            names, fps = tuple(f"{number:05d}" for number in range(self.between)), fps or 30.0
        else:
            frames = transfer.transfer(taken, target, smooth=0.0 if fps is None else self.smooth)
        credit = credit_of(trained.facts, poses.facts)
        paths = write_poses(stem, target.mesh, frames, names, fps, self.formats, credit)
        return paths + self._pictures(stem, poses, target, frames, fps)

    def _pictures(
        self, stem: Path, poses: Source, target: Template, frames: np.ndarray, fps: float | None
    ) -> list[Path]:
        from contrapposto.render.meshes import Cell, PaintedMesh, Panel, render_mesh_video, render_pose_sheet

        if fps is not None and "mp4" in self.formats:
            shown = poses.shown if self.between is None else _held(poses.shown, len(frames))
            panels = {poses.title: Panel(poses.mesh, shown), stem.name: Panel(target.mesh, frames)}
            path, side = stem.with_name(f"{stem.name}.mp4"), (self.size, self.size)
            return [render_mesh_video(path, panels, size=side, fps=fps, progress=True)]
        if fps is None and "png" in self.formats:
            source, painted = PaintedMesh(poses.mesh), PaintedMesh(target.mesh)
            chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _SHEET)).astype(int))
            cells = [
                [Cell(source, poses.shown[i], poses.names[i]), Cell(painted, frames[i], stem.name)]
                for i in chosen
            ]
            columns = 1 if len(cells) < 3 else 3
            return [render_pose_sheet(stem.with_name(f"{stem.name}.png"), cells, columns=columns)]
        return []


def _held(frames: np.ndarray, count: int) -> np.ndarray:
    """Two poses for as many frames as there are between them: the first, then the second."""
    return frames[(np.arange(count) * 2 >= count).astype(int)]
