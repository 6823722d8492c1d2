"""Tables of the open protocol with bootstrap intervals: python -m benchmarks.open_protocol EVALUATION...

An EVALUATION is a folder that evaluate.py wrote: `runs/MODEL/TIME/evaluation/open_motion-test...`. Figures are means
over clips, with the 95 % interval of 10,000 resamplings of the clips (docs/open_protocol.md).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from contrapposto.errors import MissingError
from contrapposto.metrics.bootstrap import bootstrap_interval
from contrapposto.runs import load_config
from contrapposto.systems.sage.finishing import Finishing

GROUPS = {"all": "", "CMU 02": "CMU/02/", "CMU 14": "CMU/14/", "CMU 49": "CMU/49/", "HDM05 tr": "HDM05/tr/"}
METRICS = ("mpjpe", "hand", "upper", "lower")
RATIOS = {"jitter ratio": "jitter", "foot slide ratio": "foot_skate"}

Rows = Sequence[Mapping[str, str]]


def read_rows(evaluation: Path) -> Rows:
    """Metrics of single clips of an evaluation.

    Raises:
        MissingError: the folder has none.
    """
    files = sorted((evaluation / "media").glob("clips_*.csv"))
    if not files:
        raise MissingError(f"{evaluation} is no evaluation.", expected="media/clips_test.csv in it")
    with open(files[0], newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figures(rows: Rows) -> dict[str, str]:
    """Every figure of some clips, with its interval, as text."""
    result = {"clips": str(len(rows))}
    for metric in METRICS:
        values = [float(row[metric]) for row in rows]
        low, high = bootstrap_interval(values)
        result[metric] = f"{np.mean(values):.2f} ({low:.2f} to {high:.2f})"
    for name, metric in RATIOS.items():
        means = [np.nanmean([float(row[key] or "nan") for row in rows]) for key in (metric, f"true_{metric}")]
        result[name] = f"{means[0] / means[1]:.2f}"
    depth = [float(row["floor_penetration"]) for row in rows]
    result["floor penetration"] = f"{np.mean(depth):.2f}"
    return result


def table(evaluation: Path) -> Iterator[str]:
    """Lines of a markdown table: a row per group of clips."""
    rows = read_rows(evaluation)
    config = load_config(evaluation)
    finishing = Finishing.of(config.module)
    yield f"{config.name}, experiment {config.experiment_name}. Finishing: {finishing}."
    yield ""
    for number, (group, prefix) in enumerate(GROUPS.items()):
        chosen = [row for row in rows if row["clip"].startswith(prefix)]
        if not chosen:
            continue
        values = {"group": group, **figures(chosen)}
        if number == 0:
            yield f"| {' | '.join(values)} |"
            yield "|" + "---|" * len(values)
        yield f"| {' | '.join(values.values())} |"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        print("\n".join(table(Path(folder))), end="\n\n")
