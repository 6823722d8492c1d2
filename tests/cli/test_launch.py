"""Command lines of the entry points: file names as typed, misspelt names, help."""

import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cli.compose import ROOT, compose_config, groups, quote
from cli.launch import check_names, check_sweep, full_help
from cli.prepare import prepare
from contrapposto.errors import ConfigError

NAMES = [
    "my clip.npz",
    "a=b.npz",
    "walk (final) [v2], {3}.npz",
    "it's.npz",
    "back\\slash\\.npz",
    "trailing\\",
    "$HOME#1.npz",
    "ünïcode 動作.npz",
    "a:b,c.npz",
]


OPTIONS = ("resume", "init_from", "data.lists", "data.body", "data.test_list", "+data.anything", "paths.runs")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_work_for_every_option(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("")
    quoted = quote(f"resume={name}")
    assert OverridesParser.create().parse_override(quoted).value() == name
    assert quote(quoted) == quoted
    options = [f"{option}={name}" for option in OPTIONS]
    config = compose_config("train", ["model=sage_upper_vqvae", *options])
    for option in OPTIONS:
        assert OmegaConf.select(config, option.lstrip("+")) == name


@pytest.mark.parametrize("name", ["runs (new) [2]", "it's", "a=b", "trailing\\"])
def test_folders_that_are_not_there_yet_work_too(name):
    assert compose_config("train", ["model=sage_ik", f"paths.runs={name}"]).paths.runs == name


@pytest.mark.parametrize(
    "argument",
    [
        "trainer.max_steps=3",
        "resume=true",
        "optimizer.betas=[0.9,0.99]",
        "module.network={width:32,heads:2}",
        "+module.names=[a b,'c d']",
        "~trainer.max_time",
        "data.body=null",
        "module.first=${best:sage_first}",
        "seed=1,2",
    ],
)
def test_values_that_hydra_reads_are_left_alone(argument):
    assert quote(argument) == argument


def test_several_values_without_a_sweep_are_refused():
    with pytest.raises(ConfigError, match="seed=1,2") as caught:
        compose_config("train", ["model=sage_ik", "seed=1,2"])
    assert "-m" in caught.value.fix


def test_an_option_that_was_renamed_names_the_new_one():
    with pytest.raises(ConfigError, match=r"optimizer\.lr"):
        compose_config("train", ["model=sage_first", "module.learning_rate=1e-3"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["model=sage_uper_vqvae"], "sage_upper_vqvae"),
        (["data=demmo"], "demo"),
        (["model=sage_upper_vqvae", "trainer.max_stepz=3"], "trainer.max_steps"),
        (["model=sage_upper_vqvae", "data.batchsize=3"], "data.batch_size"),
    ],
)
def test_misspelt_names_are_answered_with_the_nearest(arguments, expected):
    with pytest.raises(ConfigError) as caught:
        check_names("train", arguments)
        compose_config("train", arguments)
    assert expected in caught.value.expected


@pytest.mark.parametrize("arguments", [["foo"], ["--foo"], ["model=[1"]])
def test_what_is_no_option_is_refused(arguments):
    with pytest.raises(ConfigError):
        check_names("train", arguments)
        compose_config("train", arguments)


def test_sweeps_are_checked_by_their_first_value():
    check_sweep("train", ["model=sage_upper_vqvae,sage_lower_vqvae", "seed=1,2"])
    with pytest.raises(ConfigError, match="sage_lower_vqve"):
        check_sweep("train", ["model=sage_upper_vqvae,sage_lower_vqve"])


@pytest.mark.parametrize("entry_point", ["train", "evaluate", "prepare"])
def test_help_names_every_group(entry_point):
    text = full_help(entry_point)
    assert "data=" in text
    for name in groups()["data"]:
        assert name in text


@pytest.mark.parametrize("entry_point", ["train", "evaluate", "predict", "prepare", "view"])
def test_help_is_quick(entry_point):
    result = subprocess.run(
        [sys.executable, ROOT / f"{entry_point}.py", "--help"], capture_output=True, text=True, check=True
    )
    assert f"python {entry_point}.py" in result.stdout or f"contrapposto {entry_point}" in result.stdout
    # Importing torch alone takes longer than this: the bound catches a heavy import, not a slow machine.
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / f"{entry_point}.py", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "torch" not in modules and "pytorch_lightning" not in modules


def test_an_error_has_no_traceback_and_status_2():
    result = subprocess.run(
        [sys.executable, ROOT / "train.py", "model=sage_uper_vqvae"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "sage_upper_vqvae" in result.stderr


def test_options_of_a_recipe_need_not_be_listed(tmp_path):
    command = ["data=demo", f"paths.stores={tmp_path}"]
    with pytest.raises(ConfigError, match="The recipe demo has no option minutez"):
        prepare(compose_config("prepare", [*command, "data.options.minutez=1"]))
    prepare(compose_config("prepare", [*command, "data.options.minutes=0.2"]))
    assert '"minutes": 0.2' in (tmp_path / "demo" / "manifest.json").read_text()


@pytest.mark.parametrize(
    "argument", ["experiment=null", "pipeline=null", "~experiment", "hparams_search=null"]
)
def test_a_group_that_is_not_chosen_can_be_left_out(argument):
    plain, left_out = (compose_config("train", ["model=tracker", *more]) for more in ([], [argument]))
    assert left_out == plain


@pytest.mark.parametrize("argument", ["data=null", "~data", "trainer=null", "~paths"])
def test_a_group_that_is_needed_cannot(argument):
    with pytest.raises(ConfigError, match="cannot be left out"):
        compose_config("train", ["model=tracker", argument])


def test_options_of_an_experiment_for_one_model_are_not_taken_silently():
    with pytest.raises(ConfigError, match="cannot be set") as caught:
        compose_config("train", ["pipeline=sage", "models.sage_first.trainer.max_epochs=1"])
    assert caught.value.fix.endswith("model=sage_first trainer.max_epochs=1")
