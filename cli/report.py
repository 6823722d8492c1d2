"""What train.py prints and plots when it is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrapposto.files import atomic_path
from contrapposto.report.columns import split_name
from contrapposto.report.runs import Curves, read_curves

Points = list[tuple[float, float]]
_COLORS = {"train": "#2f6f8f", "val": "#c2582b"}


def plot_curves(run: Path) -> Path | None:
    """Draw the losses and validation metrics of a run into curves.png; None where there is nothing to draw.

    The same measure of the truth is a dashed line beside a metric; means over frames of a metric whose mean
    over clips is there are left out.
    """
    source = run / "metrics.csv"
    if not source.is_file():
        return None
    known = {n: c for n, c in read_curves(source).items() if n.startswith(("train/", "val/")) and len(c) > 1}
    curves = {n: c for n, c in known.items() if _own_panel(n, known)}
    if not curves:
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    width, height = 3.4 * columns, 2.5 * rows
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False)
    # Fixed margins in inches: tight_layout takes as long as drawing.
    margins = {
        "left": 0.55 / width,
        "right": 1 - 0.1 / width,
        "bottom": 0.45 / height,
        "top": 1 - 0.3 / height,
    }
    figure.subplots_adjust(**margins, wspace=0.24, hspace=0.45)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, sorted(curves)):
        _draw_curve(axis, name, curves[name], known.get(_truth_of(name)))
    path = run / "curves.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
    return path


def _truth_of(name: str) -> str:
    stage, _, metric = name.partition("/")
    return f"{stage}/true_{metric}"


def _own_panel(name: str, curves: Curves) -> bool:
    if name.startswith("val/true_") and name.replace("val/true_", "val/") in curves:
        return False
    return not (name.endswith("_by_frame") and name.removesuffix("_by_frame") in curves)


def _draw_curve(axis: Any, name: str, points: Points, truth: Points | None) -> None:
    """One panel: title with the unit and the better direction, steps along x; few points are marked."""
    stage, _, metric = name.partition("/")
    column = split_name(metric)[0] if stage == "val" else None
    scale = column.scale if column else 1.0
    steps, values = [step for step, _ in points], [scale * value for _, value in points]
    marker = "o" if len(points) < 8 else None
    axis.plot(steps, values, "-", marker=marker, markersize=3, color=_COLORS[stage], linewidth=1.5)
    shown = list(values)
    if truth is not None:
        shown += [scale * value for _, value in truth]
        axis.plot([step for step, _ in truth], shown[len(values) :], "--", color="#777777", linewidth=1)
    arrow = {"lower": " ↓", "higher": " ↑", None: ""}[column.better if column else None]
    unit = f", {column.shown_unit}" if column and column.unit else ""
    beside = " (dashed: truth)" if truth is not None else ""
    axis.set_title(f"{name}{unit}{arrow}{beside}", fontsize=8)
    axis.set_xlabel("step", fontsize=7)
    if min(shown) > 0 and max(shown) > 20 * min(shown):
        axis.set_yscale("log")
    axis.tick_params(labelsize=7, which="both")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def print_places(run: Path, checkpoint: Path, monitor: str | None, score: float | None) -> None:
    """Say where the results of a training run lie."""
    run, checkpoint = _short(run), _short(checkpoint)
    print(f"\ndone: {run}")
    best = f"  ({monitor} {score:.4g})" if monitor and score is not None else ""
    rows = [
        ("checkpoint", f"{checkpoint}{best}"),
        *([("metrics", run / "metrics.csv")] if (run / "metrics.csv").is_file() else []),
    ]
    rows += [("curves", run / "curves.png")] if (run / "curves.png").is_file() else []
    rows += [("video", path) for path in sorted((run / "media").glob("*.mp4"))[-1:]]
    for name, value in rows:
        print(f"  {name:<11}{value}")


def _short(path: Path) -> Path:
    try:
        return path.absolute().relative_to(Path.cwd())
    except ValueError:
        return path
