"""Run directories and how later stages find earlier ones."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cli.runs import (
    hold,
    new_run_directory,
    register_best_resolver,
    save_config,
    unfinished_runs,
    write_result,
)
from contrapposto.errors import ConfigError, MissingError
from contrapposto.runs import best_run, finished_runs, load_config

ROOT = Path(__file__).parents[2]


def finish(runs, model, score, *, data="demo", experiment=None, mode="min"):
    run = new_run_directory(runs, model)
    checkpoint = run / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"weights")
    config = OmegaConf.create({"name": model, "experiment_name": experiment})
    return write_result(run, config, {"name": data}, checkpoint, "val/x", mode, score)


def test_runs_in_the_same_second_get_different_folders(tmp_path):
    folders = {new_run_directory(tmp_path, "m") for _ in range(5)}
    assert len(folders) == 5


def test_the_best_of_the_same_data_and_experiment_is_found(tmp_path):
    finish(tmp_path, "m", 3.0)
    best = finish(tmp_path, "m", 1.0)
    finish(tmp_path, "m", 2.0)
    finish(tmp_path, "m", 0.1, data="amass")
    finish(tmp_path, "m", 0.2, experiment="small")
    assert best_run(tmp_path, "m", "demo", None).run == best.run


def test_higher_is_better_where_the_mode_says_so(tmp_path):
    finish(tmp_path, "m", 1.0, mode="max")
    best = finish(tmp_path, "m", 3.0, mode="max")
    assert best_run(tmp_path, "m", "demo", None).run == best.run


def test_a_missing_stage_names_the_command_that_makes_it(tmp_path):
    finish(tmp_path, "m", 1.0, data="amass")
    with pytest.raises(MissingError) as caught:
        best_run(tmp_path, "m", "demo", "small")
    assert caught.value.fix == "python train.py model=m experiment=small data=demo"
    assert "data=amass" in caught.value.found


def test_the_resolver_gives_the_checkpoint(tmp_path):
    register_best_resolver()
    result = finish(tmp_path, "first", 1.0)
    config = OmegaConf.create(
        {
            "paths": {"runs": str(tmp_path)},
            "data": {"name": "demo"},
            "experiment_name": None,
            "module": {"stage": "${best:first}"},
        }
    )
    assert config.module.stage == str(result.checkpoint)


def test_damaged_and_unfinished_runs_are_told_apart(tmp_path):
    good = finish(tmp_path, "m", 1.0)
    bad = finish(tmp_path, "m", 2.0)
    (bad.run / "result.json").write_text("{")
    assert [result.run for result in finished_runs(tmp_path, "m")] == [good.run]
    assert unfinished_runs(tmp_path, "m", "demo", None) == []
    (bad.run / "result.json").unlink()
    (bad.run / "config.yaml").write_text("data: {name: demo}\nexperiment_name: null\n")
    assert unfinished_runs(tmp_path, "m", "demo", None) == [bad.run]


def test_a_run_of_another_experiment_or_in_use_is_not_resumed(tmp_path):
    run = finish(tmp_path, "m", 1.0).run
    (run / "result.json").unlink()
    (run / "config.yaml").write_text("data: {name: demo}\nexperiment_name: long\n")
    assert unfinished_runs(tmp_path, "m", "demo", "short") == []
    assert unfinished_runs(tmp_path, "m", "other", "long") == []
    assert unfinished_runs(tmp_path, "m", "demo", "long") == [run]
    code = f"from pathlib import Path\nfrom cli.runs import hold\nwith hold(Path({str(run)!r})): input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT) as other:
        deadline = time.monotonic() + 20
        while unfinished_runs(tmp_path, "m", "demo", "long") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert unfinished_runs(tmp_path, "m", "demo", "long") == []
        with pytest.raises(ConfigError, match="another process"), hold(run):
            pass
        other.kill()
    assert unfinished_runs(tmp_path, "m", "demo", "long") == [run]


def test_a_saved_configuration_keeps_references_and_fixes_checkpoints(tmp_path):
    register_best_resolver()
    result = finish(tmp_path, "first", 1.0)
    config = OmegaConf.create(
        {
            "paths": {"runs": str(tmp_path), "run": "old"},
            "data": {"name": "demo"},
            "experiment_name": None,
            "module": {"stages": ["${best:first}"], "folder": "${paths.run}"},
        }
    )
    save_config(config, tmp_path)
    finish(tmp_path, "first", 0.5)  # a better one, later
    saved = load_config(tmp_path)
    saved.paths.run = "new"
    assert saved.module.stages[0] == str(result.checkpoint)
    assert saved.module.folder == "new"
