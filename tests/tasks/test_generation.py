"""predict.py task=posegpt_sample and posegpt_forecast: labels as typed, files, errors as one message, reload."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from cli.tables import generation_table
from contrapposto.errors import ConfigError, ContrappostoError, MissingError
from contrapposto.io import read_motion, write_motion
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.tasks.posegpt import PoseGPTForecast, PoseGPTSample
from contrapposto.tasks.predict import compose
from lightning_modules.posegpt import PoseGPTModule

WORDS = ["walk", "communicate (vocalise)", "move up/down incline"]
ENCODER = {
    "variant": "causal",
    "hidden": 16,
    "num_layers": [0, 1],
    "heads": 2,
    "num_codes": 16,
    "code_dim": 8,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny generator, as a training would leave it."""
    torch.manual_seed(0)
    options = {
        "vqvae_network": ENCODER,
        "network": {"width": 16, "num_layers": 1, "heads": 2, "block_size": 64},
        "vocabulary": WORDS,
        "window": 32,
        "skeleton": "smpl22",
        "heading": "canonical",
    }
    module = PoseGPTModule(**options)
    run = tmp_path_factory.mktemp("run")
    (run / "checkpoints").mkdir()
    (run / "config.yaml").write_text("name: posegpt_gpt\n")
    path = run / "checkpoints" / "best.ckpt"
    content = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save({**content, "provenance": {"data": {"licence": "CC0-1.0"}}}, path)
    return path


def config(*overrides):
    return compose(list(overrides))


def run(task, output, *overrides):
    given = config(f"task=posegpt_{task}", *overrides)
    kind = PoseGPTSample if task == "sample" else PoseGPTForecast
    return kind(formats=["npz", "glb"])(given, None, output)


def test_a_motion_for_every_label_as_typed(checkpoint, tmp_path):
    typed = "action=[communicate (vocalise), move up/down incline]"
    paths = run("sample", tmp_path, typed, "frames=[9,40]", "count=2", f"ckpt={checkpoint}")
    assert sorted(path.suffix for path in paths) == [".glb", ".glb", ".npz", ".npz"]
    clip = read_motion(next(path for path in paths if path.suffix == ".npz"))
    assert clip.num_frames == 49 and clip.fps == 30
    again = run("sample", tmp_path / "again", typed, "frames=[9,40]", "count=1", f"ckpt={checkpoint}")
    first = sorted(path for path in paths if path.suffix == ".npz")[0]
    assert np.allclose(read_motion(again[0]).rotations, read_motion(first).rotations, atol=1e-4)


def test_a_clip_goes_on(checkpoint, tmp_path):
    past = tmp_path / "a past = [1].npz"
    write_motion(past, generate("walk", seconds=1.0, seed=0))
    paths = run("forecast", tmp_path, f"past={past}", "past_seconds=0.5", "action=walk", "frames=20", "count=1",
                f"ckpt={checkpoint}")  # fmt: skip
    clip, before = read_motion(paths[0]), read_motion(past).trim(0, 0.5).resample(30)
    assert clip.num_frames == before.num_frames + 20
    assert np.abs(clip.joint_positions()[0, :22] - before.joint_positions()[0, :22]).max() < 1e-3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["action=wlak"], "walk"),
        ([], "walk"),
        (["action=walk", "frames=0"], "0 frames"),
        (["action=walk", "frames=99999999"], "an hour"),
        (["action=walk", "frames=1.5"], "frames=1.5"),
        (["action=walk", "count=0"], "count=0"),
        (["action=[walk,walk]", "frames=[3]"], "2 actions with 1 lengths"),
        (["action=walk", "seed=x"], "seed=x"),
    ],
)
def test_mistakes_are_one_message_and_no_files(checkpoint, tmp_path, given, words):
    with pytest.raises(ContrappostoError, match=words):
        run("sample", tmp_path / "out", *given, f"ckpt={checkpoint}")
    assert not (tmp_path / "out").exists()


def test_other_files_are_no_generators(checkpoint, tmp_path):
    with pytest.raises(MissingError):
        MotionGenerator.from_pretrained(tmp_path / "none.ckpt")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("name: posegpt_gpt\n")
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "checkpoints" / "other.ckpt")
    with pytest.raises(ContrappostoError, match="posegpt_gpt"):
        MotionGenerator.from_pretrained(tmp_path / "checkpoints" / "other.ckpt")
    with pytest.raises(ConfigError, match="past"):
        run("forecast", tmp_path, "action=walk", f"ckpt={checkpoint}")
    assert MotionGenerator.from_pretrained(checkpoint).metadata == {"model_licence": "CC0-1.0"}


def test_the_table_shows_intervals_where_there_are_repeats():
    content = {
        "sources": {
            "real": {"fid": {"mean": 0.0, "interval": None}, "accuracy": {"mean": 0.5, "interval": None}},
            "model": {"fid": {"mean": 1.234, "interval": 0.056}, "ade": {"mean": 0.4, "interval": 0.01}},
        }
    }
    lines = generation_table(content).splitlines()
    assert lines[2].split() == ["model", "1.23", "±0.06", "-"]
    assert lines[5].split() == ["model", "0.40", "±0.01"]
    assert "| model | 1.23 ±0.06 | - |" in generation_table(content, as_markdown=True)


def test_interpolations_of_the_tasks_resolve():
    for task in ("sample", "forecast"):
        assert OmegaConf.to_container(config(f"task=posegpt_{task}"), resolve=True)["frames"] == 120
