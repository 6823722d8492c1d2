"""Trainings as functions of a configuration: where results go, what is refused, how a run ends and continues."""

import json
import os
import signal
import subprocess
import sys
import zipfile

import pytest
from omegaconf import OmegaConf, open_dict

from callbacks import load_checkpoint
from cli.compose import ROOT, compose_config
from cli.evaluate import _output_directory, evaluate
from cli.launch import launch
from cli.report import print_places
from cli.resume import resumed_config
from cli.train import train
from contrapposto.errors import ConfigError, InputError, MissingError
from contrapposto.runs import ZOO, load_config
from tests.cli.small import SmallModule, command, configuration


def evaluation(runs, *more):
    return compose_config("evaluate", [*command(runs), *more])


def interrupt(runs, *more):
    """A run with a checkpoint of step 3 and no result."""
    result = train(configuration(runs, "callbacks.resume.every_n_steps=3", *more))
    (result.run / "result.json").unlink()
    for name in ("last.ckpt",):
        (result.run / "checkpoints" / name).unlink()
    (result.run / "checkpoints" / "previous.ckpt").rename(result.run / "checkpoints" / "last.ckpt")
    return result.run


def test_a_notebook_trains_and_evaluates_a_plain_data_module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ipykernel", "model=nonsense", "seed=99", "-f", "x.json"])
    result = train(configuration(tmp_path))
    assert result.model == "small" and result.data == {"name": "made"}
    output = evaluate(evaluation(tmp_path))
    measured = json.loads((output / "metrics.json").read_text())["test"]["metrics"]["test/loss"]
    assert measured == pytest.approx(result.score, rel=1e-5)
    assert output.parent.parent == result.run


def test_the_optimiser_and_the_schedule_are_chosen_on_the_command_line(tmp_path):
    options = ("optimizer=sgd", "optimizer.lr=0.05", "scheduler=cosine", "scheduler.warmup_steps=2")
    result = train(configuration(tmp_path, *options))
    saved = load_checkpoint(result.run / "checkpoints" / "last.ckpt")
    group = saved["optimizer_states"][0]["param_groups"][0]
    assert group["momentum"] == 0.9 and "betas" not in group
    assert group["initial_lr"] == 0.05 and group["lr"] < 0.01  # the end of the cosine
    torchs = train(
        configuration(
            tmp_path, "scheduler._target_=torch.optim.lr_scheduler.ExponentialLR", "scheduler.gamma=0.5"
        )
    )
    lrs = load_checkpoint(torchs.run / "checkpoints" / "last.ckpt")["lr_schedulers"][0]["_last_lr"]
    assert lrs == pytest.approx([0.01 * 0.5**2])  # after every epoch


def test_gradients_are_clipped_in_mixed_precision(tmp_path):
    """Lightning refuses to clip gradients of fused optimisers there."""
    result = train(configuration(tmp_path, "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1.0"))
    group = load_checkpoint(result.run / "checkpoints" / "last.ckpt")["optimizer_states"][0]["param_groups"][
        0
    ]
    assert not group["fused"]


def test_every_job_of_an_evaluation_sweep_has_a_place_of_its_own(tmp_path):
    first = train(configuration(tmp_path))
    second = train(configuration(tmp_path, name="second"))
    outputs = [
        evaluate(compose_config("evaluate", [*command(tmp_path, name=name), f"stage={stage}"]))
        for name in ("small", "second")
        for stage in ("val", "test")
    ]
    assert len(set(outputs)) == 4
    assert [output.parent.parent for output in outputs] == [first.run, first.run, second.run, second.run]


@pytest.mark.parametrize("job", [{"SLURM_JOB_ID": "7"}, {"TORCHELASTIC_RUN_ID": "x"}])
def test_trainings_of_one_job_have_runs_of_their_own(tmp_path, monkeypatch, job):
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    runs = {train(configuration(tmp_path, f"seed={seed}")).run for seed in (1, 2)}
    assert len(runs) == 2


def test_a_run_that_was_moved_continues_where_it_is(tmp_path):
    run = interrupt(tmp_path / "old")
    moved = tmp_path / "elsewhere" / run.name
    moved.parent.mkdir()
    run.rename(moved)
    result = train(compose_config("train", [f"resume={moved}"]))
    assert result.checkpoint.is_relative_to(moved)
    assert not run.exists()
    assert load_checkpoint(moved / "checkpoints" / "last.ckpt")["global_step"] == 8


def test_options_of_a_resumed_run_are_applied_or_refused(tmp_path):
    run = interrupt(tmp_path)
    for option in ("seed=99", "+data.name=other", "optimizer=sgd", "optimizer.lr=1", "+module.width=4"):
        with pytest.raises(ConfigError, match="other options") as caught:
            train(compose_config("train", [f"resume={run}", option]))
        assert option.lstrip("+").partition("=")[0] in caught.value.found
    resumed = resumed_config(
        compose_config("train", [f"resume={run}", "trainer=ddp_cpu", "logger=wandb", "trainer.max_epochs=9"]),
        run,
    )
    assert resumed.trainer.strategy == "ddp" and resumed.trainer.devices == 2
    assert resumed.trainer.max_epochs == 9 and resumed.logger.wandb
    assert resumed.trainer.log_every_n_steps == 1  # what the run began with stays
    assert train(compose_config("train", [f"resume={run}", "seed=10"])).score is not None  # as it was


def test_resume_true_takes_the_run_of_the_same_options(tmp_path):
    older = interrupt(tmp_path, "seed=1")
    interrupt(tmp_path, "seed=2")
    result = train(configuration(tmp_path, "seed=1", "resume=true"))
    assert result.run == older


def test_a_damaged_checkpoint_of_an_earlier_stage_is_refused(tmp_path):
    from lightning_modules.base import load_stage

    path = train(configuration(tmp_path)).checkpoint
    assert load_stage(SmallModule, str(path), "small").network.weight.shape == (1, 3)
    with zipfile.ZipFile(path) as archive:
        weights = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
    data = bytearray(path.read_bytes())
    extra = int.from_bytes(data[weights.header_offset + 28 : weights.header_offset + 30], "little")
    data[weights.header_offset + 30 + len(weights.filename) + extra] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        load_stage(SmallModule, str(path), "small")


def test_results_of_an_earlier_evaluation_are_not_shown_again(tmp_path):
    train(configuration(tmp_path))
    output = evaluate(evaluation(tmp_path))
    (output / "generation.json").write_text('{"samples": 1, "repeats": 1, "sources": {}}')
    evaluate(evaluation(tmp_path))
    assert not (output / "generation.json").exists()


def test_an_evaluation_of_a_shipped_model_lies_under_the_runs(tmp_path):
    folder = ZOO / "sage_student" / "demo-sage_demo"
    options = [f"ckpt={folder}", "model=sage_student", f"paths.runs={tmp_path}"]
    output = _output_directory(compose_config("evaluate", options), folder, [])
    assert output.is_relative_to(tmp_path / "sage_student") and not (folder / "evaluation").exists()


def test_only_files_that_are_there_are_named(tmp_path, capsys):
    print_places(tmp_path, tmp_path / "best.ckpt", None, None)
    assert "curves" not in capsys.readouterr().out
    (tmp_path / "curves.png").write_bytes(b"")
    print_places(tmp_path, tmp_path / "best.ckpt", None, None)
    assert "curves.png" in capsys.readouterr().out


def test_a_name_for_the_logger_may_have_spaces():
    config = compose_config("train", ["model=sage_ik", "logger.name=my first run (2)"])
    assert config.logger.name == "my first run (2)"


def test_a_run_of_another_model_is_not_evaluated_as_this_one(tmp_path):
    run = train(configuration(tmp_path)).run
    with pytest.raises(ConfigError, match="model=small, not of model=sage_ik"):
        evaluate(compose_config("evaluate", ["model=sage_ik", f"ckpt={run}", f"paths.runs={tmp_path}"]))


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    other = train(configuration(tmp_path, "+module.width=5", "+datamodule.width=5", name="other")).checkpoint
    with pytest.raises(InputError, match="do not fit SmallModule"):
        train(configuration(tmp_path, f"init_from={other}"))
    assert not list((tmp_path / "small").glob("*/"))  # nothing began


def test_a_run_can_be_used_without_what_it_was_started_from(tmp_path):
    source = train(configuration(tmp_path, name="source"))
    run = train(configuration(tmp_path, f"init_from={source.checkpoint}")).run
    source.checkpoint.unlink()
    assert evaluate(compose_config("evaluate", [f"ckpt={run}", "logger=csv"])).is_dir()
    (run / "result.json").unlink()
    assert train(compose_config("train", [f"resume={run}"])).run == run


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ("seed=-1", "seed=-1"),
        ("trainer.max_steps=many", "trainer.max_steps=many"),
        ("trainer.max_epochs=0", "nothing to train"),
        ("trainer.val_check_interval=1000", "longer than an epoch"),
        ("callbacks.best.monitor=val/lose", "val/lose"),
        ("optimizer.lr=fast", "optimizer.lr=fast"),
        ("optimizer.lr=-1", "optimizer.lr=-1"),
        ("+module.width=wide", "module.width=wide"),
        ("+module.wdith=4", "module.wdith"),
        ("callbacks.resume.every_n_steps=often", "callbacks.resume.every_n_steps=often"),
        ("init_from=nowhere.ckpt", "nowhere.ckpt"),
    ],
)
def test_ordinary_mistakes_are_answered_before_work_starts(tmp_path, option, found):
    with pytest.raises((ConfigError, MissingError), match=found.replace(".", r"\.")):
        train(configuration(tmp_path, option))
    assert not list((tmp_path / "small").glob("*/"))


def test_no_logger_is_a_choice(tmp_path):
    result = train(configuration(tmp_path, "logger=null"))
    assert not (result.run / "metrics.csv").exists()


def test_a_trial_run_leaves_nothing(tmp_path):
    assert train(configuration(tmp_path, "trainer.fast_dev_run=true")) is None
    assert not list((tmp_path / "small").glob("*/"))


def test_checkpoints_come_by_time_too(tmp_path):
    run = train(configuration(tmp_path, "callbacks.resume.every_minutes=0", "callbacks.best=null")).run
    previous = load_checkpoint(run / "checkpoints" / "previous.ckpt")
    assert previous["global_step"] == 7  # one step before the last


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_continue(tmp_path, number, status):
    arguments = command(tmp_path, "+module.kill_at=3", "trainer.max_epochs=50")
    environment = {
        **os.environ,
        "SMALL_SIGNAL": str(int(number)),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.run(
        [sys.executable, ROOT / "train.py", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == status, process.stderr
    (run,) = (tmp_path / "small").glob("*/")
    assert "Stopped at step 4" in process.stderr and f"resume={run}" in process.stderr
    assert "Traceback" not in process.stderr
    assert load_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert json.loads((run / "provenance.json").read_text())["status"] == "interrupted"
    assert train(compose_config("train", [f"resume={run}", "trainer.max_epochs=2"])).run == run


def test_a_terminal_of_ascii_loses_nothing(tmp_path):
    code = "from cli.launch import tolerate_any_terminal; tolerate_any_terminal(); print('1 ± 2')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "1 ? 2\n"


def test_a_sweep_gives_every_job_its_own_run_and_score(tmp_path, monkeypatch, capsys):
    scores = []
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *command(tmp_path), "seed=1,2"])

    def task(config):
        result = train(config)
        scores.append((config.seed, result.run, result.score))
        return result

    launch("train", task)
    assert [seed for seed, _, _ in scores] == [1, 2]
    assert scores[0][1] != scores[1][1] and scores[0][2] != scores[1][2]


def test_a_search_finds_the_better_learning_rate(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    rates = []
    arguments = [option for option in command(tmp_path) if not option.startswith("optimizer.lr")]
    search = ["hparams_search=optuna", "hydra.sweeper.n_trials=3", "optimizer.lr=interval(1e-4,0.1)"]
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *arguments, *search])

    def task(config):
        rates.append(config.optimizer.lr)
        return train(config)

    launch("train", task)
    assert len(set(rates)) == 3
    (found,) = tmp_path.glob("**/optimization_results.yaml")
    best = OmegaConf.load(found)
    scores = [json.loads(file.read_text())["score"] for file in (tmp_path / "small").glob("*/result.json")]
    assert best.best_value == pytest.approx(min(scores))


def test_tensorboard_is_a_logger(tmp_path):
    pytest.importorskip("tensorboard")
    run = train(configuration(tmp_path, "logger=tensorboard")).run
    assert list((run / "tensorboard").glob("events.out*")) and (run / "metrics.csv").is_file()


def test_mlflow_is_a_logger(tmp_path):
    pytest.importorskip("mlflow")
    train(configuration(tmp_path, "logger=mlflow"))
    assert [float(line.split()[1]) for line in next(tmp_path.glob("mlruns/*/*/metrics/val/loss")).open()]


def test_a_configuration_of_an_earlier_version_still_works(tmp_path):
    run = train(configuration(tmp_path)).run
    config = OmegaConf.load(run / "config.yaml")
    with open_dict(config):
        del config.optimizer, config.scheduler
        config.module.update({"learning_rate": 0.02, "betas": [0.9, 0.9], "weight_decay": 0.1})
        config.module.update({"milestones": [1], "gamma": 0.5, "warmup_steps": 3})
        config.logger._target_ = "callbacks.loggers.build_loggers"
    OmegaConf.save(config, run / "config.yaml")
    loaded = load_config(run)
    assert "learning_rate" not in loaded.module and loaded.logger._target_ == "loggers.build_loggers"
    assert (loaded.optimizer.lr, loaded.optimizer.weight_decay, loaded.scheduler.milestones) == (
        0.02,
        0.1,
        [1],
    )
    assert evaluate(compose_config("evaluate", [f"ckpt={run}", "logger=csv"])).is_dir()


def test_runs_are_compared_on_the_same_clips(tmp_path, capsys):
    good = train(configuration(tmp_path, "trainer.max_epochs=30", "optimizer.lr=0.05")).run
    bad = train(configuration(tmp_path, "trainer.max_epochs=1", name="second")).run
    same = train(configuration(tmp_path, "trainer.max_epochs=30", "optimizer.lr=0.05", name="third")).run
    folder = evaluate(
        compose_config("evaluate", [f"runs=[{good},{bad},{same}]", f"paths.runs={tmp_path}", "logger=csv"])
    )
    table = (folder / "comparison.md").read_text().splitlines()
    assert table[3].endswith("* |") and not table[4].endswith("* |")
    found = json.loads((folder / "comparison.json").read_text())["runs"]
    values = next(value for name, value in found.items() if name.startswith("second"))["loss"]
    assert values["low"] < values["mean"] < values["high"] and values["difference_low"] > 0
