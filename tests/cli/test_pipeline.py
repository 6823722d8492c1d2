"""Pipelines: stages in order, finished ones skipped."""

import pytest

from cli import pipeline
from cli.launch import compose_config
from cli.runs import new_run_directory, write_result
from contrapposto.errors import ConfigError


def finish(runs, model, data, experiment):
    run = new_run_directory(runs, model)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    config = compose_config("train", [f"model={model}", f"experiment={experiment}"])
    return write_result(
        run, config, {"name": data}, run / "checkpoints" / "best.ckpt", "val/mpjpe", "min", 1.0
    )


def test_finished_stages_are_skipped_and_only_those(tmp_path, capsys):
    overrides = ["pipeline=sage_vqvae", "experiment=sage_demo", f"paths.runs={tmp_path}"]
    for model in ("sage_upper_vqvae", "sage_lower_vqvae"):
        finish(tmp_path, model, "demo", "sage_demo")
    pipeline.run_pipeline(compose_config("train", overrides), overrides)
    assert capsys.readouterr().out.count("skipped") == 2


def test_a_stage_that_fails_stops_the_pipeline(tmp_path):
    # There is no store there, so the first stage's preflight refuses.
    overrides = [
        "pipeline=sage_vqvae",
        "experiment=sage_demo",
        f"paths.runs={tmp_path}",
        f"paths.stores={tmp_path}",
        "trainer.accelerator=cpu",
    ]
    with pytest.raises(Exception, match="sage_upper_vqvae of the pipeline stopped"):
        pipeline.run_pipeline(compose_config("train", overrides), overrides)


def test_a_pipeline_names_its_models_itself(tmp_path):
    overrides = ["pipeline=sage_vqvae", "model=sage_lower_vqvae"]
    with pytest.raises(ConfigError, match="names the models"):
        pipeline.run_pipeline(compose_config("train", overrides), overrides)
