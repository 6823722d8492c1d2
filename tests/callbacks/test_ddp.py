"""Two real processes (gloo): metrics over unequal numbers of batches, files written once."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_processes_with_unequal_batches(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for name in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_PORT", "PL_GLOBAL_SEED"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-m", "tests.callbacks.ddp_metrics", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / "rank0.ok").exists() and (tmp_path / "rank1.ok").exists()
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["last"]["metrics"]["val/error"] == 3.5
    with open(tmp_path / "media/clips_val.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == [f"clip_{index:02d}" for index in range(8)]
    assert [float(row["error"]) for row in rows] == list(range(8))
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
