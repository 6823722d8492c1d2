"""predict.py task=sage_track on recordings, with a tiny untrained tracker in a run directory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.io import read_motion, write_motion
from contrapposto.io.device_csv import write_csv
from contrapposto.io.devices import devices_of
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.recurrent_tracker import Tracker
from contrapposto.tasks.predict import compose, predict
from contrapposto.tasks.sage import SageTrack, part_of
from lightning_modules.sage import SageRefinerModule, TrackerModule
from tests.io.test_quest import STILL, record
from tests.systems.sage.test_features import motion

TINY = {
    "latent": 16,
    "diffusion": {"width": 32, "heads": 2, "layers": 2},
    "decoder_network": {"hidden": 32, "heads": 2, "layers": 1},
    "network": {"hidden": 24},
}


SMALL = {"network": {"width": 16}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """As finished trainings leave them."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    _finished(folder, "sage_refiner", SageRefinerModule, TINY, "demo", "sage_demo")
    _finished(folder, "tracker", TrackerModule, SMALL, "open_motion", "sage_open_free")
    return folder


def _finished(folder, model, kind, options, data, experiment):
    run = folder / model / "2026-01-01_00-00-00"
    (run / "checkpoints").mkdir(parents=True)
    content = {"state_dict": kind(**options).state_dict(), "hyper_parameters": options}
    torch.save(content, run / "checkpoints" / "best.ckpt")
    module = {"_target_": f"lightning_modules.sage.{kind.__name__}", **options}
    OmegaConf.save(OmegaConf.create({"name": model, "module": module}), run / "config.yaml")
    result = {
        "model": model,
        "experiment": experiment,
        "data": {"name": data},
        "checkpoint": "checkpoints/best.ckpt",
        "checkpoint_sha256": "",
        "monitor": None,
        "mode": "min",
        "score": None,
    }
    (run / "result.json").write_text(json.dumps(result))


@pytest.fixture
def track(runs, tmp_path):
    def run(source, *options, method="sage"):
        arguments = [f"input='{source}'", f"output='{tmp_path / 'out'}'", f"paths.runs='{runs}'"]
        method = [f"task.method={method}"] if method else []
        predict(compose(["task=sage_track", "task.formats=[npz,bvh]", *method, *arguments, *options]))
        files = (tmp_path / "out").iterdir()
        return {path.name: path for path in files if path.name != "provenance.json"}

    return run


def test_the_tracker_is_the_default_and_finishes_as_in_its_evaluation(track, runs, tmp_path, capsys):
    """Hands on their devices, no joint below the floor; options turn both off."""
    clip = motion(frames=61)
    write_motion(tmp_path / "clip.npz", clip)
    body = read_motion(track(tmp_path / "clip.npz", method=None)["clip_tracked.npz"])
    expected = Tracker.from_pretrained(runs / "tracker" / "2026-01-01_00-00-00")
    assert str(expected.finishing) in capsys.readouterr().out
    assert body.metadata["post_processing"] == str(expected.finishing)
    joints = expected.track(sage_features(clip)["sparse"]).joints.numpy()
    np.testing.assert_allclose(body.joint_positions()[:, :22], joints, atol=1e-3)
    assert body.joint_positions()[..., 2].min() > -1e-3
    bare = ["task.reach=false", "task.smooth=false", "task.floor=false"]
    body = read_motion(track(tmp_path / "clip.npz", *bare, method=None)["clip_tracked.npz"])
    assert np.linalg.norm(body.joint_positions()[:, :22] - joints, axis=-1).max() > 0.01


def test_a_clip(track, tmp_path):
    clip = motion(frames=61)
    write_motion(tmp_path / "a clip.npz", clip)
    actual = track(tmp_path / "a clip.npz")
    assert sorted(actual) == ["a clip_tracked.bvh", "a clip_tracked.npz", "a clip_tracked_devices.csv"]
    body = read_motion(actual["a clip_tracked.npz"])
    assert body.num_frames == 60 and body.fps == 60
    head = clip.joint_positions()[1:, 15]
    np.testing.assert_allclose(body.joint_positions()[:, 15], head, atol=1e-3)
    exact = read_motion(track(tmp_path / "a clip.npz", "task.speed=exact")["a clip_tracked.npz"])
    np.testing.assert_allclose(exact.joint_positions(), body.joint_positions(), atol=1e-3)


def test_a_log_of_the_quest_app_and_a_wearer_of_another_size(track, tmp_path, capsys):
    (tmp_path / "log.txt").write_text("\n".join([record(STILL, 72.0)] * 144)[:-40])
    body = read_motion(track(tmp_path / "log.txt")["log_tracked.npz"])
    assert body.num_frames == pytest.approx(142 / 72 * 60, abs=2)
    np.testing.assert_allclose(
        body.joint_positions()[:, 15], [[-0.1, -0.2, 1.7]] * body.num_frames, atol=1e-3
    )
    assert "1 x is cut off" in capsys.readouterr().out
    large = read_motion(track(tmp_path / "log.txt", "task.height=auto")["log_tracked.npz"])
    assert 1.1 < float(large.metadata["scale"]) < 1.2 and large.betas[0] > 0.5
    with pytest.raises(InputError, match="cut off"):
        track(tmp_path / "log.txt", "task.strict=true")
    with pytest.raises(InputError, match="size"):
        track(tmp_path / "log.txt", "task.height=17")


def test_a_stretch_of_a_csv(track, tmp_path):
    write_csv(tmp_path / "track.csv", devices_of(motion(frames=121)))
    body = read_motion(track(tmp_path / "track.csv", "task.start=0.5", "task.seconds=1")["track_tracked.npz"])
    assert body.num_frames == pytest.approx(59, abs=1)
    parts = list(part_of(iter([devices_of(motion(frames=121))]), None, 0.25))
    assert len(parts[0]) == 15


def test_what_cannot_be_done(track, tmp_path):
    write_csv(tmp_path / "track.csv", devices_of(motion(frames=31)))
    for options, words in (
        (["task.speed=fast"], "speed"),
        (["task.formats=[obj]"], "format"),
        (["task.axes=openxr"], "T-pose"),
        (["task.axes=vive"], "axis convention"),
        (["task.steps=0"], "steps"),
        (["task.method=magic"], "method"),
    ):
        with pytest.raises(Exception, match=words) as caught:
            track(tmp_path / "track.csv", *options)
        assert "ConfigError" in repr(caught.value) or "ConfigError" in str(caught.value)
    with pytest.raises(InputError, match="T-pose"):
        track(tmp_path / "track.csv", "task.calibrate=0.2")
    with pytest.raises(InputError, match="There is no file"):
        track(tmp_path / "none.csv")
    with pytest.raises(MissingError, match="no finished run"):
        track(tmp_path / "track.csv", "task.data=amass")
    with pytest.raises(ConfigError, match="this machine"):
        track("udp://0.0.0.0:9000")


def test_options_and_file_agree():
    task = compose(["task=sage_track"]).task
    import inspect

    names = set(inspect.signature(SageTrack.__init__).parameters) - {"self"}
    assert names == set(task) - {"_target_"}


def test_sage_that_ships_is_used_where_the_demo_has_not_been_trained(runs, tmp_path, capsys):
    clip = write_motion(tmp_path / "clip.npz", motion(seed=3, frames=70))
    for folder, shipped in ((tmp_path / "none", True), (runs, False)):
        options = ["task=sage_track", "task.method=sage", "task.formats=[npz]", f"input={clip}"]
        predict(compose([*options, f"output={tmp_path / str(shipped)}", f"paths.runs={folder}"]))
        assert ("the bundled model is used" in capsys.readouterr().out) == shipped
    shipped, demo = (read_motion(tmp_path / name / "clip_tracked.npz") for name in ("True", "False"))
    assert np.abs(shipped.rotations - demo.rotations).max() > 0.1


def test_a_recording_is_looked_through_once(tmp_path):
    # For its T-pose, and again for how high the wearer stands in it: the file may be gone by then.
    file = write_csv(tmp_path / "track.csv", devices_of(motion(frames=31)))
    task = SageTrack()
    first = task._places(file)
    file.unlink()
    for a, b in zip(first, task._places(file)):
        np.testing.assert_array_equal(a, b)
