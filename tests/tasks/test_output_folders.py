"""Every task with `output=` at the folder of its inputs: nothing that was there changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.files import sha256
from contrapposto.io import write_motion
from contrapposto.mesh import MeshAsset, write_mesh
from contrapposto.synthetic import generate
from contrapposto.systems.npr.body_poses import figure_poses
from contrapposto.systems.npr.data.mesh_store import Identity, Origin, write_store
from contrapposto.systems.scail_pose.lifter import Lifter
from contrapposto.tasks.predict import compose, predict, task_names
from lightning_modules.npr import NPRModule
from lightning_modules.sage import SageVQVAEModule
from tests.mesh.characters import write_character
from tests.mesh.shapes import sphere
from tests.systems.anerf.data.test_anerf_video import take  # noqa: F401
from tests.tasks.test_chains import people_file
from tests.tasks.test_meshes import TINY as NPR
from tests.tasks.test_meshes import leave_run, source_mesh

Case = Callable[[Path], list[str]]
_CODES = {"num_layers": [1, 1], "hidden": 32, "heads": 4, "num_books": 4, "num_codes": 16, "code_dim": 32}


def clip(folder: Path, name: str = "motion.npz") -> Path:
    return Path(write_motion(folder / name, generate("walk", seconds=0.3, seed=0).resample(30)))


def with_clip(folder: Path) -> list[str]:
    return [f"input={clip(folder)}"]


def with_bvh(folder: Path) -> list[str]:
    return [f"input={clip(folder, 'motion.bvh')}"]


def with_truth(folder: Path) -> list[str]:
    return [*with_bvh(folder), f"truth={clip(folder)}"]


def with_people(folder: Path) -> list[str]:
    return [f"input={people_file(folder / 'motion.npz')}"]


def with_character(folder: Path) -> list[str]:
    return [*with_clip(folder), f"target={write_character(folder / 'mine.glb')}"]


def with_figure(folder: Path) -> list[str]:
    posed = figure_poses(generate("stand", seconds=0.1, seed=0).resample(30))
    return [f"target={write_mesh(folder / 'mine.obj', MeshAsset(posed.mesh.vertices, posed.mesh.faces))}"]


def npr_run(folder: Path) -> Path:
    torch.manual_seed(0)
    options = {"_target_": "lightning_modules.npr.NPRModule", "network": NPR}
    return Path(leave_run(folder / "run", NPRModule(network=NPR), options, source_mesh()))


def with_poses(folder: Path) -> list[str]:
    mesh = source_mesh()
    for name in ("template", "0", "1"):
        write_mesh(folder / "poses" / f"{name}.obj", mesh)
    target = write_mesh(folder / "ball.obj", sphere(1))
    return [f"source={folder / 'poses'}", f"target={target}", f"ckpt={npr_run(folder)}"]


def with_store(folder: Path) -> list[str]:
    ball = source_mesh()
    shapes = {"ball": ball, "long": ball.moved(ball.vertices * [1, 1, 2])}
    some = [Identity(name, mesh, np.stack([mesh.vertices] * 2), ["a", "b"]) for name, mesh in shapes.items()]
    write_store(folder / "store", some, Origin("test", "made", "CC0-1.0"))
    return [f"source={folder / 'store'}", f"ckpt={npr_run(folder)}"]


def with_autoencoders(folder: Path) -> list[str]:
    options = with_clip(folder)
    for part in ("upper", "lower"):
        run = folder / part
        (run / "checkpoints").mkdir(parents=True)
        module = SageVQVAEModule(part=part, network=_CODES)
        content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
        torch.save(content, run / "checkpoints" / "best.ckpt")
        (run / "config.yaml").write_text(f"name: sage_{part}_vqvae\n")
        options.append(f"task.{part}={run / 'checkpoints' / 'best.ckpt'}")
    return options


def with_lifter(folder: Path) -> list[str]:
    options = {"width": 24, "heads": 2, "layers": 1}
    network = Lifter(**options, window=8)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    given = {"state_dict": state, "hyper_parameters": {"network": options, "window": 8}}
    torch.save(given, folder / "best.ckpt")
    return [f"input={folder / 'best.ckpt'}"]


def nothing(folder: Path) -> list[str]:
    return []


_RENDER = ["mode=bullet", "ckpt=anerf_splat", "task.options={count:2}", "task.height=24"]
_FIT = ["task.steps=2", "task.gaussians=100", "task.preview=2"]

CASES: dict[str, tuple[Case, list[str], list[str]]] = {
    "anerf_fit": (nothing, _FIT, ["poses.npz", "masks/", "scene/", "preview.png"]),
    "anerf_mesh": (nothing, ["ckpt=anerf_splat"], ["skinned.glb", "splats.ply"]),
    "anerf_render": (nothing, [*_RENDER, "task.formats=[mp4,png]"], ["bullet.mp4", "bullet/"]),
    "convert": (with_bvh, ["task.formats=[npz,bvh,glb]"], ["motion.npz", "motion.glb", "motion.mp4"]),
    "motion_error": (with_truth, ["task.video=false"], ["error.json", "error.csv"]),
    "npr_evaluate": (with_store, ["task.seen=true", "task.views=false"], ["pairs.json", "pairs.md"]),
    "npr_generate": (
        nothing,
        ["count=1", "ckpt=npr_feature_diffusion", "task.steps=1", "task.formats=[obj]"],
        ["template_generated.obj"],
    ),
    "npr_transfer": (with_poses, ["task.formats=[obj,glb]"], ["ball.glb", "ball_obj/", "ball.json"]),
    "people_motion": (with_people, ["task.formats=[npz,bvh]"], ["motion.bvh"]),
    "posegpt_forecast": (
        with_clip,
        ["action=walk", "frames=4", "count=1", "task.formats=[npz]"],
        ["motion_walk_seed0.npz"],
    ),
    "posegpt_sample": (
        nothing,
        ["action=walk", "frames=4", "count=2", "task.formats=[npz]"],
        ["walk_seed0_2.npz"],
    ),
    "retarget": (with_character, ["task.video=false"], ["mine_motion.glb"]),
    "rig": (with_figure, [], ["mine_rigged.glb"]),
    "sage_export": (nothing, ["input=sage_student"], ["sage_student.onnx"]),
    "sage_reconstruct": (with_autoencoders, ["task.formats=[npz]"], ["motion_reconstructed.npz"]),
    "sage_track": (
        with_clip,
        ["task.formats=[npz,bvh]"],
        ["motion_tracked.bvh", "motion_tracked_devices.csv"],
    ),
    "scail_lifter_export": (with_lifter, [], ["scail_lifter.onnx"]),
    "scail_pose": (with_clip, ["task.data.resolution=[64,64]"], ["rendered.mp4", "report.json"]),
    "trackers": (with_bvh, [], ["trackers.csv", "motion.npz"]),
}
"""By task: what writes its inputs and names them, further options, and files of the user with names of results."""
_SLOW = ("scail_lifter_export", "sage_export")
_TWICE = ("convert", "npr_transfer", "posegpt_sample", "scail_pose", "anerf_fit")
_TASKS = [pytest.param(task, marks=pytest.mark.slow) if task in _SLOW else task for task in CASES]


def test_every_task_is_here() -> None:
    assert set(CASES) == set(task_names())


def plant(folder: Path, names: list[str]) -> None:
    """Files of the user, unless an input has the name."""
    for name in names:
        path = folder / name / "mine.txt" if name.endswith("/") else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text("mine")


@pytest.mark.parametrize("task", _TASKS)
def test_nothing_that_was_there_changes(
    task: str,
    tmp_path: Path,
    take: Path,  # noqa: F811
) -> None:
    make, more, names = CASES[task]
    options = make(tmp_path)
    if task == "anerf_fit":
        shutil.copytree(take, tmp_path, dirs_exist_ok=True)
        options = [f"{kind}={tmp_path / name}" for kind, name in
                   (("video", "video.mp4"), ("poses", "poses.npz"), ("masks", "masks"))]  # fmt: skip
    plant(tmp_path, names)
    before = {path: sha256(path) for path in tmp_path.rglob("*") if path.is_file()}
    given = [f"task={task}", f"output={tmp_path}", f"paths.runs={tmp_path / 'none'}", *options, *more]
    counts = []
    for _ in range(1 + (task in _TWICE)):  # the second run replaces what the first one wrote
        predict(compose(given))
        assert {path: sha256(path) for path in before} == before
        counts.append(sum(path.is_file() for path in tmp_path.rglob("*")))
    assert counts[0] == counts[-1] > len(before) + 1


def test_a_named_file_is_refused_before_the_work(tmp_path: Path) -> None:
    options = with_figure(tmp_path)
    file = tmp_path / "mine.glb"
    file.write_text("mine")
    with pytest.raises(InputError, match="did not write it"):
        predict(compose(["task=rig", *options, f"output={file}"]))
    assert file.read_text() == "mine"


def test_stages_of_a_chain_are_refused_before_the_first(tmp_path: Path) -> None:
    path = clip(tmp_path, "walk.npz")
    last = tmp_path / "walk" / "03_error"
    last.mkdir(parents=True)
    (last / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.txt"):
        predict(compose(["pipeline=motion_to_trackers", f"input={path}", f"output={tmp_path}"]))
    assert [file.name for file in (tmp_path / "walk").iterdir()] == ["03_error"]
