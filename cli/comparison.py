"""Several runs evaluated on the same clips, in one table with confidence intervals: evaluate.py runs=[A,B,C]."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, open_dict

from cli.tables import read_clips
from contrapposto.errors import ConfigError, InputError
from contrapposto.files import atomic_path, write_json
from contrapposto.report.columns import describe_settings, split_name
from contrapposto.report.runs import read_evaluation

RESAMPLES = 2000
_ARROWS = {"lower": "↓", "higher": "↑", None: ""}


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        names: of the R runs.
        clips: names of the C clips that all of them have.
        metrics: names of the M metrics.
        mean, low, high: (R, M) means over the clips and the ends of their 95 % intervals.
        difference, difference_low, difference_high: (R, M) to the first run, clip by clip; that run's are 0.
        settings: of the R evaluations, in one line each.
    """

    names: list[str]
    clips: list[str]
    metrics: list[str]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    difference: np.ndarray
    difference_low: np.ndarray
    difference_high: np.ndarray
    settings: tuple[str, ...] = ()

    def holds(self) -> np.ndarray:
        """(R, M) bool: whether a difference to the first run is larger than chance among clips explains."""
        return (self.difference_low > 0) | (self.difference_high < 0)


def compare_runs(config: DictConfig) -> Path:
    """Evaluate every run of `config.runs` on the same part of the same data; print and write one table.

    Returns:
        The folder with comparison.md and comparison.json.

    Raises:
        ConfigError: fewer than two runs. InputError: they share no clips or no metrics.
    """
    from cli.evaluate import evaluate

    runs = [str(run) for run in config.runs]
    if len(runs) < 2:
        raise ConfigError("A comparison needs two runs or more.", found=f"runs={runs}")
    tables: dict[str, list[dict[str, str]]] = {}
    settings: list[str] = []
    for run in runs:
        single = config.copy()
        with open_dict(single):
            single.runs, single.ckpt, single.report = None, run, False
        output = evaluate(single)
        tables[_name(run, tables)] = read_clips(output / "media" / f"clips_{config.stage}.csv")
        settings.append(describe_settings(read_evaluation(output).settings))
    comparison = replace(compare(tables), settings=tuple(settings))
    text = markdown(comparison)
    folder = Path(config.paths.runs) / "comparisons" / time.strftime("%Y-%m-%d_%H-%M-%S")
    with atomic_path(folder / "comparison.md") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    write_json(folder / "comparison.json", _plain(comparison))
    print(f"\n{text}\n\nresults: {folder}")
    return folder


def _name(run: str, known: Mapping[str, Any]) -> str:
    parts = Path(run).parts
    name = "/".join(parts[-2:])
    return name if name not in known else run


def compare(tables: Mapping[str, Sequence[Mapping[str, str]]], seed: int = 0) -> Comparison:
    """Bootstrap over clips: the same clips are drawn for every run, so that differences are paired.

    Args:
        tables: run to the rows of its table of clips (`clip`, `frames`, metrics).
        seed: of the draws.

    Raises:
        InputError: the tables have no clip, or no metric, in common.
    """
    rows = {run: {row["clip"]: row for row in table} for run, table in tables.items()}
    clips = sorted(set.intersection(*(set(table) for table in rows.values())))
    shared = set.intersection(*({key for row in t.values() for key in row} for t in rows.values()))
    metrics = [key for key in next(iter(tables.values()), [{}])[0] if key in shared - {"clip", "frames"}]
    if not clips or not metrics:
        counts = ", ".join(f"{len(table)} clips in {run}" for run, table in rows.items())
        raise InputError("The runs have no evaluated clip or no metric in common.", found=counts)
    values = np.array([[[_number(t[c].get(m)) for m in metrics] for c in clips] for t in rows.values()])
    finite = np.isfinite(values).all((0, 1))
    metrics, values = [m for m, fine in zip(metrics, finite) if fine], values[..., finite]
    draws = np.random.default_rng(seed).integers(0, len(clips), (RESAMPLES, len(clips)))
    weights = np.stack([np.bincount(draw, minlength=len(clips)) for draw in draws]) / len(clips)
    means = np.einsum("sc,rcm->srm", weights, values)
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    apart = means - means[:, :1]
    apart_low, apart_high = np.quantile(apart, (0.025, 0.975), axis=0)
    mean = values.mean(1)
    return Comparison(list(tables), clips, metrics, mean, low, high, mean - mean[:1], apart_low, apart_high)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def markdown(comparison: Comparison) -> str:
    """The table: mean with its 95 % interval; a star where the difference to the first run holds."""
    heads = ["run"]
    scales = []
    for metric in comparison.metrics:
        column, group = split_name(metric)
        scales.append(column.scale if column else 1.0)
        title = f"{column.title} {group}".strip() if column else metric
        unit = f", {column.unit}" if column and column.unit else ""
        heads.append(f"{title}{unit} {_ARROWS[column.better if column else None]}".strip())
    holds = comparison.holds()
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for run, name in enumerate(comparison.names):
        cells = [name]
        for number, scale in enumerate(scales):
            value, low, high = (
                getattr(comparison, part)[run, number] * scale for part in ("mean", "low", "high")
            )
            star = " *" if holds[run, number] else ""
            cells.append(f"{value:.2f} [{low:.2f}, {high:.2f}]{star}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Means over {len(comparison.clips)} clips with 95 % intervals (bootstrap over clips, {RESAMPLES} draws).",
        f"A star: the difference to {comparison.names[0]}, clip by clip, is larger than chance explains.",
        *_settings(comparison),
    ]
    return "\n".join(lines)


def _settings(comparison: Comparison) -> list[str]:
    """How the outputs were treated: one line for all runs, or one for each where they differ."""
    stated = dict(zip(comparison.names, comparison.settings))
    if len(set(stated.values())) > 1:
        lines = [f"- {name}: {text or 'none'}" for name, text in stated.items()]
        return ["", "The outputs of these runs were treated differently:", "", *lines]
    return [f"Settings: {text}" for text in set(stated.values()) if text]


def _plain(comparison: Comparison) -> dict[str, Any]:
    plain: dict[str, Any] = {"clips": comparison.clips, "resamples": RESAMPLES, "runs": {}}
    plain["settings"] = dict(zip(comparison.names, comparison.settings))
    parts = ("mean", "low", "high", "difference", "difference_low", "difference_high")
    for run, name in enumerate(comparison.names):
        plain["runs"][name] = {
            metric: {part: float(getattr(comparison, part)[run, number]) for part in parts}
            for number, metric in enumerate(comparison.metrics)
        }
    return plain
