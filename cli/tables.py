"""Metrics as tables: like those of papers on a terminal, and as markdown with several evaluations side by side."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrapposto.report.columns import (
    FORECASTS,
    FURTHER,
    GENERATION,
    PUBLISHED,
    Column,
    describe_settings,
    split_name,
)
from contrapposto.report.runs import Evaluation

_COLUMNS = PUBLISHED + FURTHER
_ARROWS = {"lower": "↓", "higher": "↑", None: ""}


def read_clips(path: Path) -> list[dict[str, str]]:
    """Rows of a table of single clips; none where there is no such file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_frame(clips: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Means over clips weighted by their number of frames, of every metric; clips without a value are left out."""
    names = dict.fromkeys(name for row in clips for name in row if name not in ("clip", "frames"))
    means: dict[str, float] = {}
    for name in names:
        pairs = [
            (float(row["frames"]), float(row[name])) for row in clips if row.get(name) and row.get("frames")
        ]
        pairs = [(frames, value) for frames, value in pairs if math.isfinite(value)]
        total = sum(frames for frames, _ in pairs)
        if total:
            means[name] = sum(frames * value for frames, value in pairs) / total
    return means


def format_tables(values: Mapping[str, float], weighted: Mapping[str, float]) -> str:
    """Tables of a person's motion, at most 100 columns wide, and a list of the metrics that have no column.

    Args:
        values: metric to mean over clips.
        weighted: metric to mean over frames.
    """
    rows = (
        ("mean over clips", values),
        ("mean over frames", weighted),
        ("truth", {c.name: values[f"true_{c.name}"] for c in _COLUMNS if f"true_{c.name}" in values}),
    )
    blocks = [_block(columns, rows) for columns in (PUBLISHED, FURTHER)]
    generated = (*GENERATION, *FORECASTS) if "fid" in values else ()  # these have a table of their own
    shown = {c.name for c in (*_COLUMNS, *generated)}
    known = {*shown, *(f"true_{n}" for n in shown), *(f"{n}_by_frame" for n in shown)}
    rest = {name: value for name, value in values.items() if name not in known}
    width = max(map(len, rest), default=0)
    blocks.append("\n".join(_line(name, value, width) for name, value in rest.items()))
    if any(arrow in block for block in blocks for arrow in ("↓", "↑")):
        blocks.append("  ↓ lower is better, ↑ higher is better; the others are read beside the truth")
    return "\n\n".join(block for block in blocks if block)


def _line(name: str, value: float, width: int) -> str:
    """A metric without a column, in the unit of its family."""
    column, _ = split_name(name)
    if column is None:
        return f"  {name:<{width}}  {value:10.4f}"
    shown = value * column.scale
    return f"  {name:<{width}}  {shown:10.4g} {column.unit} {_ARROWS[column.better]}".rstrip()


def _block(columns: Sequence[Column], rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    columns = [column for column in columns if column.name in rows[0][1]]
    if not columns:
        return ""
    widths = [max(len(column.title) + 2, len(column.unit), 6) + 2 for column in columns]
    heads = [(f"{c.title} {_ARROWS[c.better]}".strip(), c.unit) for c in columns]
    lines = [" " * 18 + "".join(f"{head[row]:>{w}}" for head, w in zip(heads, widths)) for row in (0, 1)]
    for title, values in rows:
        cells = [f"{_cell(values, c):>{w}}" for c, w in zip(columns, widths)]
        if any(cell.strip() for cell in cells):
            lines.append(f"  {title:<16}{''.join(cells)}")
    return "\n".join(lines)


def _cell(values: Mapping[str, float], column: Column) -> str:
    return f"{values[column.name] * column.scale:.2f}" if column.name in values else ""


def generation_table(content: Mapping[str, Any], *, as_markdown: bool = False) -> str:
    """What `GenerationCallback` wrote as a table: one row per source, mean of the repeats ± half of its 95 % interval.

    Args:
        content: of generation.json.
        as_markdown: for a document; else for a terminal.
    """
    blocks = [_sources_block(content["sources"], part, as_markdown) for part in (GENERATION, FORECASTS)]
    return "\n\n".join(block for block in blocks if block)


def _sources_block(sources: Mapping[str, Any], columns: Sequence[Column], as_markdown: bool) -> str:
    columns = [c for c in columns if any(c.name in row for row in sources.values())]
    shown = {name: row for name, row in sources.items() if any(c.name in row for c in columns)}
    rows = [[name, *(_interval(row.get(c.name), c) for c in columns)] for name, row in shown.items()]
    heads = ["", *(f"{c.title}{', ' + c.unit if c.unit else ''}" for c in columns)]
    if not columns:
        return ""
    if as_markdown:
        lines = [heads, ["---"] * len(heads), *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in [heads, *rows]) for i in range(len(heads))]
    return "\n".join(
        "  " + line[0].ljust(widths[0]) + "".join(f"  {cell:>{w}}" for cell, w in zip(line[1:], widths[1:]))
        for line in [heads, *rows]
    )


def _interval(value: Mapping[str, float | None] | None, column: Column) -> str:
    if value is None or value["mean"] is None:
        return "-"
    mean, half = value["mean"] * column.scale, value.get("interval")
    digits = 1 if column.unit == "%" else 2
    return f"{mean:.{digits}f}" + ("" if half is None else f" ±{half * column.scale:.{digits}f}")


def markdown(evaluations: Sequence[Evaluation], *, frames: bool = False) -> str:
    """A markdown table with one evaluation per row.

    Args:
        evaluations: the rows.
        frames: show means over frames in place of means over clips.
    """
    columns = [c for c in (*PUBLISHED, *FURTHER) if any(c.name in e.values for e in evaluations)]
    titles = [f"{_markdown_title(c)}, {c.unit}" for c in columns]
    lines = [
        "| " + " | ".join(["model", "trained on", "tested on", "clips", *titles]) + " |",
        "|" + "---|" * (4 + len(columns)),
    ]
    for e in evaluations:
        values = e.weighted if frames else e.values
        cells = [_with_truth(values, e.values, column) for column in columns]
        lines.append("| " + " | ".join([e.model, e.trained_on, e.tested_on, str(e.clips), *cells]) + " |")
    stated = {e.model: describe_settings(e.settings) for e in evaluations if e.settings}
    lines += ["", *(f"{model}: {text}  " for model, text in stated.items())] if stated else []
    return "\n".join(lines)


def _markdown_title(column: Column) -> str:
    extra = " (truth)" if column.name in ("jitter", "foot_skate", "floor_penetration") else ""
    rotation = " rotation" if column.name.endswith("_rotation") else ""
    return f"{column.title}{rotation}{extra}"


def _with_truth(values: Mapping[str, float], all_values: Mapping[str, float], column: Column) -> str:
    cell = _cell(values, column) or "-"
    name = f"true_{column.name}"
    truth = values.get(name, all_values.get(name))
    return cell if truth is None else f"{cell} ({truth * column.scale:.2f})"
