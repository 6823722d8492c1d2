"""Figures without rigs in four motions, as `task=npr_transfer` poses them: python -m benchmarks.npr_characters FOLDER OUTPUT

Every mesh of FOLDER (its rig, if it has one, is hidden from the methods), once as it stands and, with --a-pose and a
humanoid rig, once with its arms lowered; and the shipped body in other shapes and proportions. Writes a sheet of images
(one frame of walk, raised arms, squat and kick beside the source) and prints the method and the PMD against the truth:
what the mesh's own rig, or the body's own skin, does. --table prints the PMD of all methods in place of the sheet.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.body import BodyModel, load_body, named_shapes
from contrapposto.body.proportions import proportioned, random_proportions
from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset, write_mesh_glb
from contrapposto.mesh.template import Template
from contrapposto.motion import Motion
from contrapposto.render.meshes import Cell, PaintedMesh, render_pose_sheet
from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic import generate
from contrapposto.systems.npr import PoseTransfer
from contrapposto.systems.npr.body_poses import figure_poses
from contrapposto.systems.npr.comparison import errors_of_methods, interval
from contrapposto.systems.npr.humanoid import HumanoidRig
from contrapposto.systems.npr.methods import Posed, SourceClip, Target, pose_by_rig, pose_by_skin, torn_edges
from contrapposto.systems.npr.pretrained import load_network

MOTIONS = {"walk": "walk", "raise": "raise both arms", "squat": "squat", "kick": "kick"}
PARTS = {"Knight": ["Knight_*"], "Mage": ["Mage_*"]}  # without what they hold
_FIGURINES = 5
_METHODS = ("template", "nearest face", "network", "skin")
Truth = Callable[[SourceClip], np.ndarray]


@dataclass(frozen=True)
class _Figure:
    """A mesh without a rig, and what it should do: (T, V, 3) of a clip; None: nobody knows."""

    path: Path
    truth: Truth | None


def main() -> None:
    """Pose, draw and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.npr_characters", description=__doc__)
    parser.add_argument("folder", type=Path, help="meshes")
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--a-pose", nargs="*", default=[], help="names of meshes that are also shown in an A-pose"
    )
    parser.add_argument("--only", nargs="*", help="names of the targets to show")
    parser.add_argument("--method", default="auto", choices=("auto", "skin", "npr"))
    parser.add_argument("--network", default="npr_residual")
    parser.add_argument("--by-motion", action="store_true", help="a row for every motion, larger")
    parser.add_argument("--table", action="store_true", help="all methods, several poses of each motion")
    parser.add_argument("--fps", type=float, default=1.0, help="poses per second of the table")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    network = _Network(arguments.network)
    with tempfile.TemporaryDirectory() as folder:
        figures = [
            figure
            for figure in _targets(arguments.folder, arguments.a_pose, Path(folder))
            if not arguments.only or figure.path.stem in arguments.only
        ]
        if arguments.table:
            _table(figures, network, arguments.fps)
        else:
            _sheet(figures, network, arguments)


def _table(figures: list[_Figure], network: _Network, fps: float) -> None:
    """Mean PMD of all methods over the motions; that of skin for each motion, with its interval over poses."""
    motions = {name: generate(action, seconds=3.0, seed=1).resample(fps) for name, action in MOTIONS.items()}
    print(f"| target | {' | '.join((*_METHODS, *(f'skin: {name}' for name in motions)))} |")
    print("|---" * (1 + len(_METHODS) + len(motions)) + "|")
    medians: dict[str, list[float]] = {name: [] for name in _METHODS}
    for figure in figures:
        if figure.truth is None:
            continue
        target, cells = Target(figure.path), []
        means: dict[str, list[float]] = {name: [] for name in _METHODS}
        for name, motion in motions.items():
            clip = SourceClip(motion, None, None, fps, name)
            errors = errors_of_methods(target, clip, {"network": network.transfer}, figure.truth(clip))
            for method, values in errors.items():
                means[method].append(float(values.mean()))
                medians[method].append(float(values.mean()))
            cells.append(str(interval(errors["skin"])) if "skin" in errors else "-")
        numbers = [f"{np.mean(means[name]):.2f}" if means[name] else "-" for name in _METHODS]
        print(f"| {figure.path.stem} | {' | '.join((*numbers, *cells))} |", flush=True)
    numbers = [f"{np.median(medians[name]):.2f} ({len(medians[name])})" for name in _METHODS]
    print(f"| median over targets and motions | {' | '.join(numbers)} |" + " |" * len(motions))


def _sheet(figures: list[_Figure], network: _Network, arguments: argparse.Namespace) -> None:
    clips = {name: _clip(action) for name, action in MOTIONS.items()}
    source = PaintedMesh(network.body)
    rows = [[Cell(source, _upright_body(network, clip), name) for name, clip in clips.items()]]
    print("| target | motion | method | PMD | torn edges | why not skin |")
    print("|---|---|---|---|---|---|")
    rows += [_row(figure, clips, network, arguments.method) for figure in figures]
    columns, size = 2, (190, 230)
    if arguments.by_motion:
        rows, columns, size = [list(row) for row in zip(*rows)], 1, (230, 250)
    print(render_pose_sheet(arguments.output / "characters.png", rows, columns=columns, size=size))


def _clip(action: str) -> SourceClip:
    """The most telling frame of a clip: the one furthest from standing."""
    motion = generate(action, seconds=3.0, seed=1).resample(10)
    bend = np.linalg.norm(motion.rotations[:, 1:22], axis=-1).sum(axis=1)
    frame = int(bend.argmax())
    if action == "kick":
        frame = int(motion.kinematics()[1].numpy()[:, [10, 11], 2].max(axis=1).argmax())
    chosen = motion.frames(frame, frame + 1)
    return SourceClip(chosen, None, None, 10.0, action)


class _Network:
    """A trained network and the body that motion is put on for it."""

    def __init__(self, name: str) -> None:
        trained = load_network(name)
        self.body: MeshAsset = next(iter(trained.templates.values()))
        self.transfer = PoseTransfer(
            trained.network, Template(self.body, normalize=trained.normalize), place="ground", align=True
        )

    def pose(self, target: Target, clip: SourceClip) -> Posed:
        assert clip.motion is not None
        figure = figure_poses(clip.motion, self.body)
        encoded = self.transfer.encode(figure.vertices, figure.rotations, figure.means)
        axes = target.standing.axes
        frames = self.transfer.transfer(encoded, target.template, turns=target.face_turns()) @ axes
        return Posed(frames, "npr", "", axes)


def _upright_body(network: _Network, clip: SourceClip) -> np.ndarray:
    assert clip.motion is not None
    return figure_poses(clip.motion, network.body).world[0]


def _targets(folder: Path, lowered: list[str], work: Path) -> Iterator[_Figure]:
    """Meshes without rigs, each with its truth."""
    for file in sorted(folder.glob("*.glb")):
        rig = Target(file, PARTS.get(file.stem))
        truth = partial(_rig_truth, rig) if _humanoid(rig) else None
        yield _Figure(write_mesh_glb(work / f"{file.stem}.glb", rig.mesh), truth)
        if file.stem in lowered:
            posed = pose_by_rig(rig, SourceClip(_a_pose(), None, None, 30.0, "a-pose"))
            moved = rig.mesh.moved(posed.frames[0])
            yield _Figure(write_mesh_glb(work / f"{file.stem}-a-pose.glb", moved), truth)
    body = load_body()
    for name in ("child", "heavy", "strong"):
        betas = torch.as_tensor(np.asarray(named_shapes()[name], np.float32))[None]
        yield _figure_of(name, body, betas, work)
    generator = np.random.default_rng(5)
    for number in range(_FIGURINES):
        sizes = random_proportions(generator)
        yield _figure_of(f"figurine{number}", proportioned(body, sizes, None), None, work)


def _figure_of(name: str, body: BodyModel, betas: torch.Tensor | None, work: Path) -> _Figure:
    """A body as a mesh; the truth is its own skin."""
    rest = body.rest_vertices(betas)[0].double().numpy()
    mesh = MeshAsset(rest, body.faces.numpy(), name=name)

    def truth(clip: SourceClip) -> np.ndarray:
        assert clip.motion is not None
        return figure_poses(clip.motion, None if betas is None else mesh, body).world

    return _Figure(write_mesh_glb(work / f"{name}.glb", mesh), truth)


def _rig_truth(rig: Target, clip: SourceClip) -> np.ndarray:
    return pose_by_rig(rig, clip).frames


def _humanoid(target: Target) -> bool:
    try:
        return target.rigged is not None and bool(HumanoidRig(target.rigged).nodes)
    except InputError:
        return False


def _a_pose() -> Motion:
    """One frame with the arms 45 degrees lower."""
    rotations = np.zeros((1, 52, 3), np.float32)
    rotations[0, 0] = Rotation.from_matrix([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).as_rotvec()
    for side, sign in (("left", -1), ("right", 1)):
        rotations[0, SMPLH52.index(f"{side}_shoulder")[0]] = [0, 0, np.radians(sign * 45)]
    return Motion(rotations, np.array([[0, 0, 1.0]], np.float32), 30.0, SMPLH52)


def _row(figure: _Figure, clips: dict[str, SourceClip], network: _Network, method: str) -> list[Cell]:
    target, name = Target(figure.path), figure.path.stem
    upright = PaintedMesh(target.mesh.moved(target.mesh.vertices @ target.standing.axes.T))
    cells = []
    for motion, clip in clips.items():
        posed, fault = _posed(target, clip, network, method)
        error = "" if figure.truth is None else f"{_pmd(posed.frames, figure.truth(clip)):.2f}"
        torn = torn_edges(target, posed.frames)
        print(f"| {name} | {motion} | {posed.method} | {error} | {torn:.3f} | {fault} |", flush=True)
        cells.append(Cell(upright, posed.frames[0] @ posed.axes.T, f"{name} {posed.method}"))
    return cells


def _posed(target: Target, clip: SourceClip, network: _Network, method: str) -> tuple[Posed, str]:
    if method != "npr":
        try:
            return pose_by_skin(target, clip), ""
        except InputError as error:
            if method == "skin":
                raise
            return network.pose(target, clip), str(error).splitlines()[0]
    return network.pose(target, clip), ""


def _pmd(frames: np.ndarray, truth: np.ndarray) -> float:
    """In thousandths of the longest side, mean vertices aligned."""
    pair = [part - part.mean(1, keepdims=True) for part in (frames, truth)]
    side = float(np.ptp(truth[0], axis=0).max())
    return 1000 * float(np.square(pair[0] - pair[1]).sum(-1).mean()) / side**2


if __name__ == "__main__":
    main()
