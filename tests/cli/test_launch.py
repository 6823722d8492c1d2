"""The doors' command lines: file names as typed, misspelt names, help."""

import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cli.launch import ROOT, check_overrides, compose_config, full_help, groups, quote_path
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


@pytest.mark.parametrize("name", NAMES)
def test_file_names_survive_hydras_grammar(name):
    quoted = quote_path(f"input={name}")
    override = OverridesParser.create().parse_override(quoted)
    assert override.value() == name
    # Lightning starts its other processes with the quoted arguments: quoting twice must change nothing.
    assert quote_path(quoted) == quoted


@pytest.mark.parametrize("name", NAMES)
def test_file_names_reach_the_configuration(name):
    assert compose_config("train", ["model=sage_ik", quote_path(f"resume={name}")]).resume == name


def test_other_options_are_left_alone():
    assert quote_path("trainer.max_steps=3") == "trainer.max_steps=3"
    assert quote_path("resume=true") == "resume=true"
    assert quote_path("data.options.actions=[a,b]") == "data.options.actions=[a,b]"


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
        check_overrides("train", arguments)
    assert expected in caught.value.expected


@pytest.mark.parametrize("arguments", [["foo"], ["--foo"], ["model=[1"]])
def test_what_is_no_option_is_refused(arguments):
    with pytest.raises(ConfigError):
        check_overrides("train", arguments)


def test_sweeps_are_checked_by_their_first_value():
    check_overrides("train", ["-m", "model=sage_upper_vqvae,sage_lower_vqvae", "seed=1,2"])


@pytest.mark.parametrize("door", ["train", "evaluate", "prepare"])
def test_help_names_every_group(door):
    text = full_help(door, "text")
    assert "data=" in text
    for name in groups()["data"]:
        assert name in text


@pytest.mark.parametrize("door", ["train", "evaluate", "predict", "prepare", "view"])
def test_help_is_quick(door):
    result = subprocess.run(
        [sys.executable, ROOT / f"{door}.py", "--help"], capture_output=True, text=True, check=True
    )
    assert f"python {door}.py" in result.stdout or f"contrapposto {door}" in result.stdout
    # Importing torch alone takes longer than this: the bound catches a heavy import, not a slow machine.
    modules = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / f"{door}.py", "--help"],
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
    def prepare(option):
        command = [sys.executable, ROOT / "prepare.py", "data=demo", f"paths.stores={tmp_path}", option]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = prepare("data.options.minutez=1")
    assert done.returncode == 2 and "The recipe demo has no option minutez" in done.stderr
    assert prepare("data.options.minutes=0.2").returncode == 0
    assert '"minutes": 0.2' in (tmp_path / "demo" / "manifest.json").read_text()
