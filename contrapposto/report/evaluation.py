"""The page of one evaluation: figures, tables, single clips, the training behind it, images, where it comes from."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from contrapposto.errors import InputError
from contrapposto.report.charts import line_chart, show, strip_chart
from contrapposto.report.columns import (
    FORECASTS,
    GENERATION,
    MEANINGS,
    PUBLISHED,
    Column,
    split_name,
    title_of,
)
from contrapposto.report.page import (
    Cell,
    definition_list,
    folded,
    gallery,
    problems,
    section,
    table,
    write_page,
)
from contrapposto.report.runs import Evaluation, Run, number, read_evaluation, read_run

PAGE = "report.html"
_REFERENCES = {
    "true": "truth",
    "copy": "copy",
}  # first part of a metric's name -> what it is beside the metric
_BETTER = {"lower": "↓", "higher": "↑", None: ""}
_MOST_STRIPS, _MOST_CLIPS = 9, 2000


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Write the page of an evaluation.

    Args:
        folder: of the evaluation, `RUN/evaluation/NAME`.
        output: the file; None: `report.html` in the folder.

    Raises:
        InputError: there is no whole evaluation in the folder.
    """
    run = read_run(folder.parents[1])
    try:
        evaluation = read_evaluation(folder, run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} holds no whole evaluation.",
            found=f"{type(error).__name__}: {error}"[:300],
            expected="config.yaml and metrics.json",
            fix="evaluate again: python evaluate.py ckpt=RUN report=true",
        ) from None
    record = _record(folder)
    clips, left_out = _clips(folder / "media" / f"clips_{evaluation.stage}.csv")
    title = f"{evaluation.model} on {evaluation.tested_on}"
    body = [
        f"<header><h1>{escape(title)}</h1>\n<p class='lead'>{escape(_lead(evaluation, run, record))}</p></header>",
        problems(run.problems),
        section(
            "Metrics",
            _metrics(evaluation, clips),
            _settings(evaluation.settings),
            _meanings(evaluation),
            note=_METRICS_NOTE,
        ),
        section("Generated motion", _generated(folder)),
        section("Clips", _strips(clips), _clip_table(clips), note=left_out),
        section("Training", _training(run), note=_training_note(run)),
        section("Images and videos", gallery(_media(folder), folder)),
        section("Where this comes from", _provenance(run, record, evaluation)),
    ]
    return write_page(output or folder / PAGE, title, body)


_METRICS_NOTE = (
    "↓ lower is better, ↑ higher is better; without an arrow: to be read beside the truth. ± is half of the 95 % "
    "interval of the mean over clips (normal approximation). Truth: the same measure of the true motion; copy: of the "
    "unchanged template."
)


def _lead(evaluation: Evaluation, run: Run, record: Mapping[str, Any]) -> str:
    parts = [f"{evaluation.clips:,} clips"] if evaluation.clips else []
    parts += [f"{evaluation.frames:,} frames"] if evaluation.frames else []
    parts.append(
        f"trained on {evaluation.trained_on}"
        if evaluation.trained_on not in ("-", "?")
        else "nothing trained"
    )
    if run.status not in ("finished", "not trained"):
        parts.append(f"the training run is {run.status}")
    if record.get("start"):
        parts.append(f"evaluated {str(record['start'])[:16].replace('T', ' ')} UTC")
    return ", ".join(parts)


def _meanings(evaluation: Evaluation) -> str:
    columns = {c.name: c for c in (split_name(name)[0] for name in evaluation.values) if c is not None}
    pairs = [(title_of(name), MEANINGS[name]) for name in columns if name in MEANINGS]
    return folded("What the metrics are", definition_list(pairs)) if pairs else ""


def _settings(settings: Mapping[str, Any]) -> str:
    """How the outputs were sampled and treated before they were measured."""
    return definition_list([(name.replace("_", " "), value) for name, value in settings.items()])


def _metrics(evaluation: Evaluation, clips: Mapping[str, Mapping[str, float]]) -> str:
    values = evaluation.values
    shown = [
        name for name in values if not name.startswith(("true_", "copy_")) and not name.endswith("_by_frame")
    ]
    order = {name: place for place, name in enumerate(c.name for c in _columns())}
    shown.sort(key=lambda name: (order.get(getattr(split_name(name)[0], "name", ""), 999), name))
    rows = [_metric(name, evaluation, clips) for name in shown]
    rows += [[title_of(name), Cell("not finite", style="bad"), *[""] * 7] for name in evaluation.not_finite]
    used = [any(_text(row[place]) for row in rows) for place in range(9)]
    heads = ("metric", "mean", "±", "over frames", "lowest clip", "highest clip", "beside", "unit", "bounds")
    keep = [place for place in range(9) if used[place] or place < 2]
    return table([heads[p] for p in keep], [[row[p] for p in keep] for row in rows])


def _metric(name: str, evaluation: Evaluation, clips: Mapping[str, Mapping[str, float]]) -> list[Cell | str]:
    column, _ = split_name(name)
    scale = column.scale if column else 1.0
    single = [row[name] * scale for row in clips.values() if name in row]
    half = 1.96 * statistics.stdev(single) / math.sqrt(len(single)) if len(single) > 2 else None
    beside = [
        f"{word} {show(evaluation.values[f'{prefix}_{name}'] * scale)}"
        for prefix, word in _REFERENCES.items()
        if f"{prefix}_{name}" in evaluation.values
    ]
    frames = evaluation.weighted.get(name)
    arrow = _BETTER[column.better] if column else ""
    return [
        f"{title_of(name)} {arrow}".strip(),
        show(evaluation.values[name] * scale),
        "" if half is None else show(half),
        "" if frames is None else show(frames * scale),
        show(min(single)) if single else "",
        show(max(single)) if single else "",
        ", ".join(beside),
        column.shown_unit if column else "",
        column.bounds if column else "",
    ]


def _columns() -> Sequence[Column]:
    from contrapposto.report.columns import FAMILIES

    return [column for columns in FAMILIES.values() for column in columns]


def _generated(folder: Path) -> str:
    """What a generator's samples score, one source of samples per row; nothing where none were judged."""
    try:
        content = json.loads((folder / "generation.json").read_text(encoding="utf-8"))
        sources = content["sources"]
        parts = []
        for columns in (GENERATION, FORECASTS):
            used = [c for c in columns if any(c.name in row for row in sources.values())]
            rows = [
                [name, *(_interval(row.get(c.name), c) for c in used)]
                for name, row in sources.items()
                if any(c.name in row for c in used)
            ]
            heads = [
                "",
                *(f"{c.title}{', ' + c.shown_unit if c.unit else ''} {_BETTER[c.better]}" for c in used),
            ]
            parts.append(table(heads, rows))
        parts.append(_settings(content.get("settings") or {}))
        return "\n".join(parts) + (
            f'<p class="note">{content["samples"]:,} samples from each source, {content["repeats"]} repeats; '
            "± is half of the 95 % interval over the repeats.</p>"
        )
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return problems([f"generation.json: {type(error).__name__} {error}"])


def _interval(value: Any, column: Column) -> str:
    mean = number(value.get("mean")) if isinstance(value, Mapping) else None
    if mean is None:
        return "–"
    half = number(value.get("interval"))
    return show(mean * column.scale) + ("" if half is None else f" ± {show(half * column.scale)}")


def _strips(clips: Mapping[str, Mapping[str, float]]) -> str:
    """Distributions over clips, of published metrics first."""
    if len(clips) < 3:
        return ""
    names = dict.fromkeys(name for row in clips.values() for name in row)
    preferred = [c.name for c in PUBLISHED if c.name in names]
    others = [n for n in names if n not in (*preferred, "frames") and not n.startswith(("true_", "copy_"))]
    parts = []
    for index, name in enumerate([*preferred, *others][:_MOST_STRIPS]):
        column, _ = split_name(name)
        scale = column.scale if column else 1.0
        rows = {clip: row[name] * scale for clip, row in clips.items() if name in row}
        if rows:
            parts.append(strip_chart(rows, title_of(name), column.shown_unit if column else "", index=index))
    return f'<div class="charts">{"".join(parts)}</div>' if parts else ""


def _clip_table(clips: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in clips.values() for name in row))
    rows: list[list[Cell | str]] = [
        [clip, *(Cell(show(row.get(name)), row.get(name, -1e300)) for name in names)]
        for clip, row in clips.items()
    ]
    content = table(["clip", *(n.replace("_", " ") for n in names)], rows, sortable=True)
    return folded(f"All {len(clips)} clips, in the units of metrics.csv (a click on a head sorts)", content)


def _training(run: Run) -> str:
    wanted = {n: c for n, c in run.curves.items() if n.startswith(("train/", "val/")) and len(c) > 1}
    if not wanted:
        return ""
    first = [n for n in ("train/loss", run.monitor) if n in wanted]
    names = [*first, *sorted(n for n in wanted if n.startswith("val/") and n not in first)]
    names += sorted(n for n in wanted if n not in names)
    charts = []
    for name in names:
        stage, _, metric = name.partition("/")
        column, _ = split_name(metric) if stage == "val" else (None, "")
        scale, unit = (column.scale, column.shown_unit) if column else (1.0, "")
        points = [(step, value * scale) for step, value in wanted[name]]
        charts.append(line_chart({name: points}, name, unit))
    shown, rest = charts[:6], charts[6:]
    return f'<div class="charts">{"".join(shown)}</div>' + folded(
        f"{len(rest)} more curves", f'<div class="charts">{"".join(rest)}</div>' if rest else ""
    )


def _training_note(run: Run) -> str:
    if not run.curves:
        return ""
    return "Over steps of training; the axis is logarithmic where values span more than a factor of 20."


def _provenance(run: Run, record: Mapping[str, Any], evaluation: Evaluation) -> str:
    parts = ["<h3>This evaluation</h3>" + session_table(record)] if record else []
    if run.provenance:
        sessions = run.sessions
        seconds, whole = run.seconds
        note = "" if whole else " at least (a killed process could not write how long it ran)"
        parts.append("<h3>The training</h3>")
        parts.append(
            definition_list(
                [
                    ("run", run.folder.name),
                    ("status", run.status),
                    ("steps", f"{run.steps:,}" if run.steps is not None else None),
                    ("time", f"{seconds:,.0f} s{note}" if seconds else None),
                    ("sessions", len(sessions) if len(sessions) > 1 else None),
                    ("best", f"{run.monitor} {show(run.score)}" if run.score is not None else None),
                    ("checkpoint's SHA-256", run.result.get("checkpoint_sha256")),
                ]
            )
        )
        parts.append(session_table(sessions[-1]))
    parts.append(definition_list([("evaluated with", ", ".join(evaluation.model.split()[1:]))]))
    return "\n".join(part for part in parts if part)


def session_table(record: Mapping[str, Any]) -> str:
    """Commit, command, data, seed, versions, device and time of one process."""
    git, data, device, known = (_part(record, name) for name in ("git", "data", "device", "versions"))
    changed = ", with changes that were not committed" if git.get("dirty") else ""
    command = record.get("command")
    return definition_list(
        [
            ("command", "python " + " ".join(map(str, command)) if isinstance(command, list) else None),
            ("commit", f"{git['commit']}{changed}" if git.get("commit") else None),
            ("seed", record.get("seed")),
            ("data", ", ".join(str(data[k]) for k in ("store", "source") if data.get(k))),
            ("licence of the data", data.get("licence")),
            ("attribution", data.get("attribution")),
            ("hash of the data", data.get("content_hash")),
            ("network", record.get("model")),
            (
                "parameters",
                f"{record['parameters']:,}" if isinstance(record.get("parameters"), int) else None,
            ),
            ("begun", record.get("start")),
            ("took", f"{record['seconds']:,} s" if number(record.get("seconds")) is not None else None),
            ("device", ", ".join(f"{key} {value}" for key, value in device.items())),
            ("versions", ", ".join(f"{name} {value}" for name, value in known.items())),
        ]
    )


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def _record(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _clips(path: Path) -> tuple[dict[str, dict[str, float]], str]:
    """Finite values of every clip, and what was left out."""
    clips: dict[str, dict[str, float]] = {}
    lost = more = 0
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                if len(clips) >= _MOST_CLIPS:
                    more += 1
                    continue
                values = {n: number(v) for n, v in row.items() if n not in (None, "clip")}
                finite = {n: v for n, v in values.items() if v is not None and math.isfinite(v)}
                lost += len([v for n, v in values.items() if row[n] and n not in finite])
                clips[str(row.get("clip"))] = finite
    except (OSError, csv.Error):
        return {}, ""
    text = [f"{lost} values are not finite and left out."] if lost else []
    text += [f"{more} further clips are in media/{path.name}."] if more else []
    return clips, " ".join(text)


def _media(folder: Path) -> list[Path]:
    files = sorted((folder / "media").glob("*")) + sorted(folder.glob("*.png"))
    return sorted(files, key=lambda file: file.suffix.lower() not in (".mp4", ".webm"))


def _text(cell: Cell | str) -> str:
    return cell.text if isinstance(cell, Cell) else cell
