"""Every system in 2 and 4 processes learns what one process learns, and measures the same, also with few items to measure."""

import json
import os
import subprocess
import sys

import pytest

from cli.launch import ROOT
from cli.report import read_curves
from tests.lightning_modules.ranks import CASES, counts
from tests.lightning_modules.sage_tiny import only_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked"),
]


@pytest.fixture(scope="module")
def trained(stores, tmp_path_factory):
    """Folders of runs by number of processes."""
    from tests.lightning_modules.anerf_tiny import write_sticks
    from tests.lightning_modules.npr_tiny import write_bent

    folder = tmp_path_factory.mktemp("ranks")
    (folder / "stores").mkdir()
    (folder / "stores" / "tiny").symlink_to(stores / "tiny")
    write_bent(folder / "stores")
    write_sticks(folder / "stores")
    words = [sys.executable, "-m", "tests.lightning_modules.ranks", str(folder / "stores"), str(folder)]
    result = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr[-3000:]
    return folder


def of(run):
    losses = [value for _, value in read_curves(run / "metrics.csv")["train/loss"]]
    return losses, json.loads((run / "metrics.json").read_text())["last"]["metrics"]


@pytest.mark.parametrize(("model", "count"), [(m, n) for m in CASES for n in counts(m)[1:]])
def test_processes_learn_and_measure_what_one_does(model, count, trained):
    losses, metrics = of(only_run(trained / "1", model))
    found, measured = of(only_run(trained / str(count), model))
    # Adam makes steps of the rounding noise of gradients that are zero, which adds up.
    assert found[:6] == pytest.approx(losses[:6], rel=2e-3) and found == pytest.approx(losses, rel=5e-2)
    assert set(measured) == set(metrics)
    for name, value in metrics.items():
        # A token between two codes may fall to either side, which the use of codes counts.
        near = {"abs": 0.05} if "codebook_use" in name else {"rel": 1e-2}
        if value is None:  # no window has such a movement
            assert measured[name] is None, name
        else:
            assert measured[name] == pytest.approx(value, **near), name
