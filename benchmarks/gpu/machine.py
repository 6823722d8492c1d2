"""Phase 1: what travels is installed, what the machine has is written down; nvdiffrast is built in the background."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.plan import WHEELS, Plan
from contrapposto.devices import describe_device, find_device

_build: list[subprocess.Popen[bytes]] = []


def install_wheels() -> int | None:
    """Install what travels, before anything is imported that needs it; pip's exit status, None where nothing travels."""
    packages = [str(path) for path in sorted(WHEELS.glob("*.whl"))] if WHEELS.is_dir() else []
    if not packages:
        return None
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet"]
    status = subprocess.run([*command, *packages], check=False).returncode
    importlib.invalidate_caches()
    return status


def install(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """Begin to build nvdiffrast, and report what is there; `wheels/` are installed by now."""
    entry: dict[str, Any] = {"wheels": [path.name for path in sorted(WHEELS.glob("*.whl"))]}
    entry["nvdiffrast"] = begin_build(plan)
    from contrapposto.doctor import report

    stores = plan.stores if plan.stores is not None and plan.stores.is_dir() else Path("stores")
    entry["doctor"] = report(stores).splitlines()
    entry["device"] = describe_device(find_device(plan.device))
    entry["torch"] = {"version": torch.__version__, "cuda": torch.version.cuda}
    missing = [name for name in ("hydra", "pytorch_lightning", "warp", "wandb") if not _has(name)]
    entry["absent"] = missing
    return entry


def begin_build(plan: Plan) -> str:
    """Begin to compile nvdiffrast from a source that travels in `wheels/`; what is needed for it, where it is missing."""
    sources = sorted(WHEELS.glob("*nvdiffrast*.tar.gz")) if WHEELS.is_dir() else []
    needed = [name for name in ("nvcc", "ninja") if shutil.which(name) is None]
    if plan.rehearse or not sources or needed:
        return f"not built: {'rehearsal' if plan.rehearse else ', '.join(needed) or 'no source in wheels/'}"
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-build-isolation", str(sources[0])]
    _build.append(subprocess.Popen(command))
    return "building in the background"


def end_build() -> str:
    """How the build ended, so far."""
    if not _build:
        return "not begun"
    status = _build[0].poll()
    return "still building" if status is None else f"exit status {status}"


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
