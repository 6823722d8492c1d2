"""The studio from its command to the first result: `python -m benchmarks.studio [--python PATH]`.

Starts `contrapposto studio` with a Python (of an environment that has the wheel with the extra `studio`), waits for its
page, sends what its first tab is filled in with, and waits for the result's files. Prints seconds of the wall and of
processors, children's too. Times of the wall hold for an idle machine only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


def get(address: str, content: object = None) -> bytes:
    """What a page answers."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return bytes(answer.read())


def cpu_seconds(process: int) -> float:
    """Processor seconds of a process and all below it that have not ended unseen (Linux)."""
    times: dict[int, tuple[int, float]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        times[int(folder.name)] = int(words[1]), sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    total, below = 0.0, [process]
    while below:
        one = below.pop()
        total += times.get(one, (0, 0.0))[1]
        below += [number for number, (parent, _) in times.items() if parent == one]
    return total


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the page answers.

    Raises:
        RuntimeError: the command ended.
    """
    while True:
        try:
            get(address)
            return
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"contrapposto studio ended with status {process.returncode}") from None
            time.sleep(0.05)


def first_result(address: str, tab: str) -> list[str]:
    """Send a tab as it is filled in; returns the names of the files that come."""
    config: dict[str, Any] = json.loads(get(f"{address}/config"))
    values = {one["id"]: one["props"].get("value") for one in config["components"]}
    inputs = next(one["inputs"] for one in config["dependencies"] if one["api_name"] == tab)
    call = f"{address}/gradio_api/call/{tab}"
    event = json.loads(get(call, {"data": [values[number] for number in inputs]}))["event_id"]
    lines = get(f"{call}/{event}").decode().splitlines()
    if "event: complete" not in lines:
        raise RuntimeError("\n".join(lines[-4:]))
    answer = json.loads(lines[lines.index("event: complete") + 1].removeprefix("data: "))
    downloads = next(
        one["value"] for one in answer if isinstance(one, dict) and isinstance(one.get("value"), list)
    )
    for file in downloads:
        assert len(get(file["url"])) > 100
    return [file["orig_name"] for file in downloads]


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="of the environment (this one)")
    parser.add_argument(
        "--tab", default="track", help="of track, generate, mesh, avatar, people (%(default)s)"
    )
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        command = [options.python, "-m", "contrapposto", "studio", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder)
        try:
            for what, work in (
                ("page open", lambda: wait_for(f"http://{HOST}:{port}", process)),
                ("first result", lambda: first_result(f"http://{HOST}:{port}", options.tab)),
            ):
                files = work()
                seconds, cpu = time.monotonic() - start, cpu_seconds(process.pid)
                print(f"{what:<14}{seconds:6.1f} s{cpu:8.1f} CPU s  {', '.join(files or ())}", flush=True)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


if __name__ == "__main__":
    main()
