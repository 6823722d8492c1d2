"""BABEL's annotations: which actions a clip of AMASS shows, and when (docs/specs/posegpt.md, section 8).

Source: Punnakkal et al., "BABEL: Bodies, Action and Behavior with English Labels", 2021; v1.0 json files from
https://babel.is.tue.mpg.de (registration, non-commercial).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrapposto.data.names import comparable
from contrapposto.errors import InputError, MissingError


@dataclass(frozen=True)
class Span:
    """What happens from `start` to `end` seconds: any number of categories; no end means the whole clip."""

    categories: tuple[str, ...]
    start: float = 0.0
    end: float | None = None


@dataclass
class BabelLabels:
    """Annotations by clip.

    Args:
        spans: by `data.names.comparable` name of the clip, so SMPL-H and SMPL-X releases both find theirs.
        problems: what was corrected or left out, counted.
        parts: name of the file (`train`, `val`) that a clip stands in, by the same names.
    """

    spans: dict[str, list[Span]] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    parts: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> list[Span]:
        """Spans of a clip by its file name inside AMASS; none where BABEL has none."""
        return self.spans.get(comparable(name), [])

    def part_of(self, name: str) -> str | None:
        """Part of BABEL's own split that a clip belongs to."""
        return self.parts.get(comparable(name))


def read_babel(*paths: str | Path, original: bool = False) -> BabelLabels:
    """Read annotation files (`train.json`, `val.json`).

    A clip has the labels of its frames where there are any, else those of the sequence as a whole. Corrected and
    counted: times in the wrong order are swapped, negative ones become 0. Left out and counted: labels
    without categories (`act_cat` is null), without a length, or with times that are no numbers.

    Args:
        paths: the files.
        original: as the original code does: of labels with swapped times only one frame is left.

    Raises:
        MissingError: no such file.
        InputError: it is not a BABEL file.
    """
    labels = BabelLabels()
    for path in map(Path, paths):
        for entry in _entries(path):
            feature = entry.get("feat_p")
            if not isinstance(feature, str) or "/" not in feature:
                labels.problems["entries without a clip"] += 1
                continue
            spans = list(_spans(entry, labels.problems, original))
            name = comparable(feature.split("/", 1)[1])
            labels.spans.setdefault(name, []).extend(spans)
            labels.parts[name] = path.stem
            if not spans:
                labels.problems["clips without labels"] += 1
    return labels


def babel_files(path: str | Path) -> list[Path]:
    """`train.json`, `val.json` and `test.json` of a folder, as far as they are there; or the one file itself.

    Raises:
        MissingError: none of them is there.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    files = [path / f"{part}.json" for part in ("train", "val", "test")]
    present = [file for file in files if file.is_file()]
    if not present:
        raise MissingError(
            f"There are no BABEL files in {path}.",
            expected="train.json and val.json of BABEL v1.0",
            fix="download them from https://babel.is.tue.mpg.de (registration)",
        )
    return present


def _entries(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise MissingError(
            f"There is no BABEL file {path}.",
            fix="download it from https://babel.is.tue.mpg.de (registration)",
        )
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a BABEL file.", found=str(error)[:200], expected="JSON") from error
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        raise InputError(
            f"{path} is not a BABEL file.",
            found=type(value).__name__,
            expected="an object of annotated sequences, each with feat_p, seq_ann and frame_ann",
        )
    yield from value.values()


def _spans(entry: Mapping[str, Any], problems: Counter[str], original: bool) -> Iterator[Span]:
    frames = _labels(entry.get("frame_ann"))
    for label in _labels(entry.get("seq_ann")) or [] if frames is None else frames:
        categories = label.get("act_cat") if isinstance(label, dict) else None
        if not isinstance(categories, list) or not all(isinstance(name, str) for name in categories):
            problems["labels without categories"] += 1
        elif frames is None:
            yield Span(tuple(categories))
        else:
            times = span_times(label, problems, original)
            if times is not None:
                yield Span(tuple(categories), *times)


def _labels(annotation: Any) -> list[Any] | None:
    """The list of labels of `frame_ann` or `seq_ann`; None where there is none."""
    labels = annotation.get("labels") if isinstance(annotation, dict) else None
    return labels if isinstance(labels, list) else None


def span_times(
    label: Mapping[str, Any], problems: Counter[str], original: bool = False
) -> tuple[float, float] | None:
    """Start and end of a label in seconds, corrected as in `read_babel`; None where it is left out. Counts both."""
    try:
        start, end = float(label["start_t"]), float(label["end_t"])
    except (KeyError, TypeError, ValueError):
        start = end = math.nan
    if not (math.isfinite(start) and math.isfinite(end)):
        problems["labels without times"] += 1
        return None
    if end < start:
        problems["labels with swapped times"] += 1
        start, end = (start, start) if original else (end, start)
    if start < 0:
        problems["labels with negative times"] += 1
        start, end = 0.0, max(end, 0.0)
    if end <= start and not original:
        problems["labels of no length"] += 1
        return None
    return start, end
