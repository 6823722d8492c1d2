"""Training runs in the viewer's panel: a summary, and curves of metrics over steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from contrapposto.report.charts import show, thinned
from contrapposto.report.columns import split_name
from contrapposto.report.runs import Run
from contrapposto.viewer.scene import COLORS

_MOST_CHARTS = 16
_BESIDE = ("val/true_", "val/copy_")


def add_runs(gui: Any, runs: Sequence[Run]) -> None:
    """A summary of each run, then a chart for each metric with all runs in it."""
    gui.add_markdown("\n\n".join(describe(run) for run in runs))
    names = metrics_of(runs)
    for name in names[:_MOST_CHARTS]:
        _chart(gui, name, runs)
    if len(names) > _MOST_CHARTS:
        gui.add_markdown(f"{len(names) - _MOST_CHARTS} more curves: `contrapposto report RUN`")


def describe(run: Run) -> str:
    """Name, status, steps, time, best score, as Markdown."""
    seconds, whole = run.seconds
    lines = [f"**{run.model}** {run.folder.name}", f"data {run.data}, {run.experiment or 'no experiment'}"]
    steps = "" if run.steps is None else f", {run.steps:,} steps"
    time = f", {'' if whole else 'at least '}{seconds:,.0f} s" if seconds else ""
    lines.append(f"{run.status}{steps}{time}")
    if run.score is not None:
        scale, unit = _scale_and_unit(run.monitor or "")
        lines.append(f"best {run.monitor} {show(run.score * scale)}{f' {unit}' if unit else ''}")
    return "  \n".join([*lines, *run.problems])


def metrics_of(runs: Sequence[Run]) -> list[str]:
    """Metrics with curves: the loss and what is monitored first, measures of the truth last."""
    known = {name for run in runs for name, points in run.curves.items() if len(points) > 1}
    first = [name for name in dict.fromkeys(["train/loss", *(run.monitor for run in runs)]) if name in known]
    rest = [n for n in known if n.startswith(("train/", "val/")) and n not in first]
    order = sorted(rest, key=lambda n: (n.startswith(_BESIDE), n.startswith("train/"), n))
    return [*(name for name in first if name), *order]


def on_common_steps(series: Sequence[Sequence[tuple[float, float]]]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Steps of all series, and each series at them: between its points by lines, outside its range not a number."""
    steps = np.unique([step for points in series for step, _ in points])
    columns = []
    for points in series:
        at, values = (np.array(column, float) for column in zip(*points)) if points else (np.zeros(0),) * 2
        inside = (steps >= at[0]) & (steps <= at[-1]) if len(at) else np.zeros(len(steps), bool)
        column = np.full(len(steps), np.nan)
        if len(at):
            column[inside] = np.interp(steps[inside], at, values)
        columns.append(column)
    return steps, columns


def _scale_and_unit(name: str) -> tuple[float, str]:
    """Factor and unit of a logged metric such as `val/mpjpe`."""
    column = split_name(name.partition("/")[2])[0] if name.startswith("val/") else None
    return (column.scale, column.shown_unit) if column and column.unit else (1.0, "")


def _chart(gui: Any, name: str, runs: Sequence[Run]) -> None:
    scale, unit = _scale_and_unit(name)
    drawn = [[(s, v * scale) for s, v in thinned(run.curves.get(name, [])) if np.isfinite(v)] for run in runs]
    steps, values = on_common_steps(drawn)
    if not len(steps):
        return
    series: list[dict[str, Any]] = [{"label": "step"}]
    for number, run in enumerate(runs):
        color = "rgb({}, {}, {})".format(*COLORS[number % len(COLORS)])
        label = "value" if len(runs) == 1 else f"{run.model} {run.folder.name}"
        series.append({"label": label, "stroke": color, "width": 2, "spanGaps": True})
    gui.add_uplot(
        (steps, *values),
        tuple(series),
        title=f"{name} ({unit})" if unit else name,
        scales={"x": {"time": False}},
        legend={"show": len(runs) > 1},
        aspect=1.8,
    )
