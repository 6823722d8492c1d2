"""Metrics over processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_two_processes_give_what_one_gives(tmp_path):
    command = [sys.executable, "-m", "tests.metrics.two_processes", str(tmp_path)]
    root = Path(__file__).parents[2]
    result = subprocess.run(command, capture_output=True, text=True, timeout=180, cwd=root)
    assert result.returncode == 0, result.stdout + result.stderr
