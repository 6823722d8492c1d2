"""Several evaluations side by side, as a markdown table: python -m cli.compare runs/sage_refiner/... runs/..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cli.tables import markdown
from contrapposto.errors import ContrappostoError, MissingError
from contrapposto.report.runs import evaluation_folders, read_evaluation


def find_evaluations(path: Path) -> list[Path]:
    """Folders of evaluations: this one, or all below it (a run directory, a model's runs, `runs` itself).

    Raises:
        MissingError: there is none.
    """
    folders = evaluation_folders(path)
    if not folders:
        raise MissingError(
            f"There is no evaluation in {path}.",
            expected="a run directory with evaluation/DATA-STAGE/metrics.json, or such a folder",
            fix="python evaluate.py ckpt=RUN",
        )
    return folders


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m cli.compare", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="evaluations, or folders that hold some")
    parser.add_argument(
        "--by-frame", action="store_true", help="means over frames in place of means over clips"
    )
    options = parser.parse_args(arguments)
    try:
        folders = dict.fromkeys(f for path in options.folders for f in find_evaluations(path))
        print(markdown([read_evaluation(folder) for folder in folders], frames=options.by_frame))
    except ContrappostoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
