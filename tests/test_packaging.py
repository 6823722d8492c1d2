"""What an installation is: the wheel's content, and what works with the core dependencies alone."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

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
