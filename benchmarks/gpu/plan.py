"""What is run: where, with which stores, how large, how long."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REHEARSED = ("sage_upper_vqvae", "tracker", "npr", "posegpt_vqvae", "anerf")
"""Models of a rehearsal: one of every system that trains, and one more."""
WHEELS = Path("wheels")
"""Folder of packages that travel: hydra-core, omegaconf, antlr4, roma, cholespy, trimesh; 7 MB."""
MOST_CARRIED = 64 * 2**20
"""Of everything that is carried: files of the project, packages in `wheels/`, stores."""


@dataclass
class Plan:
    """The options of a run.

    Args:
        out: folder of everything that is written.
        stores: a file of `prepare_stores`, or a folder of stores; None: made in `out`.
        device: `cuda`, `cuda:1`; `cpu` to try the benchmark itself.
        rehearse: the smallest networks, on the simulated device.
        minutes: of all phases together.
    """

    out: Path
    stores: Path | None
    device: str
    rehearse: bool
    minutes: float

    def __post_init__(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self.deadline = self.started + 60 * self.minutes

    def left(self) -> float:
        """Seconds until the end of the present phase."""
        return self.deadline - time.monotonic()

    def store_folder(self) -> Path:
        """The stores; those of a rehearsal are smaller still."""
        if self.stores is None:
            self.stores = self.out / "stores"
            if self.rehearse:
                from benchmarks.gpu.simulate import make_stores

                make_stores(self.stores)
            else:
                from benchmarks.costs import make_stores as make_small

                make_small(self.stores)
        elif self.stores.is_file():
            self.stores = unpack_stores(self.stores, self.out / "stores")
        return self.stores

    def commands(self, size: str = "published") -> dict[str, list[str]]:
        """Overrides of train.py by model.

        Args:
            size: `published`: networks and batches as published (`benchmarks.full_runs`); in a rehearsal tiny ones.
        """
        stores, runs = self.store_folder(), self.out / "runs"
        if self.rehearse:
            from benchmarks.gpu.simulate import command

            return {model: command(model, stores, runs) for model in REHEARSED}
        from benchmarks.costs import overrides
        from benchmarks.full_runs import RUNS

        return {run.name: [*overrides(run, stores), f"paths.runs={runs}"] for run in RUNS}


def prepare_stores(archive: Path) -> None:
    """Small stores of motion, meshes and an avatar's images in one file, for a machine that may lack what makes images.

    Raises:
        SystemExit: all that is carried is too large.
    """
    from benchmarks.costs import make_stores

    if not archive.name.endswith(".tar.xz"):
        raise SystemExit(f"{archive}: expected a name that ends in .tar.xz")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        make_stores(Path(name))
        with tarfile.open(archive, "w:xz") as file:
            for store in sorted(Path(name).iterdir()):
                file.add(store, store.name)
    sizes = {"stores": archive.stat().st_size, "wheels": _size(WHEELS), "project": _project_size()}
    print(", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in sizes.items()))
    if sum(sizes.values()) > MOST_CARRIED:
        raise SystemExit(f"All together take more than {MOST_CARRIED / 2**20:.0f} MiB.")


def unpack_stores(archive: Path, folder: Path) -> Path:
    """The stores of a file of `prepare_stores`, in a folder."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _project_size() -> int:
    """Of the files under version control; 0 outside of a repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=False).stdout.decode()
    return sum(Path(name).stat().st_size for name in listed.split("\0") if name and Path(name).is_file())


def described(error: Exception) -> str:
    """The kind of an error and the first line of its message, which may be empty."""
    return f"{type(error).__name__}: {error!s}".splitlines()[0]
