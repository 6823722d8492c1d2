"""What an installation is: the wheel's content, and what works with the core dependencies alone."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import trimesh

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements):
    return {re.split(r"[<>=!~;\[ ]", requirement)[0] for requirement in requirements}


def modules_of(package):
    """Names that an installed package may be imported by."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return {package.replace("-", "_")}
    return {
        file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py" and ".." not in file.parts
    }


def test_everything_imports_without_the_extras():
    extras = set().union(*map(names, PROJECT["optional-dependencies"].values())) - names(
        PROJECT["dependencies"]
    )
    assert {"fastapi", "onnx", "smplx"} <= extras
    extras -= names(PROJECT["optional-dependencies"]["train"])  # the checkout's own modules need it
    absent = sorted(set().union(*map(modules_of, extras)) - {"contrapposto"})
    rooms = ("contrapposto", "datamodules", "lightning_modules", "callbacks", "cli", "loggers")
    files = [file.relative_to(ROOT) for room in rooms for file in sorted((ROOT / room).rglob("*.py"))]
    modules = [".".join(file.with_suffix("").parts) for file in files if "assets" not in file.parts]
    modules.remove("contrapposto.systems.scail_pose.service.app")  # the service itself; the extra `serve`
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({absent!r}))\n"  # None: as if not installed
        f"for name in {[name.removesuffix('.__init__') for name in modules]!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_nothing_else(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
    ]
    subprocess.run([*command, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        held = set(file.namelist())
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {"contrapposto"}
    tracked = subprocess.run(
        ["git", "ls-files", "contrapposto"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) <= held
    assert any("licenses/LICENSE" in name for name in held)


BLOCKED = (
    "pytorch_lightning",
    "lightning",
    "hydra",
    "wandb",
    "roma",
    "cli",
    "lightning_modules",
    "datamodules",
    "callbacks",
)
TASKS = {
    "convert": ["input=walk.npz", "task.formats=[bvh]"],
    "trackers": ["input=walk.npz"],
    "sage_track": ["input=walk.npz", "task.formats=[npz]"],
    "posegpt_sample": ["action=walk", "frames=32", "count=1", "task.formats=[npz]"],
    "npr_transfer": [
        "source=walk.npz",
        "target=box.obj",
        "task.formats=[obj]",
        "task.seconds=0.1",
        "method=npr",
    ],
    "anerf_render": ["mode=bullet", "task.options={count:1}", "task.height=32"],
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's files alone, the packages for training made impossible to import, and a folder with two inputs."""
    place = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", place]
    subprocess.run([*pip, ROOT], check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place / "site")
    (place / "site" / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
    )
    work = place / "work"
    work.mkdir()
    from contrapposto.io import write_motion
    from contrapposto.synthetic import generate

    write_motion(work / "walk.npz", generate("walk", seconds=1.0, seed=0))
    trimesh.creation.icosphere(subdivisions=2).export(work / "box.obj")
    return place / "site", work


def run_installed(installed, *arguments):
    site, work = installed
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "contrapposto", *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_the_wheel_alone_runs_tasks_on_shipped_models(installed, task):
    done = run_installed(installed, "predict", f"task={task}", *TASKS[task], f"output=out/{task}")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    assert [path for path in (installed[1] / "out" / task).rglob("*") if path.is_file()]


def test_training_commands_of_the_wheel_say_what_they_need(installed):
    done = run_installed(installed, "train", "model=tracker")
    assert done.returncode == 2 and "checkout" in done.stderr and "Traceback" not in done.stderr
