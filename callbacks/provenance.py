"""Where a result comes from: code, data, licence, seed, versions, device, command, time, outcome."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException

from contrapposto.files import write_json
from loggers.build import is_trial

FORMAT = 1
_PACKAGES = (
    "contrapposto",
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
    "scipy",
    "hydra-core",
    "wandb",
)
_REPOSITORY = Path(__file__).resolve().parents[1]


class ProvenanceCallback(pl.Callback):
    """Write `provenance.json` when a run starts, complete it when it ends, and put the essence in
    checkpoints.

    The data's part is what `datamodule.provenance()` returns (hash, licence, attribution, counts). A resumed
    run keeps the records of its earlier sessions under `earlier`. A process killed without warning leaves the
    status `running`.

    Args:
        run_dir: the run directory.
        seed: the run's seed.
    """

    def __init__(self, run_dir: str | Path, seed: int | None = None) -> None:
        self.path, self.seed = Path(run_dir) / "provenance.json", seed
        self._record: dict[str, Any] = {}
        self._data: dict[str, Any] | None = None
        self._begin = 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write what is known at the start."""
        provenance = getattr(getattr(trainer, "datamodule", None), "provenance", None)
        self._data = provenance() if callable(provenance) else None
        if not trainer.is_global_zero or is_trial(trainer):
            return
        self._begin = time.monotonic()
        self._record = {
            "format": FORMAT,
            "status": "running",
            "stage": stage,
            "start": _now(),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "seed": self.seed,
            "git": git_state(),
            "data": self._data,
            "versions": versions(),
            "device": describe_device(trainer),
            "model": type(pl_module).__name__,
            "parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
        }
        earlier = _earlier(self.path)
        if earlier:
            self._record["earlier"] = earlier
        write_json(self.path, self._record)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note that the run has finished."""
        self._finish(trainer, "finished")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Note why the run has ended."""
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            self._finish(trainer, "interrupted")
        else:
            self._finish(trainer, "failed", error=f"{type(exception).__name__}: {exception}"[:2000])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The data's licence travels with the weights."""
        checkpoint["provenance"] = {
            "format": FORMAT,
            "data": self._data,
            "seed": self.seed,
            "git": git_state(),
            "versions": versions(),
        }

    def _finish(self, trainer: pl.Trainer, status: str, **details: Any) -> None:
        if not self._record or self._record["status"] != "running":
            return
        self._record.update(
            status=status,
            end=_now(),
            seconds=round(time.monotonic() - self._begin, 1),
            epochs=trainer.current_epoch,
            steps=trainer.global_step,
            **details,
        )
        write_json(self.path, self._record)


def git_state() -> dict[str, Any] | None:
    """Commit of the code and whether tracked files differ from it; None outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about numbers."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def describe_device(trainer: pl.Trainer) -> dict[str, Any]:
    """What the run computes on, without anything that names the machine."""
    device = trainer.strategy.root_device
    described: dict[str, Any] = {
        "type": device.type,
        "processes": trainer.world_size,
        "nodes": trainer.num_nodes,
        "precision": str(trainer.precision),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        described.update(
            name=properties.name,
            memory_gib=round(properties.total_memory / 2**30, 1),
            cuda=torch.version.cuda,
        )
    return described


_cache: dict[tuple[str, ...], str | None] = {}


def _git(*arguments: str) -> str | None:
    """Output of a git command, asked once per process: what matters is the code that was loaded."""
    if arguments not in _cache:
        try:
            result = subprocess.run(
                ["git", "-C", str(_REPOSITORY), *arguments],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            _cache[arguments] = result.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            _cache[arguments] = None
    return _cache[arguments]


def _earlier(path: Path) -> list[dict[str, Any]]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [*record.pop("earlier", []), record]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
