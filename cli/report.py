"""What train.py prints and plots when it is done."""

from __future__ import annotations

from pathlib import Path

from contrapposto.files import atomic_path
from contrapposto.report.runs import read_curves


def plot_curves(run: Path) -> Path | None:
    """Draw the losses and validation metrics of a run into curves.png; None where there is nothing to draw."""
    source = run / "metrics.csv"
    if not source.is_file():
        return None
    wanted = [n for n in read_curves(source) if n.startswith(("train/", "val/"))]
    curves = {n: c for n, c in read_curves(source).items() if n in wanted and len(c) > 1}
    if not curves:
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.4 * columns, 2.4 * rows), squeeze=False)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (name, points) in zip(axes.flat, sorted(curves.items())):
        axis.plot(*zip(*points), color="#c2582b" if name.startswith("val/") else "#2f6f8f", linewidth=1.5)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if min(value for _, value in points) > 0 and max(v for _, v in points) > 20 * min(
            v for _, v in points
        ):
            axis.set_yscale("log")
    figure.tight_layout()
    path = run / "curves.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
    return path


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
