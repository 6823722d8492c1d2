"""Reading run directories and evaluations for reports: whatever is there, however a run has ended.

Nothing here stops at a damaged file: what cannot be read is left out and named in `problems`.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_RUN_FILES = ("config.yaml", "metrics.csv", "metrics.json", "result.json", "evaluation")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?$")
_PASSED = ("wandb", "checkpoints", "media", "evaluation")

Curves = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Args:
        model: name, with what was set differently.
        trained_on: data and experiment.
        tested_on: data and part.
        clips: number of clips.
        values: metric to mean over clips.
        weighted: metric to mean over frames.
        frames: number of frames.
        folder: where it lies.
        stage: `val` or `test`.
        not_finite: metrics whose value is no number.
        settings: what was done to the model's outputs before they were measured.
    """

    model: str
    trained_on: str
    tested_on: str
    clips: int
    values: Mapping[str, float]
    weighted: Mapping[str, float]
    frames: int = 0
    folder: Path = Path()
    stage: str = "test"
    not_finite: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """A run directory.

    Args:
        folder: of the run.
        model, experiment, data: what was trained, how, on what; "?" where no file states so.
        status: finished, running, killed, interrupted, failed, empty, or not trained.
        result, provenance: contents of the files of these names.
        monitor, mode, score: the monitored metric, its direction, and its best value.
        curves: of metrics.csv.
        evaluations: of the run's checkpoints.
        problems: what could not be read.
    """

    folder: Path
    model: str = "?"
    experiment: str | None = None
    data: str = "?"
    status: str = "empty"
    result: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    monitor: str | None = None
    mode: str = "min"
    score: float | None = None
    curves: Curves = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Records of all processes that have trained this run, the first one first."""
        earlier = self.provenance.get("earlier")
        last = {key: value for key, value in self.provenance.items() if key != "earlier"}
        return [*(s for s in (earlier if isinstance(earlier, list) else []) if isinstance(s, dict)), last]

    @property
    def seconds(self) -> tuple[float, bool]:
        """Time of all sessions, and whether that is all: a killed process could not write how long it has run."""
        known = [s["seconds"] for s in self.sessions if isinstance(s.get("seconds"), int | float)]
        return float(sum(known)), bool(known) and len(known) == len(self.sessions)

    @property
    def steps(self) -> int | None:
        """Steps of training, or the last one that was logged."""
        steps = self.provenance.get("steps")
        if isinstance(steps, int):
            return steps
        logged = [points[-1][0] for points in self.curves.values() if points]
        return int(max(logged)) if logged else None


def find_runs(path: Path) -> list[Path]:
    """Run directories at or below a path, empty ones that carry a time for a name included."""
    results: list[Path] = []
    for name, folders, _ in os.walk(path):
        folder = Path(name)
        if any((folder / file).exists() for file in _RUN_FILES) or _STAMP.match(folder.name):
            results.append(folder)
            folders.clear()
        folders[:] = sorted(inner for inner in folders if inner not in _PASSED)
    return results


def evaluation_folders(path: Path) -> list[Path]:
    """Folders of evaluations: the given one, or all below it."""
    files = [path / "metrics.json", *sorted(path.rglob("metrics.json"))]
    folders = dict.fromkeys(file.parent for file in files if file.is_file())
    return [folder for folder in folders if folder.parent.name == "evaluation"]


def read_run(folder: Path) -> Run:
    """All that a run directory tells."""
    run = Run(folder)
    run.result = _json(folder / "result.json", run.problems)
    run.provenance = _json(folder / "provenance.json", run.problems)
    metrics = _json(folder / "metrics.json", run.problems)
    config = _yaml(folder / "config.yaml", run.problems)
    run.model = str(run.result.get("model") or config.get("name") or folder.parent.name or "?")
    run.experiment = run.result.get("experiment") or config.get("experiment_name")
    run.data = str(_inside(run.result, "data", "name") or _inside(config, "data", "name") or "?")
    run.monitor = run.result.get("monitor") or metrics.get("monitor")
    run.mode = str(run.result.get("mode") or metrics.get("mode") or "min")
    best = _inside(metrics, "best", "metrics", str(run.monitor))
    run.score = number(run.result.get("score", best))
    run.curves = read_curves(folder / "metrics.csv", run.problems)
    run.status = _status(run, bool(config))
    for place in evaluation_folders(folder):
        try:
            run.evaluations.append(read_evaluation(place, run))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            run.problems.append(f"{place.relative_to(folder)}: {type(error).__name__} {error}"[:200])
    return run


def read_evaluation(folder: Path, run: Run | None = None) -> Evaluation:
    """What evaluate.py left in a folder.

    Args:
        folder: of the evaluation.
        run: that it belongs to; None: read from the folder above.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not whole.
    """
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    problems: list[str] = []
    config = _yaml(folder / "config.yaml", problems)
    if problems or not config:
        raise ValueError("; ".join(problems) or "config.yaml is missing")
    stage = str(config["stage"])
    entry = content[stage]
    values = _finite(entry["metrics"], stage)
    return Evaluation(
        model=" ".join([str(config["name"]), *map(str, entry.get("options", []))]),
        trained_on=_trained_on(folder, entry, run),
        tested_on=f"{config['data']['name']}, {stage}",
        clips=_count(entry.get("clips", 0)),
        values=values,
        weighted=_finite(entry.get("by_frame", {}), stage),
        frames=_count(entry.get("frames", 0)),
        folder=folder,
        stage=stage,
        not_finite=tuple(
            name for name in (key.removeprefix(f"{stage}/") for key in entry["metrics"]) if name not in values
        ),
        settings=dict(entry.get("settings") or {}),
    )


def read_curves(path: Path, problems: list[str] | None = None) -> Curves:
    """Curves of a metrics.csv: name to (step, value) points; rows without a step are ignored."""
    curves: Curves = {}
    unread = 0
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                step = number(row.get("step"))
                if step is None or not math.isfinite(step):
                    unread += 1
                    continue
                for name, text in row.items():
                    value = number(text) if name not in ("step", "epoch", None) else None
                    if value is not None:
                        curves.setdefault(name, []).append((step, value))
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error) as error:
        unread += 1
        if problems is not None:
            problems.append(f"{path.name}: {error}")
    if unread and problems is not None:
        problems.append(f"{path.name}: {unread} rows cannot be read")
    return curves


def number(value: Any) -> float | None:
    """A number (which may be infinite or not a number) from a file; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _status(run: Run, configured: bool) -> str:
    if run.result:
        return "finished"
    status = str(run.provenance.get("status", ""))
    if status and status != "running":
        return status
    if run.provenance or run.curves or configured:
        return "running" if _held(run.folder) else "killed"
    return "not trained" if (run.folder / "evaluation").is_dir() else "empty"


def _held(folder: Path) -> bool:
    """Whether a process is training into this folder now."""
    from filelock import FileLock, Timeout

    if not (folder / ".lock").is_file():
        return False
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _trained_on(folder: Path, entry: Mapping[str, Any], run: Run | None) -> str:
    result = run.result if run else _json(folder.parents[1] / "result.json", [])
    if not result:
        return {"official": "the authors' weights", None: "-"}.get(entry.get("weights"), "?")
    return ", ".join(
        str(part) for part in (_inside(result, "data", "name"), result.get("experiment")) if part
    )


def _finite(values: Mapping[str, Any], stage: str) -> dict[str, float]:
    pairs = {name.removeprefix(f"{stage}/"): number(value) for name, value in values.items()}
    return {name: value for name, value in pairs.items() if value is not None and math.isfinite(value)}


def _count(value: Any) -> int:
    results = number(value)
    return int(results) if results is not None and math.isfinite(results) else 0


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _json(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} cannot be read: {error}"[:200])
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path.name} holds no record")
        return {}
    return content


def _yaml(path: Path, problems: list[str]) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        problems.append(f"{path.name} cannot be read: {' '.join(str(error).split())}"[:200])
        return {}
    return content if isinstance(content, dict) else {}
