"""The page that compares runs: a table over models, their evaluations, and curves laid over each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from contrapposto.errors import MissingError
from contrapposto.report.charts import NUM_COLORS, line_chart, show
from contrapposto.report.columns import FAMILIES, Column, describe_settings, family_of, split_name, title_of
from contrapposto.report.page import Cell, folded, problems, section, table, write_page
from contrapposto.report.runs import Evaluation, Run, find_runs, read_run

_SHOWN_CHARTS = 3
_MOST_CHARTS = 24
_BESIDE = ("val/true_", "val/copy_")  # of the truth and of the unchanged template: the last ones shown


def write_comparison(paths: Sequence[Path], output: Path) -> Path:
    """Write a page over all runs at or below the paths.

    Raises:
        MissingError: there is none.
    """
    folders = dict.fromkeys(folder.absolute() for path in paths for folder in find_runs(path))
    if not folders:
        raise MissingError(
            f"There are no runs in {', '.join(map(str, paths))}.",
            expected="a folder of runs (runs/), of a model (runs/MODEL), or one run",
            fix="python train.py model=...",
        )
    runs = [read_run(folder) for folder in folders]
    models: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.model, run.folder.name)):
        models.setdefault(run.model, []).append(run)
    title = f"{len(runs)} runs of {len(models)} models" if len(models) > 1 else f"Runs of {runs[0].model}"
    results = [f"{_place(run)}: {text}" for run in runs for text in run.problems]
    body = [
        f"<header><h1>{escape(title)}</h1></header>",
        section("Runs", _runs_table(models), note=_RUNS_NOTE),
        *_evaluations([evaluation for run in runs for evaluation in run.evaluations]),
        section(
            "Curves",
            *(_curves(model, members) for model, members in models.items()),
            note="Runs of one model over their steps; logarithmic where values span more than a factor of 20.",
        ),
        problems(results),
    ]
    return write_page(output, title, body, wide=True)


_RUNS_NOTE = (
    "Best score: of the monitored metric in validation; the best of the runs of a model with the same data is marked. "
    "A killed run could not write how long it ran: ≥. A click on a head sorts."
)


def _runs_table(models: dict[str, list[Run]]) -> str:
    rows = []
    for members in models.values():
        best = _best(members)
        for run in members:
            rows.append(_run_row(run, run in best))
    heads = (
        *("model", "run", "data", "experiment", "status", "monitored metric", "best score", "unit"),
        *("parameters", "steps", "time", "commit"),
    )
    return table(heads, rows, sortable=True)


def _run_row(run: Run, best: bool) -> list[Cell | str]:
    column = _monitored(run)
    scale = column.scale if column else 1.0
    score = None if run.score is None else run.score * scale
    seconds, whole = run.seconds
    parameters = run.provenance.get("parameters")
    git = run.provenance.get("git")
    commit = (
        str(git.get("commit", ""))[:8] + ("*" if git.get("dirty") else "") if isinstance(git, dict) else ""
    )
    metric = (run.monitor or "–").partition("/")[2] or "–"
    arrow = {"min": " ↓", "max": " ↑"}.get(run.mode, "") if run.monitor else ""
    return [
        run.model,
        Cell(run.folder.name, style="text"),
        Cell(run.data, style="text"),
        Cell(run.experiment or "", style="text"),
        Cell(
            run.status, style="text" if run.status in ("finished", "running", "not trained") else "text bad"
        ),
        Cell(title_of(metric) + arrow, style="text"),
        Cell(show(score), -1e300 if score is None else score, "best" if best else ""),
        Cell(column.shown_unit if column else "", style="text"),
        _count(parameters),
        _count(run.steps),
        Cell(("" if whole else "≥ ") + _duration(seconds) if seconds else "–", seconds),
        Cell(commit, style="text"),
    ]


def _monitored(run: Run) -> Column | None:
    return split_name((run.monitor or "").partition("/")[2])[0]


def _best(members: Sequence[Run]) -> list[Run]:
    """Of each data set and metric, the run with the best score; none where there is nothing to compare."""
    groups: dict[tuple[str, str | None], list[Run]] = {}
    for run in members:
        if run.score is not None and run.score == run.score:
            groups.setdefault((run.data, run.monitor), []).append(run)
    chosen = []
    for group in groups.values():
        if len(group) > 1:
            pick = max if group[0].mode == "max" else min
            chosen.append(pick(group, key=lambda run: run.score or 0.0))
    return chosen


def _count(value: object) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int):
        return Cell("–", -1.0)
    return Cell(f"{value:,}", float(value))


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _evaluations(results: Sequence[Evaluation]) -> list[str]:
    """A table for each family of metrics."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in results:
        groups.setdefault(family_of(list(evaluation.values)), []).append(evaluation)
    return [
        section(f"Evaluations: {family.lower()}", _evaluation_table(groups[family], family))
        for family in (*FAMILIES, "Other")
        if family in groups
    ]


def _evaluation_table(evaluations: Sequence[Evaluation], family: str) -> str:
    known = {column.name: place for place, column in enumerate(c for cs in FAMILIES.values() for c in cs)}
    names = dict.fromkeys(
        name
        for evaluation in evaluations
        for name in evaluation.values
        if not name.startswith(("true_", "copy_")) and not name.endswith("_by_frame")
    )
    columns = {name: split_name(name)[0] for name in names}
    shown = sorted(
        (n for n in names if columns[n] is not None or family == "Other"),
        key=lambda n: (known.get(getattr(columns[n], "name", ""), 999), n),
    )
    stated = any(evaluation.settings for evaluation in evaluations)
    heads = ["model", "run", "trained on", "tested on", *["settings"] * stated, "clips", *map(_head, shown)]
    rows = []
    for evaluation in sorted(evaluations, key=lambda e: (e.tested_on, e.model)):
        rows.append(
            [
                Cell(evaluation.model),
                Cell(evaluation.folder.parents[1].name, style="text"),
                Cell(evaluation.trained_on, style="text"),
                Cell(evaluation.tested_on, style="text"),
                *[Cell(describe_settings(evaluation.settings), style="text")] * stated,
                _count(evaluation.clips or None),
                *(_value(evaluation, name, columns[name]) for name in shown),
            ]
        )
    return table(heads, rows, sortable=True)


def _head(name: str) -> str:
    column, _ = split_name(name)
    if column is None:
        return name
    arrow = {"lower": " ↓", "higher": " ↑", None: ""}[column.better]
    return f"{title_of(name)}{', ' + column.shown_unit if column.unit else ''}{arrow}"


def _value(evaluation: Evaluation, name: str, column: Column | None) -> Cell:
    value, scale = evaluation.values.get(name), column.scale if column else 1.0
    if value is None:
        return Cell("not finite" if name in evaluation.not_finite else "–", -1e300)
    truth = evaluation.values.get(f"true_{name}")
    beside = "" if truth is None else f" ({show(truth * scale)})"
    return Cell(show(value * scale) + beside, value * scale)


def _curves(model: str, members: Sequence[Run]) -> str:
    """Charts of one model: the loss and the monitored metrics, then what else validation measured."""
    runs = [run for run in members if any(len(points) > 1 for points in run.curves.values())]
    if not runs:
        return ""
    monitored = [run.monitor for run in runs if run.monitor]
    names = dict.fromkeys(["train/loss", *monitored])
    measured = {n for run in runs for n in run.curves if n.startswith("val/")}
    names |= dict.fromkeys(sorted(measured, key=lambda n: (n.startswith(_BESIDE), n)))
    charts = []
    for name in names:
        series = {_label(run): run.curves.get(name, []) for run in runs}
        if any(len(points) > 1 for points in series.values()):
            column = split_name(name.partition("/")[2])[0] if name.startswith("val/") else None
            scale, unit = (column.scale, column.shown_unit) if column else (1.0, "")
            scaled = {label: [(s, v * scale) for s, v in points] for label, points in series.items()}
            charts.append(line_chart(scaled, name, unit))
    first, rest = charts[:_SHOWN_CHARTS], charts[_SHOWN_CHARTS:_MOST_CHARTS]
    more = folded(
        f"{len(rest)} more of {model}", f'<div class="charts">{"".join(rest)}</div>' if rest else ""
    )
    return (
        f"<h3>{escape(model)}</h3>\n{_legend([_label(run) for run in runs])}\n"
        f'<div class="charts">{"".join(first)}</div>\n{more}'
    )


def _legend(labels: Sequence[str]) -> str:
    items = "".join(
        f'<span><svg viewBox="0 0 22 10" aria-hidden="true"><line class="line c{i % NUM_COLORS}'
        f'{" dashed" if i >= NUM_COLORS else ""}" x1="0" x2="22" y1="5" y2="5"/></svg>{escape(label)}</span>'
        for i, label in enumerate(labels)
    )
    return f'<div class="legend">{items}</div>'


def _label(run: Run) -> str:
    about = ", ".join(part for part in (run.data, run.experiment) if part and part != "?")
    return f"{run.folder.name} ({about})" if about else run.folder.name


def _place(run: Run) -> str:
    return os.path.join(run.model, run.folder.name)
