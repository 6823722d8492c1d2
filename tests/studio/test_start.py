"""`contrapposto studio` and app.py as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contrapposto.studio.__main__ import main
from tests.browser import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def gradio() -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'gradio>=6,<7'")


@contextmanager
def started(
    command: list[str], folder: Path, port: int, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves a page, once it answers; its temporary files lie in `folder`."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    try:
        for _ in range(2000):
            assert process.poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def tabs(port: int, **headers: str) -> list[str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/config", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        import json

        components = json.load(answer)["components"]
    return [one["props"]["id"] for one in components if one["type"] == "tabitem"]


@pytest.mark.slow
def test_the_command_serves_five_tabs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    with started(["-m", "contrapposto.studio", "--port", str(port)], tmp_path, port) as process:
        assert tabs(port) == ["track", "generate", "mesh", "avatar", "people"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            tabs(port, Host="evil.example")
        assert list(tmp_path.glob("contrapposto-studio-*"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not list(tmp_path.glob("contrapposto-studio-*"))


@pytest.mark.slow
def test_a_space_serves_the_same_page_under_any_name(tmp_path: Path) -> None:
    port = free_port()
    with started(["app.py"], tmp_path, port, GRADIO_SERVER_PORT=str(port)):
        assert tabs(port, Host="someone-contrapposto.hf.space") == [
            "track",
            "generate",
            "mesh",
            "avatar",
            "people",
        ]


def test_options_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--max-seconds", "0"]) == 2
    assert "--max-seconds 0" in capsys.readouterr().err
    assert main(["--device", "cuda:9"]) == 2
    assert "device=cuda:9" in capsys.readouterr().err
