"""`python -m benchmarks.live_page`: the page of live tracking for two minutes, with an emulated headset in Chromium.

Starts `contrapposto live`, enters VR with a Quest 3 as iwer emulates it (72 frames/s), calibrates, moves, drops the line
once, and adds a second headset for the last quarter. Writes what was measured into docs/live.md, and images of both pages.
Needs chromium and chromedriver. Chromium draws without a graphics card here, on the same processor that tracks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.page import write_between
from contrapposto.files import write_json
from contrapposto.synthetic import generate_sequence
from tests.browser import Browser, free_port
from tests.systems.sage.live.headset import RATE, Headset

COMMAND = "python -m benchmarks.live_page"
BESIDE = np.array([1.2, 0, 0], np.float32)  # metres from the first wearer to the second
_ACTIONS = [("march", 3), ("wave both hands", 3), ("squat", 3), ("walk", 3)]
_KEEP = """
live.everything = { drawn: [], returned: [] };
for (const part of ["drawn", "returned"]) {
  live[part].push = function (value) { live.everything[part].push(value); return Array.prototype.push.call(this, value); };
}
"""


def measure(seconds: float, folder: Path, images: Path | None) -> dict[str, Any]:
    """Run the session; what the pages and the server measured."""
    port = free_port()
    words = [sys.executable, "-m", "contrapposto.cli", "live", f"input=web://127.0.0.1:{port}"]
    words += [f"output={folder}", "task.formats=[npz]"]
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            result = _session(f"http://localhost:{port}", seconds, images)
        finally:
            server.send_signal(signal.SIGINT)
            status = server.wait(60)
    summary = json.loads((folder / "live.json").read_text(encoding="utf-8"))
    return {**result, "exit status": status, "server": summary}


def _session(url: str, seconds: float, images: Path | None) -> dict[str, Any]:
    _wait(url)
    foreign = refused(url)
    clip = generate_sequence(_ACTIONS, seed=2, fps=60)
    first = Headset(url, clip)
    second: Headset | None = None
    try:
        first.enter()
        first.calibrate()
        first.run(_KEEP)
        started, sent = time.monotonic(), first.run("return live.sent")
        _pause(started + 0.4 * seconds)
        first.run("sockets.at(-1).close()")
        first.wait("return live.connections === 2")
        _pause(started + 0.75 * seconds)
        alone = first.run("return live.everything")
        second = Headset(url, replace(clip, root_translation=clip.root_translation + BESIDE))
        second.enter()
        second.calibrate()
        second.run(_KEEP)
        _pause(started + seconds)
        length = time.monotonic() - started
        both = [one.run("return live.everything") for one in (first, second)]
        result = {
            "seconds": length,
            "packets/s": (first.run("return live.sent") - sent) / length,
            "connections": first.run("return live.connections"),
            "foreign requests refused": foreign,
            "load": os.getloadavg()[1],
            "one headset": {part: _quantiles(values) for part, values in alone.items()},
            "second headset beside it": {part: _quantiles(values) for part, values in both[1].items()},
        }
        if images is not None:
            _save(first.browser, images / "live_headset.png")
            _watch(url, images / "live_watch.png")
        return result
    finally:
        first.close()
        if second is not None:
            second.close()


def refused(url: str) -> bool:
    """Whether pages of other origins and host names get 403."""
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10).close()
            return False
        except urllib.error.HTTPError as error:
            if error.code != 403:
                return False
    return True


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("The server did not start.")


def _pause(until: float) -> None:
    time.sleep(max(until - time.monotonic(), 0))


def _quantiles(measured: list[float | None]) -> dict[str, float]:
    values = [value for value in measured if value is not None]  # a body may have no packet of its own
    if not values:
        return {"count": 0}
    p50, p95 = np.quantile(values, [0.5, 0.95])
    return {"count": len(values), "p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def _watch(url: str, path: Path) -> None:
    browser = Browser()
    try:
        browser.call("/window/rect", {"width": 1280, "height": 863})  # 1280 x 720 without the bars
        browser.call("/url", {"url": f"{url}/watch"})
        time.sleep(5)
        _save(browser, path)
    finally:
        browser.close()


def _save(browser: Browser, path: Path) -> None:
    from PIL import Image

    Image.fromarray(browser.image()).save(path)


def table(result: dict[str, Any]) -> str:
    """As markdown."""
    one, two = result["one headset"], result["second headset beside it"]
    lines = [
        f"Two cores, Chromium drawing on them, load {result['load']:.1f}; {result['seconds']:.0f} s, "
        f"{result['packets/s']:.1f} packets/s of {RATE} frames/s, {result['connections'] - 1} reconnection after a drop, "
        f"foreign origins and host names {'refused' if result['foreign requests refused'] else 'NOT refused'}.",
        "",
        "| milliseconds | median | 95 % | frames |",
        "|---|---|---|---|",
    ]
    for name, parts in (("one headset", one), ("the second of two", two)):
        for part, title in (("returned", "packet to returned body"), ("drawn", "packet to drawn body")):
            row = parts[part]
            lines.append(
                f"| {name}: {title} | {row.get('p50', '-')} | {row.get('p95', '-')} | {row['count']} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="(%(default)g)")
    parser.add_argument("--json", type=Path, help="write everything too")
    parser.add_argument("--page", type=Path, help="docs/live.md, to be rewritten")
    parser.add_argument("--images", type=Path, help="folder for images of both pages")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = measure(options.seconds, Path(name), options.images)
    print(table(result))
    if options.json:
        write_json(options.json, result)
    if options.page:
        write_between(options.page, COMMAND, table(result))


if __name__ == "__main__":
    main()
