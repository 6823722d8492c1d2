"""Several evaluations side by side, as a markdown table: python -m doors.compare runs/sage_refiner/... runs/..."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from contrapposto.errors import ContrappostoError, MissingError
from doors.runs import load_config
from doors.tables import Evaluation, markdown


def find_evaluations(path: Path) -> list[Path]:
    """Folders of evaluations: the given one, or all below it (a run directory, a model's runs, `runs` itself).

    Raises:
        MissingError: there is none.
    """
    found = [f.parent for f in [path / "metrics.json", *sorted(path.rglob("metrics.json"))] if f.is_file()]
    found = [folder for folder in dict.fromkeys(found) if folder.parent.name == "evaluation"]
    if not found:
        raise MissingError(
            f"There is no evaluation in {path}.",
            expected="a run directory with evaluation/DATA-STAGE/metrics.json, or such a folder",
            fix="python evaluate.py ckpt=RUN",
        )
    return found


def read_evaluation(folder: Path) -> Evaluation:
    """What evaluate.py left in a folder."""
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    config = load_config(folder)
    stage = config.stage
    entry = content[stage]
    options = entry.get("options", [])
    return Evaluation(
        model=" ".join([config.name, *options]),
        trained_on=_trained_on(folder, entry),
        tested_on=f"{config.data.name}, {stage}",
        clips=int(entry.get("clips", 0)),
        values=_numbers(entry["metrics"], stage),
        weighted=_numbers(entry.get("by_frame", {}), stage),
    )


def _numbers(values: dict[str, Any], stage: str) -> dict[str, float]:
    return {name.removeprefix(f"{stage}/"): value for name, value in values.items() if value is not None}


def _trained_on(folder: Path, entry: dict[str, Any]) -> str:
    result = folder.parents[1] / "result.json"
    if not result.is_file():
        return {"official": "the authors' weights", None: "-"}.get(entry.get("weights"), "?")
    facts = json.loads(result.read_text(encoding="utf-8"))
    return ", ".join(str(part) for part in (facts["data"].get("name"), facts["experiment"]) if part)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m doors.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="evaluations, or folders that hold some")
    parser.add_argument(
        "--by-frame", action="store_true", help="means over frames in place of means over clips"
    )
    given = parser.parse_args(arguments)
    try:
        folders = dict.fromkeys(f for path in given.folders for f in find_evaluations(path))
        print(markdown([read_evaluation(folder) for folder in folders], frames=given.by_frame))
    except ContrappostoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
