"""predict.py pipeline=: whole chains with tiny untrained networks, resuming, and errors that name their stage."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from cli.launch import check_names
from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError
from contrapposto.io import read_motion, write_motion
from contrapposto.mesh import MeshAsset, write_mesh
from contrapposto.synthetic import generate
from contrapposto.systems.npr.body_poses import figure_poses
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.interchange import write_people
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.tasks.chains import RECORD
from contrapposto.tasks.motion import compare_motions
from contrapposto.tasks.predict import CHAINS as CHAIN_FILES
from contrapposto.tasks.predict import compose, predict, task_names
from contrapposto.video_file import VideoFile
from lightning_modules.npr import NPRModule
from lightning_modules.posegpt import PoseGPTModule
from lightning_modules.sage import SageRefinerModule
from tests.mesh.shapes import sphere
from tests.systems.scail_pose.test_figure_fit import FPS, Person, error, seen
from tests.tasks.test_generation import ENCODER
from tests.tasks.test_meshes import TINY as NPR
from tests.tasks.test_meshes import leave_run
from tests.tasks.test_tracking import TINY as SAGE

CHAINS = ("video_to_avatar", "headset_to_character", "label_to_character", "motion_to_trackers")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tracker, as a training leaves it."""
    folder = tmp_path_factory.mktemp("runs")
    run = folder / "sage_refiner" / "2026-01-01_00-00-00"
    (run / "checkpoints").mkdir(parents=True)
    torch.manual_seed(0)
    torch.save({"state_dict": SageRefinerModule(**SAGE).state_dict()}, run / "checkpoints" / "best.ckpt")
    module = {"_target_": "lightning_modules.sage.SageRefinerModule", **SAGE}
    OmegaConf.save(OmegaConf.create({"name": "sage_refiner", "module": module}), run / "config.yaml")
    result = {"model": "sage_refiner", "experiment": "sage_demo", "data": {"name": "demo"}, "mode": "min"}
    result |= {"checkpoint": "checkpoints/best.ckpt", "checkpoint_sha256": "", "monitor": None, "score": None}
    (run / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture(scope="module")
def npr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny mesh network that knows a coarse figure."""
    posed = figure_poses(generate("walk", seconds=0.5, seed=0).resample(4))
    some = np.linspace(0, len(posed.mesh.faces) - 1, 900).astype(int)
    used, faces = np.unique(posed.mesh.faces[some], return_inverse=True)
    template = MeshAsset(posed.mesh.vertices[used], faces.reshape(-1, 3))
    options = {"_target_": "lightning_modules.npr.NPRModule", "network": NPR}
    torch.manual_seed(0)
    return Path(leave_run(tmp_path_factory.mktemp("npr"), NPRModule(network=NPR), options, template))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_motion(tmp_path / "a walk.npz", generate("walk", seconds=0.6, seed=1))


def run(name: str, runs: Path, output: Path, *options: str) -> Path:
    inputs = [f"pipeline={name}", f"paths.runs={runs}", f"output={output}", *options]
    predict(compose(list(inputs)))
    return next(path for path in sorted(output.iterdir()) if path.is_dir())


QUICK = ("chain.error.options.task.video=false",)


def test_a_motion_is_found_again_from_its_trackers(
    runs: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run("motion_to_trackers", runs, tmp_path / "out", f"input={clip}", *QUICK)
    assert out.name == "a walk"
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [
        "01_trackers",
        "02_track",
        "03_error",
    ]
    actual = json.loads((out / "03_error" / "error.json").read_text())
    truth, tracked = read_motion(clip), read_motion(next((out / "02_track").glob("*.npz")))
    # The tracked clip begins a frame later, and its head is where the tracker was.
    aligned = truth.at_times((np.arange(tracked.num_frames) + 1) / 60, 60)
    apart = np.linalg.norm(tracked.joint_positions()[:, :22] - aligned.joint_positions()[:, :22], axis=-1)
    assert actual["metrics"]["mpjpe"] == pytest.approx(100 * apart.mean(), rel=1e-3)
    assert actual["joints"]["head"] < 0.2 < actual["metrics"]["mpjpe"] and actual["units"]["mpjpe"] == "cm"
    assert np.asarray(Image.open(out / "03_error" / "error.png")).std() > 10
    capsys.readouterr()
    run("motion_to_trackers", runs, tmp_path / "out", f"input={clip}", *QUICK)
    assert capsys.readouterr().out.count("done before") == 3
    run(
        "motion_to_trackers",
        runs,
        tmp_path / "out",
        f"input={clip}",
        *QUICK,
        "chain.track.options.task.reach=false",
    )
    assert capsys.readouterr().out.count("done before") == 1  # what comes after the change is made again
    os.utime(clip, ns=(1, 1))
    run(
        "motion_to_trackers",
        runs,
        tmp_path / "out",
        f"input={clip}",
        *QUICK,
        "chain.track.options.task.reach=false",
    )
    assert "done before" not in capsys.readouterr().out


def test_a_stage_that_was_interrupted_is_made_again(
    runs: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run("motion_to_trackers", runs, tmp_path / "out", f"input={clip}", *QUICK)
    for content in ("", "{", "[]", '{"key": "other"}'):
        (out / "02_track" / RECORD).write_text(content)
        capsys.readouterr()
        run("motion_to_trackers", runs, tmp_path / "out", f"input={clip}", *QUICK)
        assert capsys.readouterr().out.count("done before") == 2  # the same result: the last stage stands
    shutil.rmtree(out / "03_error")
    run("motion_to_trackers", runs, tmp_path / "out", f"input={clip}", *QUICK)
    assert (out / "03_error" / "error.json").exists()


def test_a_headset_moves_a_character(runs: Path, npr: Path, clip: Path, tmp_path: Path) -> None:
    target = write_mesh(tmp_path / "a ball.obj", sphere(1))
    options = (f"input={clip}", f"target={target}", f"ckpt.npr={npr}", "chain.mesh.options.task.fps=10")
    more = ("chain.mesh.options.task.formats=[glb]", "chain.track.options.task.formats=[npz]")
    out = run("headset_to_character", runs, tmp_path / "out", *options, *more)
    assert (out / "02_mesh" / "a ball.glb").stat().st_size > 1000
    record = json.loads((out / "02_mesh" / RECORD).read_text())
    assert record["checkpoint"] == str(npr) and record["files"] == ["a ball.glb", "a ball.json"]
    assert not (out / "overview.png").exists()  # no video was asked for


@pytest.mark.slow
def test_a_label_moves_a_character_and_becomes_a_pose_video(runs: Path, npr: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = {"width": 16, "num_layers": 1, "heads": 2, "block_size": 64}
    options = {"vqvae_network": ENCODER, "network": network, "vocabulary": ["walk", "sit down"], "window": 32}
    module = PoseGPTModule(**options, skeleton="smpl22", heading="canonical")
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    gpt = tmp_path / "gpt" / "checkpoints" / "best.ckpt"
    gpt.parent.mkdir(parents=True)
    (tmp_path / "gpt" / "config.yaml").write_text("name: posegpt_gpt\n")
    torch.save(content, gpt)
    target = write_mesh(tmp_path / "ball.obj", sphere(1))
    inputs = ("action=[walk, sit down]", "frames=12", f"target={target}", f"ckpt.npr={npr}")
    out = run(
        *("label_to_character", runs, tmp_path / "out", *inputs, f"ckpt.posegpt={gpt}"),
        *("+chain.motion.options.task.size=64", "+chain.mesh.options.task.size=64"),
        "+chain.pose.options.task.data.resolution=[128,224]",
    )
    assert len(list((out / "01_motion").glob("*.npz"))) == 1
    assert (out / "02_mesh" / "ball.glb").exists() and (out / "03_pose" / "rendered.mp4").exists()
    assert np.asarray(Image.open(out / "overview.png")).std() > 10


@pytest.mark.slow
def test_a_video_moves_an_avatar(shared_data: Path, tmp_path: Path) -> None:
    from tests.lightning_modules.anerf_tiny import tiny_splats, write_sticks
    from tests.lightning_modules.sage_tiny import entry_point

    write_sticks(tmp_path / "stores")
    entry_point("train", tiny_splats(tmp_path / "stores", tmp_path / "runs", "trainer.max_epochs=1"))
    video = shared_data / "video" / "tfjs_pose" / "pose_squats.mp4"
    task = "chain.avatar.options.task"
    out = run(
        *("video_to_avatar", tmp_path / "runs", tmp_path / "out", f"video={video}"),
        *("chain.pose.options.task.data.seconds=1", "+chain.pose.options.task.data.resolution=[256,448]"),
        *(f"{task}.data=sticks", f"{task}.experiment=null", f"{task}.height=24", f"{task}.fps=4"),
        *(f"{task}.speed=exact", f"paths.stores={tmp_path / 'stores'}"),
    )
    # five frames a second: the last frame of the first second was seen at 0.8
    assert read_motion(out / "02_motion" / "motion.npz").duration == pytest.approx(0.8, abs=0.05)
    assert len(list(VideoFile.open(next((out / "03_avatar").glob("*.mp4"))).frames())) in (4, 5)
    assert np.asarray(Image.open(out / "overview.png")).shape[1] == 1080


def test_errors_come_before_the_work(runs: Path, npr: Path, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    target = write_mesh(tmp_path / "ball.obj", sphere(1))
    for name in ("bad.obj", "bad.png"):
        (tmp_path / name).write_text("nothing")
    chain, other = "headset_to_character", "chain.mesh.options.task.experiment=gone"
    for options, kind, words in (
        ([], ConfigError, "needs input="),
        ([f"input={clip}"], ConfigError, "needs target="),
        (["input=none.csv", f"target={target}"], InputError, "Stage track: there is no file none.csv"),
        ([f"input={clip}", "target=none.obj"], InputError, "Stage mesh: there is no file none.obj"),
        ([f"input={clip}", f"target={tmp_path / 'bad.obj'}"], InputError, "Stage mesh: .*bad.obj"),
        ([f"input={clip}", f"target={target}", other], MissingError, "Stage mesh: There is no finished run"),
        (
            [f"input={clip}", f"target={target}", "ckpt.npr=gone"],
            MissingError,
            "ckpt.npr=gone does not exist",
        ),
        (
            [f"input={clip}", f"target={target}", f"ckpt.npr={npr}", "+chain.mesh.options.task.smoth=1"],
            ConfigError,
            "Stage mesh",
        ),
        ([f"input={clip}", f"target={target}", "task=convert"], ConfigError, "leave task= out"),
    ):
        with pytest.raises(kind, match=words):
            run(chain, runs, out, *options)
    with pytest.raises(InputError, match=r"Stage pose: .*bad\.png"):  # an image of the last stage
        image = f"reference={tmp_path / 'bad.png'}"
        run("label_to_character", runs, out, "action=walk", f"target={target}", f"ckpt.npr={npr}", image)
    assert not out.exists()
    with pytest.raises(MissingError) as caught:
        run(chain, runs, out, f"input={clip}", f"target={target}", other)
    assert "python train.py model=npr experiment=gone" in caught.value.fix and "ckpt.npr=" in caught.value.fix
    with pytest.raises(ConfigError, match="There is no pipeline 'sage'"):  # that one trains
        run("sage", runs, out)


def test_an_error_names_its_stage_and_earlier_ones_stay(
    runs: Path, npr: Path, clip: Path, tmp_path: Path
) -> None:
    target = write_mesh(tmp_path / "ball.obj", sphere(1))
    options = (f"input={clip}", f"target={target}", f"ckpt.npr={npr}")
    more = ("chain.track.options.task.formats=[npz]", "+chain.mesh.options.task.start=1000")
    with pytest.raises(
        ContrappostoError, match=r"Stage 2, mesh \(task=npr_transfer\), stopped: .* ends before"
    ):
        run("headset_to_character", runs, tmp_path / "out", *options, *more)
    stages = [path.name for path in (tmp_path / "out" / "a walk").iterdir() if path.is_dir()]
    assert stages == ["01_track"]
    with pytest.raises(ConfigError, match="Stage track: Unknown format 'gif'"):  # before any stage runs
        run(
            "headset_to_character", runs, tmp_path / "new", *options, "chain.track.options.task.formats=[gif]"
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", CHAINS)
def test_chains_refer_to_what_comes_before(name: str) -> None:
    config = OmegaConf.load(CHAIN_FILES / f"{name}.yaml")
    tasks = set(task_names())
    before: set[str] = set()
    for stage, node in config.chain.items():
        assert node.task in tasks
        text = OmegaConf.to_yaml(node.options, resolve=False)
        assert {word.split("/")[0] for word in text.split("@")[1:]} <= before
        before.add(str(stage))
    systems = {node.checkpoint.system for node in config.chain.values() if "checkpoint" in node}
    assert systems == set(config.ckpt)


def test_chains_are_not_for_training() -> None:
    with pytest.raises(ConfigError, match="There is no pipeline 'motion_to_trackers'"):
        check_names("train", ["pipeline=motion_to_trackers"])


def people_file(path: Path) -> Path:
    """Two people, the second one for a part of the time."""
    joints = seen(generate("walk", seconds=2.0, seed=1, fps=FPS)).astype(np.float32)
    empty = (np.zeros((134, 2), np.float32), np.zeros(134, np.float32))
    frames = []
    for number, places in enumerate(joints):
        shown = [(0, places)] + ([(3, places + np.float32([900, 0, 0]))] if 8 <= number < 24 else [])
        frames.append([Person(n, np.zeros(4, np.float32), 1.0, *empty, p) for n, p in shown])
    return write_people(path, ClipPoses(512, 896, FPS, default_intrinsics(512, 896), frames))


def test_people_of_a_clip_become_motions(tmp_path: Path) -> None:
    file = people_file(tmp_path / "motion.npz")
    walk = generate("walk", seconds=2.0, seed=1, fps=FPS)
    for person, frames in (("longest", walk.num_frames), ("3", 16)):
        options = [
            f"input={file}",
            f"output={tmp_path / person}",
            f"task.person={person}",
            "task.formats=[npz]",
        ]
        predict(compose(["task=people_motion", *options]))
        motion = read_motion(tmp_path / person / "motion.npz")
        assert motion.num_frames == frames
        assert error(motion, walk if person == "longest" else walk.frames(8, 24)) < 0.03
    with pytest.raises(InputError, match="no person 7"):
        predict(compose(["task=people_motion", f"input={file}", "task.person=7"]))


def test_differences_are_those_that_were_made() -> None:
    truth = generate("walk", seconds=1.0, seed=0)
    values, errors = compare_motions(truth, truth)
    assert max(values[n] for n in ("mpjpe", "pa_mpjpe", "mpjve", "mpjre")) < 1e-2 and errors.shape[1] == 22
    moved = truth.transform(np.eye(3), (0.03, 0.04, 0))
    values, errors = compare_motions(moved, truth)
    assert values["mpjpe"] == pytest.approx(5, abs=1e-3) and values["pa_mpjpe"] < 1e-2 > values["mpjve"]
    np.testing.assert_allclose(errors, 5, atol=1e-3)
    assert values["jitter"] == pytest.approx(values["true_jitter"], rel=1e-2)
