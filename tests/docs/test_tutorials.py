"""The tutorials: their files are written, their commands run, in a copy of the checkout."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contrapposto.data import MotionStore
from contrapposto.io import write_motion
from contrapposto.synthetic import generate

ROOT = Path(__file__).parents[2]
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path):
    """The suite, with the assets as a link."""
    for name in ("train.py", "evaluate.py", "prepare.py"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (
        "configs",
        "cli",
        "loggers",
        "lightning_modules",
        "datamodules",
        "callbacks",
        "contrapposto",
    ):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    (tmp_path / "contrapposto" / "assets").symlink_to(ROOT / "contrapposto" / "assets")
    return tmp_path


def write_files(page, folder):
    files = FILE.findall((ROOT / "docs" / page).read_text())
    assert files
    for name, text in files:
        (folder / name).write_text(text)


def run_commands(page, folder):
    commands = [
        line.split("   #")[0].split()
        for line in "".join(SHELL.findall((ROOT / "docs" / page).read_text())).splitlines()
    ]
    assert commands
    for command in commands:
        assert command[0] == "python"
        done = subprocess.run(
            [sys.executable, *command[1:]], cwd=folder, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def recordings(folder):
    folder.mkdir()
    for number, (action, name) in enumerate(
        [
            ("walk", "anna"),
            ("walk", "ben"),
            ("squat", "anna"),
            ("squat", "cleo"),
            ("wave", "ben"),
            ("kick", "anna"),
        ]
    ):
        write_motion(folder / f"{action}_{name}.bvh", generate("walk", seconds=1.5, seed=number, fps=60.0))


@pytest.mark.slow
def test_add_data(checkout):
    write_files("add_data.md", checkout)
    recipes = checkout / "contrapposto/data/recipes/__init__.py"
    line = '    "studio": "StudioRecipe",\n'
    assert line.strip() in (ROOT / "docs/add_data.md").read_text()
    recipes.write_text(recipes.read_text().replace("RECIPES = {\n", "RECIPES = {\n" + line))
    recordings(checkout / "recordings")
    run_commands("add_data.md", checkout)
    store = MotionStore.open(checkout / "stores/studio")
    assert [clip.name for clip in store.clips][:2] == ["kick_anna.bvh", "squat_anna.bvh"]
    assert [label.text for label in store[0].labels] == ["kick"]


@pytest.mark.slow
def test_add_a_model(checkout):
    write_files("add_a_model.md", checkout)
    subprocess.run(
        [sys.executable, "prepare.py", "data=demo", "data.options.minutes=0.5"],
        cwd=checkout,
        check=True,
        timeout=600,
    )
    run_commands("add_a_model.md", checkout)
    assert list((checkout / "runs/recurrent").glob("*/evaluation/*"))
