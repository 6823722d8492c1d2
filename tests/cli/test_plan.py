"""The first command of all: what is missing comes first, in order, or is named."""

import sys

import pytest
from omegaconf import OmegaConf

from cli import plan
from cli import train as training
from cli.compose import compose_config, groups
from cli.evaluate import evaluate
from cli.plan import plan_models, prepare_command, show, stage_links
from cli.runs import new_run_directory, save_config, write_result
from cli.same import differences
from cli.stopping import StoppedError
from cli.train import train
from contrapposto.errors import ConfigError, MissingError
from contrapposto.runs import finished_runs, load_config
from tests.cli.small import configuration
from tests.lightning_modules.sage_tiny import tiny

EARLIER = {
    "sage_first": ["sage_upper_vqvae"],
    "sage_second": ["sage_upper_vqvae", "sage_lower_vqvae", "sage_first"],
    "sage_refiner": ["sage_upper_vqvae", "sage_first", "sage_lower_vqvae", "sage_second", "sage_decoder"],
    "posegpt_gpt": ["posegpt_vqvae"],
    "anerf_finetune": ["anerf"],
    "npr_refiner": ["npr"],
    "npr_feature_diffusion": ["npr", "npr_keypoint_diffusion"],
}


def test_every_model_has_a_plan_in_an_empty_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for model in groups()["model"]:
        config = compose_config("train", [f"model={model}", "requires=plan"])
        if not config.get("trained", True):
            continue
        assert train(config) is None
        lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
        names = [" ".join(words[1:3]) for words in lines if words[:1] and words[0].rstrip(".").isdigit()]
        assert names[0].startswith("prepare ") and names[-1] == f"train {model}"
        for before in EARLIER.get(model, []):
            assert f"train {before}" in names[:-1]
    assert not list(tmp_path.glob("runs/**/config.yaml"))


def test_requires_fail_names_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError) as caught:
        train(compose_config("train", ["model=sage_first", "requires=fail", "experiment=sage_demo"]))
    assert caught.value.fix == (
        "python prepare.py data=demo; python train.py model=sage_upper_vqvae experiment=sage_demo"
    )
    with pytest.raises(MissingError, match="evaluate sage_first needs prepare demo"):
        evaluate(compose_config("evaluate", ["model=sage_first", "requires=fail"]))


def test_a_mistake_is_answered_before_earlier_stages_are_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "ensure", None)  # nothing may be started
    options = [f"paths.runs={tmp_path / 'runs'}", f"paths.stores={tmp_path / 'stores'}"]
    with pytest.raises(ConfigError, match=r"trainer\.max_steps=many"):
        train(compose_config("train", ["model=sage_second", "trainer.max_steps=many", *options]))


def test_data_that_need_files_of_the_user_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingError) as caught:
        train(compose_config("train", ["model=sage_first", "data=amass"]))
    assert caught.value.fix == "python prepare.py data=amass raw=FOLDER"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["data=anerf_scene_noisy"], "python prepare.py data=anerf_scene_noisy"),
        (["data=anerf_3dhp"], "python prepare.py data=anerf_3dhp raw=FOLDER poses=SPIN.npz"),
        (["data=anerf_zju"], "python prepare.py data=anerf_zju raw=CoreView_313"),
        (["data.name=mine"], "python prepare.py data=anerf_scene data.name=mine"),
    ],
)
def test_the_command_prepares_the_store_that_is_read(options, expected):
    assert prepare_command(compose_config("train", ["model=anerf", *options])) == expected


def here(command):
    """A command of a plan, in this process."""
    assert command[1].endswith("train.py")
    train(compose_config("train", command[2:]))
    return 0


def test_missing_stages_are_trained_first_and_used(stores, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "run_command", here)
    arguments = tiny("sage_first", stores, tmp_path, "module.steps=2", "trainer.max_epochs=1")
    vqvae = [o for o in tiny("sage_upper_vqvae", stores, tmp_path) if o.startswith("module.")]
    vqvae.append("trainer.max_epochs=1")  # what is given for one model does not hold for those before it
    composed = plan._composed

    def small(model, config):
        _, overrides = composed(model, config)
        return (compose_config("train", [f"model={model}", *overrides, *vqvae]), [*overrides, *vqvae])

    monkeypatch.setattr(plan, "_composed", small)
    result = train(compose_config("train", arguments))
    (stage,) = finished_runs(tmp_path, "sage_upper_vqvae")
    assert load_config(result.run).module.upper_vqvae == str(stage.checkpoint)
    text = capsys.readouterr().out
    assert "1. train sage_upper_vqvae" in text and "2. train sage_first" in text
    assert plan.requirements(compose_config("train", arguments)) == []  # the next one begins at once


def test_a_stage_counts_as_finished_only_with_the_same_options(tmp_path):
    saved = load_config(train(configuration(tmp_path)).run)

    def changed(*options):
        return differences(saved, configuration(tmp_path, *options))

    same = ("data.num_workers=0",) if "num_workers" in saved.data else ()
    assert changed(*same, "trainer.log_every_n_steps=7", "logger=wandb", f"paths.runs={tmp_path / 'x'}") == []
    for option in ("seed=99", "optimizer.lr=0.5", "trainer.max_epochs=3", "scheduler.warmup_steps=5"):
        assert len(changed(option)) >= 1, option
    assert "seed: 10, not 99" in changed("seed=99")


def finish(runs, model, *options):
    """A finished run, without training."""
    run = new_run_directory(runs, model)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.ckpt").write_bytes(b"weights")
    config = compose_config("train", [f"model={model}", f"paths.runs={runs}", *options])
    save_config(config, run)
    best = run / "checkpoints" / "best.ckpt"
    return write_result(run, config, {"name": config.data.name}, best, "val/mpjpe", "min", 1.0)


def test_a_pipeline_trains_stages_of_another_seed_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model in ("sage_upper_vqvae", "sage_lower_vqvae"):
        finish(tmp_path, model, "experiment=sage_demo")

    def finished(*more):
        options = ["pipeline=sage_vqvae", "experiment=sage_demo", f"paths.runs={tmp_path}", *more]
        config = compose_config("train", options)
        steps = plan_models(config, list(config.stages), strict=True)
        return [step.finished is not None for step in steps if step.kind == "train"]

    assert finished() == [True, True]
    assert finished("trainer.log_every_n_steps=3", "logger=csv") == [True, True]
    assert finished("seed=99") == [False, False]
    assert finished("trainer.max_epochs=50") == [False, False]
    finish(tmp_path, "sage_lower_vqvae", "experiment=sage_demo", "seed=99")
    assert finished("seed=99") == [False, True]


@pytest.mark.parametrize("experiment", ["null", "sage_demo", "sage_open"])
def test_every_stage_of_a_pipeline_takes_the_choices_that_all_share(tmp_path, experiment):
    store = "open_motion" if experiment == "sage_open" else "demo"
    (tmp_path / store).mkdir()
    (tmp_path / store / "manifest.json").touch()
    data = [f"data={store}"] if experiment == "sage_open" else []
    options = [f"experiment={experiment}", *data, "sage.autoencoder=conv", "sage.frame=heading"]
    config = compose_config("train", ["pipeline=sage", *options, f"paths.stores={tmp_path}"])
    steps = plan_models(config, list(config.stages), strict=True)
    assert [step.model for step in steps] == list(config.stages)
    for step in steps:
        stage = compose_config("train", step.command[1:])
        assert stage.sage.autoencoder == "conv" and stage.sage.frame == "heading"


def test_a_pipeline_names_its_models_itself():
    with pytest.raises(ConfigError, match="names the models"):
        train(compose_config("train", ["pipeline=sage_vqvae", "model=sage_lower_vqvae"]))


@pytest.mark.parametrize(
    ("status", "error"), [(2, "stopped with status 2"), (143, "Stopped in"), (130, "Stopped in")]
)
def test_a_step_that_ends_badly_ends_the_plan(tmp_path, monkeypatch, status, error):
    monkeypatch.chdir(tmp_path)
    commands = []
    monkeypatch.setattr(plan, "run_command", lambda command: commands.append(command) or status)
    with pytest.raises(Exception, match=error) as caught:
        train(compose_config("train", ["model=sage_first"]))
    assert len(commands) == 1 and commands[0][0] == sys.executable
    assert (getattr(caught.value, "status", None) == status) == isinstance(caught.value, StoppedError)


def test_links_name_options_and_models():
    config = compose_config("train", ["model=sage_second"])
    assert stage_links(config) == {
        "module.upper_vqvae": "sage_upper_vqvae",
        "module.lower_vqvae": "sage_lower_vqvae",
        "module.first": "sage_first",
    }
    named = compose_config("train", ["model=sage_second", "module.first=x.ckpt"])
    assert "module.first" not in stage_links(named)


def test_fine_tuning_a_shipped_model_needs_no_earlier_stages(tmp_path, monkeypatch):
    from cli.build import adopt_networks

    monkeypatch.chdir(tmp_path)
    config = compose_config(
        "train", ["model=posegpt_gpt", "init_from=posegpt_gpt", "experiment=posegpt_demo"]
    )
    adopt_networks(config)
    assert stage_links(config) == {} and config.module.vqvae is None
    assert OmegaConf.to_container(config.module.vqvae_network)["hidden"] > 0


def test_the_plan_says_what_is_finished(tmp_path):
    steps = [
        plan.Step("train first", "train", [], finished=tmp_path),
        plan.Step("train second", "train", [], seconds=3700),
    ]
    text = show(steps)
    assert f"finished: {tmp_path}" in text and "about 1 h 1 min" in text
