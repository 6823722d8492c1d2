"""The structure of the project: imports go one way, nothing heavy at import, entry points stay short."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRAINING = ("datamodules", "lightning_modules", "callbacks", "loggers")
HEAVY = {"pytorch_lightning", "lightning", "hydra"}
FORBIDDEN = {
    "contrapposto": {*TRAINING, "cli", "configs", *HEAVY},
    "loggers": {"cli", "datamodules", "lightning_modules", "callbacks"},
    "callbacks": {"cli", "datamodules", "lightning_modules"},
    "datamodules": {"cli", "lightning_modules", "callbacks", "loggers"},
    "lightning_modules": {"cli", "datamodules", "callbacks", "loggers"},
}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(f.relative_to(ROOT)): imported(f) & FORBIDDEN[package] for f in files}
    assert not {name: modules for name, modules in wrong.items() if modules}


def package_of(module: str) -> str:
    """The part of the library that a module belongs to: `io`, `mesh`, ...; `systems.sage`, ... are five parts."""
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts[:1] == ["systems"] else 1])


def test_packages_of_the_library_have_an_order():
    """No package cycle, imports inside of functions included."""
    needs: dict[str, set[str]] = {}
    for file in (ROOT / "contrapposto").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("contrapposto."):
                needs.setdefault(package_of(module), set()).add(package_of(str(node.module)))
    for package, others in needs.items():
        others.discard(package)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("name", ["predict", "view"])
def test_entry_points_are_short(name):
    assert len((ROOT / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 25


def library_modules() -> list[str]:
    files = sorted((ROOT / "contrapposto").rglob("*.py"))
    modules = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files if "assets" not in f.parts]
    return [name.removesuffix(".__init__") for name in modules]


def test_every_module_of_the_library_imports_alone():
    """And none of them pulls in what only some users have or what takes seconds."""
    code = (
        "import importlib, sys\n"
        f"for name in {library_modules()!r}: importlib.import_module(name)\n"
        "heavy = {'pytorch_lightning', 'hydra', 'wandb', 'viser', 'smplx', 'pytorch3d', 'nvdiffrast'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip() == "[]"


def test_no_module_needs_itself():
    """No circle of imports at the top of modules, which would work in one order and fail in another."""
    modules = set(library_modules())

    def needs(name: str) -> set[str]:
        path = ROOT.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        actual: set[str] = set()
        for node in ast.parse(
            file.read_text(encoding="utf-8")
        ).body:  # not in functions, not for type checking
            if isinstance(node, ast.Import):
                actual |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                actual |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        parents = {other.rpartition(".")[0] for other in actual}
        # A package above the module is being imported already.
        return {
            other for other in actual | parents if other in modules and not f"{name}.".startswith(f"{other}.")
        }

    TopologicalSorter({name: needs(name) for name in modules}).prepare()  # raises CycleError


def test_shipped_assets_are_small_and_carry_a_licence():
    assets = ROOT / "contrapposto" / "assets"
    total = sum(file.stat().st_size for file in assets.rglob("*") if file.is_file())
    assert total < 52 * 2**20
    for folder in (path for path in assets.iterdir() if path.is_dir() and path.name != "__pycache__"):
        names = {file.name.upper() for file in folder.iterdir()}
        assert any("LICEN" in name for name in names), f"{folder.name} has no licence file"
        assert any(name.endswith(".PY") for name in names), f"{folder.name} has no build script"
