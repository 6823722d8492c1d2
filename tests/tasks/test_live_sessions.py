"""predict.py task=sage_track input=udp://...: sessions that hear nothing that they can read, by the command."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contrapposto.cli import main

ROOT = Path(__file__).parents[2]
RUBBISH = (b"hello", b'{"time": 1, "head": "gone"}', b"\xff\xfe\x00", b'{"t": 1}')


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sending(port: int) -> Iterator[None]:
    """Rubbish for as long as the context lasts."""
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number in range(100_000):
                if ended.wait(0.01):
                    return
                out.sendto(RUBBISH[number % len(RUBBISH)], ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def command(port: int, output: Path) -> list[str]:
    return [
        *("predict", "task=sage_track", f"input=udp://127.0.0.1:{port}", f"output={output}"),
        *(f"task.port={free_port(socket.SOCK_STREAM)}", "task.open=false", "task.formats=[npz]"),
    ]


def check(output: Path, said: str) -> None:
    """The summary is there and states why nothing was tracked."""
    summary = json.loads((output / "live.json").read_text())
    assert set(summary["counts"]) == {"unreadable packets"} and summary["last_unreadable"]
    assert "unreadable packets, the last:" in said and "docs/live.md" in said
    assert (output / "provenance.json").is_file() and not list(output.glob("*.npz"))


def test_nothing_readable_ends_with_a_summary_and_exit_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with sending(port):
        assert main([*command(port, tmp_path / "out"), "task.seconds=1.5"]) == 0
    check(tmp_path / "out", capsys.readouterr().out)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_ends_a_session_in_order(tmp_path: Path) -> None:
    """The documented end: exit 0 and the same summary; without a session yet it would be 130."""
    port = free_port(socket.SOCK_DGRAM)
    arguments = [sys.executable, str(ROOT / "predict.py"), *command(port, tmp_path / "out")[1:]]
    with (
        sending(port),
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        said = [next(line for line in lines if "end with Ctrl+C" in line)]
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        said += list(lines)
    assert process.returncode == 0
    check(tmp_path / "out", "".join(said))
