"""The studio as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser import HOST

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Started:
    """A process that serves the page at `url`; its temporary files lie in `folder`."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path


@contextmanager
def started(command: list[str], folder: Path, port: int, place: Path = ROOT) -> Iterator[Started]:
    """A Python command that serves at a port, once its page answers; it runs in `place`."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *command], cwd=place, env=environment)
    url = f"http://{HOST}:{port}/"
    try:
        for _ in range(3000):
            assert process.poll() is None
            try:
                urllib.request.urlopen(url, timeout=60).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Started(process, url, folder)
    finally:
        process.kill()
        process.wait()
