"""Labels that lie beside clips: `index.csv` tables and BABEL-like JSON files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contrapposto.motion import Label, Motion


@dataclass
class LabelFinder:
    """Find the labels of clips below one raw folder.

    Two kinds are read, the first one wins:

    * `<clip>.json` beside the clip: `{"frame_ann": [{"act", "start_t", "end_t"}, ...]}`, as in BABEL, where
      the list may also stand under `"labels"` and the text under `"proc_label"` or `"act_cat"`;
    * `index.csv` in the clip's folder or in one above it, with the columns `file` (relative to the table),
      `label` and, if wanted, `style`.

    Args:
        raw: folder above which nothing is looked for.
        problems: counts label files that could not be read.
    """

    raw: Path
    problems: Counter[str] = field(default_factory=Counter)
    _tables: dict[Path, dict[str, dict[str, str]]] = field(default_factory=dict)

    def find(self, clip: Path) -> dict[str, Any]:
        """`labels`: [text, start, end] with end None for the whole clip; `style`. Only what was found."""
        row = self._row(clip)
        found: dict[str, Any] = {}
        spans = self._spans(clip.with_suffix(".json"))
        if spans:
            found["labels"] = spans
        elif row.get("label"):
            found["labels"] = [[row["label"], 0.0, None]]
        if row.get("style"):
            found["style"] = row["style"]
        return found

    def _spans(self, path: Path) -> list[list[Any]]:
        if not path.is_file():
            return []
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            annotations = value["frame_ann"]
            if isinstance(annotations, Mapping):
                annotations = annotations["labels"]
            return [[_text(span), float(span["start_t"]), float(span["end_t"])] for span in annotations or ()]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.problems["label files that could not be read"] += 1
            return []

    def _row(self, clip: Path) -> dict[str, str]:
        folder = clip.parent
        while True:
            row = self._table(folder).get(clip.relative_to(folder).as_posix())
            if row is not None:
                return row
            if folder == self.raw or folder == folder.parent:
                return {}
            folder = folder.parent

    def _table(self, folder: Path) -> dict[str, dict[str, str]]:
        if folder not in self._tables:
            self._tables[folder] = {}
            path = folder / "index.csv"
            if path.is_file():
                try:
                    with open(path, encoding="utf-8", newline="") as file:
                        rows = [row for row in csv.DictReader(file) if row.get("file")]
                    self._tables[folder] = {str(row["file"]): row for row in rows}
                except (OSError, ValueError, csv.Error):
                    self.problems["label files that could not be read"] += 1
        return self._tables[folder]


def with_labels(motion: Motion, parameters: Mapping[str, Any]) -> Motion:
    """Put what `LabelFinder.find` found onto a clip; a clip without findings keeps its own labels."""
    labels = motion.labels
    if parameters.get("labels"):
        end = motion.num_frames / motion.fps
        labels = tuple(
            Label(text, start, end if stop is None else stop) for text, start, stop in parameters["labels"]
        )
    metadata = dict(motion.metadata)
    metadata.update(
        {key: str(parameters[key]) for key in ("style", "subject", "subset") if parameters.get(key)}
    )
    return replace(motion, labels=labels, metadata=metadata)


def _text(span: Mapping[str, Any]) -> str:
    category = span.get("act_cat")
    text = span.get("act") or span.get("proc_label") or (category[0] if category else None)
    if not isinstance(text, str):
        raise KeyError("act")
    return text
