"""predict.py: files in, files out, as typed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contrapposto.cli import main
from contrapposto.errors import ConfigError, InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.synthetic import generate
from contrapposto.tasks.predict import compose, run_task

ROOT = Path(__file__).parents[2]


def predict(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "predict.py", *arguments], capture_output=True, text=True, check=False
    )


def test_convert_reads_and_writes_odd_names(tmp_path):
    motion = generate("walk", seconds=0.5, seed=0)
    source = tmp_path / "a walk = [1].bvh"
    write_motion(source, motion)
    result = predict(
        "task=convert", f"input={source}", f"output={tmp_path}/out (2)", "task.formats=[npz,glb]"
    )
    assert result.returncode == 0, result.stderr
    written = sorted(path.name for path in (tmp_path / "out (2)").iterdir())
    assert written == ["a walk = [1].glb", "a walk = [1].npz", "provenance.json"]
    back = read_motion(tmp_path / "out (2)" / "a walk = [1].npz")
    np.testing.assert_allclose(back.joint_positions()[:, 15], motion.joint_positions()[:, 15], atol=0.03)


def test_errors_are_one_message(tmp_path, capsys):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 truncated")
    for arguments, words in (
        (["task=convert"], "input=FILE"),
        (["task=convert", "input=missing.npz"], "missing.npz"),
        (["task=convert", f"input={tmp_path / 'broken.npz'}"], "broken.npz"),
        (["task=convert", f"input={tmp_path}"], str(tmp_path)),
        (["task=convert", "input=x.npz", "task.formats=[obj]"], "x.npz"),
        (["task=npr_transfer", "input=x.npz", "target=[a.obj,b.obj]"], "one file or folder"),
    ):
        assert main(["predict", *arguments, f"output={tmp_path / 'out'}"]) == 2
        printed = capsys.readouterr().err
        assert words in printed and printed.count("error:") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["task=anerf_render", "mode=retarget"], "motion=bad.bvh"),
        (["task=anerf_mesh"], "motion=bad.glb"),
        (["task=posegpt_forecast"], "past=bad.npz"),
        (["task=motion_error", "input=walk.npz"], "truth=bad.amc"),
        (["task=npr_generate"], "target=bad.ply"),
        (["task=npr_transfer", "source=walk.npz"], "target=bad.fbx"),
        (["task=rig"], "target=bad.obj"),
        (["task=retarget", "input=walk.npz"], "target=bad.vrm"),
        (["task=convert", "input=walk.npz"], "target_rig=bad.glb"),
        (["task=scail_pose", "video=walk.npz"], "reference=bad.png"),
        (["task=anerf_fit", "video=walk.npz"], "masks=bad"),
    ],
)
def test_every_file_is_opened_before_the_work(arguments, file, tmp_path, monkeypatch, capsys):
    """No output folder is made, no model is loaded, and nothing is said but the file's error."""
    monkeypatch.chdir(tmp_path)
    write_motion(tmp_path / "walk.npz", generate("walk", seconds=0.5, seed=0))
    name = file.partition("=")[2]
    (tmp_path / name).mkdir() if name == "bad" else (tmp_path / name).write_text("nothing")
    with pytest.raises(InputError, match=name):
        run_task(compose([*arguments, file]))
    assert not (tmp_path / "out").exists() and capsys.readouterr().out == ""


def test_a_folder_may_be_called_by_a_number():
    assert compose(["task=convert", "input=7", "output=2024"]).output == "2024"


def test_options_of_a_task_need_no_prefix():
    config = compose(["task=convert", "input=x.npz", "formats=[npz]", "task.fps=30"])
    assert config.task.formats == ["npz"] and config.task.fps == 30 and config.input == "x.npz"
    with pytest.raises(ConfigError, match="formtas"):
        compose(["task=convert", "formtas=[npz]"])
