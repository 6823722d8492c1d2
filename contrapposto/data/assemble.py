"""Putting a store together from converted clips, and putting it in its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.data.arrays import NpyWriter
from contrapposto.data.convert import Reject, load_result
from contrapposto.data.recipes import Progress, Recipe
from contrapposto.data.store import ARRAYS, SCHEMA, VERSION, ClipRecord
from contrapposto.data.survey import Survey, nothing_left


def assemble(
    kind: Recipe, survey_result: Survey, clips: Path, store: Path, progress: Progress | None
) -> None:
    """Write the store from the result files of all clips, in the order of their names.

    Args:
        kind: the recipe.
        survey_result: of `survey`.
        clips: folder of the result files.
        store: the folder to make.
        progress: called with ("assembling", done, total).

    Raises:
        InputError: every source turned out to be unusable.
    """
    store.mkdir()
    records: list[ClipRecord] = []
    refused = list(survey_result.rejects)
    with (
        NpyWriter(store / "rotations.npy", np.float32, ARRAYS["rotations"]) as rotations,
        NpyWriter(store / "root_translation.npy", np.float32, ARRAYS["root_translation"]) as translations,
    ):
        for number, task in enumerate(survey_result.tasks, 1):
            result = load_result(clips, task.key(kind))
            if isinstance(result, Reject):
                refused.append(result)
            else:
                records.append(result[0])
                rotations.append(result[1])
                translations.append(result[2])
            if progress:
                progress("assembling", number, len(survey_result.tasks))
        if not records:
            raise nothing_left(kind, refused)
        arrays = {"rotations": rotations.close(), "root_translation": translations.close()}
    refused.sort(key=lambda reject: reject.name)
    _write_manifest(
        store / "manifest.json", _manifest(kind, survey_result, records, refused, arrays), records
    )


def publish(store: Path, output: Path, old: Path) -> None:
    """Move a finished store to its place; what was there goes to `old`."""
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    store.rename(output)


def _manifest(
    kind: Recipe,
    survey_result: Survey,
    records: Sequence[ClipRecord],
    refused: Sequence[Reject],
    arrays: dict[str, dict[str, object]],
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "recipe": {"name": kind.name, "version": kind.version, "options": kind.options},
        "source": kind.source,
        "licence": kind.licence,
        "attribution": kind.attribution,
        **({"downloads": kind.downloads} if kind.downloads else {}),
        "skeleton": "smplh52",
        "input_hash": survey_result.fingerprint,
        "counts": {
            "clips": len(records),
            "frames": sum(record.frames for record in records),
            "seconds": round(sum(record.frames / record.fps for record in records), 3),
            "rejects": len(refused),
            "ignored": survey_result.ignored,
        },
        "arrays": arrays,
        "rejects": [reject.to_json() for reject in refused],
    }


def _write_manifest(path: Path, manifest: dict[str, Any], records: Sequence[ClipRecord]) -> None:
    """One clip per line: a manifest of a large corpus stays readable and can be compared with diff."""
    head = json.dumps(manifest, indent=1, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(record.to_json(), ensure_ascii=False) for record in records)
    path.write_text(f'{head},\n "clips": [\n  {lines}\n ]\n}}\n', encoding="utf-8", newline="\n")
