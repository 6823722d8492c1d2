"""Chromium for tests of pages."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

import numpy as np

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Browser:
    """Chromium by the WebDriver protocol."""

    FLAGS = (
        "--headless --no-sandbox --disable-gpu --enable-unsafe-swiftshader --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync --window-size=800,600"
    )

    def __init__(self) -> None:
        port = free_port()
        command = ["chromedriver", f"--port={port}"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.base = f"http://{HOST}:{port}"
        options = {"args": self.FLAGS.split()}
        for _ in range(100):
            try:
                body = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
                self.base += "/session/" + self.call("", body, "/session")["sessionId"]
                break
            except OSError:
                time.sleep(0.1)

    def call(self, path: str, body: dict[str, Any] | None = None, start: str = "") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + start + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.load(answer)["value"]

    def image(self) -> np.ndarray:
        """The page as it is; without a graphics card a page may be too busy to be shown at the first attempt."""
        from PIL import Image

        for attempt in range(5):
            try:
                content = self.call("/screenshot")
                break
            except urllib.error.HTTPError:
                if attempt == 4:
                    raise
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))

    def close(self) -> None:
        request = urllib.request.Request(self.base, method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=30).close()
        finally:
            os.killpg(self.process.pid, signal.SIGKILL)  # Chromium too, where it does not answer any more
            self.process.wait(10)
