"""A running service, and small videos for it."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import uvicorn
from PIL import Image

from contrapposto.systems.scail_pose.service.app import create_app
from contrapposto.systems.scail_pose.service.limits import Limits
from tests.browser import free_port

HERE = Path(__file__).parent
ODD = (sys.executable, str(HERE / "odd_worker.py"))


@contextlib.contextmanager
def serving(folder: Path, limits: Limits | None = None, **options: Any) -> Iterator[httpx.Client]:
    """The service with the odd worker, on a port of its own, and somebody who asks it."""
    app = create_app(folder, limits or Limits(), **{"worker": ODD, **options})
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_for(lambda: server.started)
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


def wait_for(happened: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def video(word: bytes = b"", size: tuple[int, int] = (32, 24), frames: int = 3, seed: int = 0) -> bytes:
    """An mp4 of noise at 8 frames/s; the word lies in a box of its own behind the end, where players do not look."""
    file = io.BytesIO()
    random = np.random.default_rng(seed)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(frames):
            image = random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue() + (8 + len(word)).to_bytes(4, "big") + b"free" + word


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, format=kind)
    return file.getvalue()


def upload(client: httpx.Client, content: bytes, name: str = "a.mp4", image: bytes | None = None) -> str:
    """The id of an upload that must be taken."""
    files = {"driving_video": (name, content)} | ({} if image is None else {"ref_image": ("b.png", image)})
    answer = client.post("/upload", files=files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["example_id"])


def start(client: httpx.Client, name: str, **options: Any) -> httpx.Response:
    return client.post("/process", json={"example_id": name, "wait": False, **options})


def state(client: httpx.Client, name: str) -> str:
    return str(client.get(f"/jobs/{name}").json()["status"])
