"""The phases in their order, each with its share of the time; results are written after each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.gpu.golden import golden_cases
from benchmarks.gpu.machine import install
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.results import finish
from benchmarks.gpu.speed import speeds
from benchmarks.gpu.steps import steps
from benchmarks.gpu.trainings import trainings
from contrapposto.files import write_json

Result = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """One phase.

    Args:
        name: in `results.json`.
        minutes: of a run of ten.
        work: from the plan and the results so far to the results of the phase.
    """

    name: str
    minutes: float
    work: Callable[[Plan, Result], Result]


PHASES = (
    Phase("install", 0.5, install),
    Phase("golden", 1.5, golden_cases),
    Phase("steps", 1.0, steps),
    Phase("speed", 1.5, speeds),
    Phase("trainings", 4.5, trainings),
    Phase("finish", 0.5, finish),
)


def run(plan: Plan, only: Sequence[str] | None = None) -> int:
    """Run the phases; returns 1 where one failed."""
    share = plan.minutes / sum(phase.minutes for phase in PHASES)
    results: Result = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "rehearsal": plan.rehearse,
        "phases": {},
    }
    with ExitStack() as stack:
        if plan.rehearse:
            from benchmarks.gpu.simulated import simulated_cuda

            results["simulated"] = "no GPU: real values on the CPU; times mean nothing"
            log = stack.enter_context(simulated_cuda())
        for phase in PHASES:
            if only and phase.name not in only:
                continue
            started = time.monotonic()
            plan.deadline = started + 60 * share * phase.minutes
            entry: Result = {"minutes": round(share * phase.minutes, 2)}
            results["phases"][phase.name] = entry
            try:
                entry |= phase.work(plan, results["phases"])
            except Exception as error:  # the other phases are worth having
                entry["error"] = f"{type(error).__name__}: {error}"
                entry["traceback"] = traceback.format_exc().splitlines()[-6:]
            entry["seconds"] = round(time.monotonic() - started, 1)
            if plan.rehearse:
                entry["faults"] = {f"{what} ({where})": n for (what, where), n in log.faults.items()}
                log.clear()
            write_json(plan.out / "results.json", results)
            print(f"{phase.name}: {entry['seconds']} s {entry.get('error', '')}", flush=True)
    return int(any("error" in entry or entry.get("faults") for entry in results["phases"].values()))
