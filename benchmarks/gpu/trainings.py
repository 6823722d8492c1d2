"""Phase 5: several trainings side by side on the one device, each a process of train.py that ends with the phase."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.gpu.plan import Plan
from cli.compose import ROOT

LIST = Path(__file__).with_name("trainings.yaml")
_ENDING = 20.0  # seconds for a last checkpoint after the time is up


def trainings(plan: Plan, results: dict[str, Any]) -> dict[str, Any]:
    """Start all of them, wait until the phase ends, and say how each ended."""
    entry: dict[str, Any] = {}
    folder = plan.out / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = max(plan.left() - _ENDING, 15.0)
    running = {}
    for name, overrides in _commands(plan, seconds).items():
        log = (folder / f"{name}.txt").open("wb")
        words = [sys.executable, "train.py", *overrides]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1" if plan.rehearse else "4",
            "WANDB_MODE": "offline",
        }
        running[name] = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, env=environment)
    while time.monotonic() < plan.deadline and any(one.poll() is None for one in running.values()):
        time.sleep(0.5)
    for process in running.values():
        if process.poll() is None:
            process.terminate()  # train.py then writes a checkpoint
    for name, process in running.items():
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        tail = (folder / f"{name}.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
        entry[name] = {"status": process.returncode, "runs": _runs(plan, name), "tail": tail}
    return entry


def _commands(plan: Plan, seconds: float) -> dict[str, list[str]]:
    stores, runs = plan.store_folder().absolute(), (plan.out / "runs").absolute()
    if plan.rehearse:  # other processes do not see the simulated device
        from benchmarks.gpu.simulate import command

        few = ("trainer.max_steps=3", "trainer.limit_val_batches=1")
        return {model: command(model, stores, runs, *few) for model in ("tracker", "njf")}
    limit = f"+trainer.max_time={{seconds:{round(seconds)}}}"
    shared = [f"paths.stores={stores}", f"paths.runs={runs}", "trainer.accelerator=gpu", "logger=csv", limit]
    listed = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return {
        one["name"]: [*one["overrides"], *shared, "trainer.devices=1", "trainer.precision=bf16-mixed"]
        for one in listed
        if (stores / one["store"]).is_dir()
    }


def _runs(plan: Plan, name: str) -> list[str]:
    return [str(path.relative_to(plan.out)) for path in sorted((plan.out / "runs" / name).glob("*/"))]
