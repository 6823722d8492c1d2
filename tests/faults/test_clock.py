"""Clocks that stand still or go backwards; several runs at the same moment."""

import multiprocessing
import re
import time
from pathlib import Path

from cli.runs import new_run_directory

ROOT = Path(__file__).parents[2]


def _start_runs(runs, gate, names):
    time.strftime = lambda *_: "2026-01-01_00-00-00"  # the clock stands still
    gate.wait()
    names.put([new_run_directory(runs, "m").name for _ in range(20)])


def test_processes_that_start_runs_in_the_same_second(tmp_path):
    """Four processes at once, twenty runs each: every run has a folder of its own."""
    context = multiprocessing.get_context("fork")
    gate, names = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_start_runs, args=(tmp_path, gate, names)) for _ in range(4)]
    for process in processes:
        process.start()
    actual = [name for _ in processes for name in names.get(timeout=20)]
    for process in processes:
        process.join()
    assert len(set(actual)) == 80 == len(list((tmp_path / "m").iterdir()))


def test_a_clock_that_goes_backwards_loses_no_run(tmp_path, monkeypatch):
    stamps = iter(["2026-01-02_00-00-00", "2026-01-01_00-00-00", "2026-01-02_00-00-00"])
    monkeypatch.setattr(time, "strftime", lambda *_: next(stamps))
    names = [new_run_directory(tmp_path, "m").name for _ in range(3)]
    assert names == ["2026-01-02_00-00-00", "2026-01-01_00-00-00", "2026-01-02_00-00-00-2"]


def test_the_clock_on_the_wall_decides_nothing():
    """Durations come from a clock that never goes back; times of day go into names, records and packets only."""
    allowed = {
        "contrapposto/systems/sage/live/replay.py",  # the sender's time, for the delay that the viewer shows
        "contrapposto/systems/sage/live/server.py",  # the same at the receiver
        "contrapposto/systems/scail_pose/service/store.py",  # results are deleted some time after they were made
        "contrapposto/studio/jobs.py",  # likewise
        "contrapposto/report/page.py",  # when a report was made
        "contrapposto/systems/scail_pose/service/runner.py",  # when a job began, for people
        "contrapposto/outputs.py",  # when a prediction began
        "cli/runs.py",  # names of runs
        "cli/plan.py",  # the run that a step has just made, beside times of files
        "cli/comparison.py",  # names of comparisons
        "callbacks/provenance.py",  # when a run began and ended
    }
    actual = set()
    for room in ("contrapposto", "cli", "loggers", "callbacks", "datamodules", "lightning_modules"):
        for file in (ROOT / room).rglob("*.py"):
            if re.search(r"time\.time\(|datetime\.now|time\.strftime|time\.localtime", file.read_text()):
                actual.add(file.relative_to(ROOT).as_posix())
    assert actual <= allowed
