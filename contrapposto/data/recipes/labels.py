"""Labels that lie beside clips: `index.csv` tables and BABEL-like JSON files."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contrapposto.data.babel import BabelLabels, span_times
from contrapposto.data.names import comparable
from contrapposto.motion import Label, Motion


@dataclass
class LabelFinder:
    """Find the labels of clips below one raw folder.

    Two kinds are read, the first one wins:

    * `<clip>.json` beside the clip: `{"frame_ann": [{"act", "start_t", "end_t"}, ...]}`, as in BABEL, where
      the list may also stand under `"labels"` and the text under `"proc_label"`, or several under `"act_cat"`;
      times are fixed, and counted, as `babel.read_babel` does;
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
        matches: dict[str, Any] = {}
        spans = self._spans(clip.with_suffix(".json"))
        if spans:
            matches["labels"] = spans
        elif row.get("label"):
            matches["labels"] = [[row["label"], 0.0, None]]
        if row.get("style"):
            matches["style"] = row["style"]
        return matches

    def _spans(self, path: Path) -> list[list[Any]]:
        if not path.is_file():
            return []
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            annotations = value["frame_ann"]
            if isinstance(annotations, Mapping):
                annotations = annotations["labels"]
            matches = [(_texts(span), span_times(span, self.problems)) for span in annotations or ()]
            return [[text, *times] for texts, times in matches if times for text in texts]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
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
        {key: str(parameters[key]) for key in ("style", "subject", "subset", "split") if parameters.get(key)}
    )
    return replace(motion, labels=labels, metadata=metadata)


def babel_labels(labels: BabelLabels, name: str) -> dict[str, Any]:
    """What BABEL states of a clip, in the form of `LabelFinder.find`; `split` is BABEL's own part."""
    spans = [
        [text, span.start, span.end] for span in labels.of(name) for text in dict.fromkeys(span.categories)
    ]
    part = labels.part_of(name)
    return {**({"labels": spans} if spans else {}), **({"split": part} if part else {})}


def grab_label(name: str) -> dict[str, Any]:
    """What somebody of GRAB does, which its file names tell: `GRAB/s1/cup_drink_1_stageii.npz` is `drink`."""
    match = re.fullmatch(
        r"[^_]+_([a-z]+)(?:_Retake)?(?:_\d+)?(?:_Retake)?", comparable(name).split("/")[-1], re.IGNORECASE
    )
    return {"labels": [[match[1].lower(), 0.0, None]]} if match else {}


def _texts(span: Mapping[str, Any]) -> list[str]:
    text = span.get("act") or span.get("proc_label") or span.get("act_cat")
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        raise KeyError("act")
    return texts
