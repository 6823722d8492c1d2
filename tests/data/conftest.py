"""Small AMASS-like corpora, written with plain NumPy; a web server on this machine."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

WriteClip = Callable[..., Path]


def write_clip(path: Path, frames: int = 30, fps: float = 60.0, seed: int = 0, **replaced: object) -> Path:
    """One clip in AMASS layout with random numbers; arrays can be replaced, or left out with None."""
    generator = np.random.default_rng([seed, frames])
    arrays: dict[str, object] = {
        "poses": generator.normal(size=(frames, 156)) * 0.3,
        "trans": generator.normal(size=(frames, 3)),
        "betas": generator.normal(size=16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(fps),
    }
    arrays["poses"][:, :3] += [np.pi / 2, 0, 0]  # type: ignore[index]  # AMASS is z up, a body at rest y up
    arrays.update(replaced)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.fixture
def clip_writer() -> WriteClip:
    return write_clip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve good clips under two names of AMASS subsets."""
    raw = tmp_path / "raw"
    for number in range(6):
        write_clip(
            raw / "CMU" / "CMU" / f"{number:02d}" / f"{number:02d}_01_poses.npz", 20 + number, seed=number
        )
        write_clip(raw / "MPI_HDM05" / "dg" / f"HDM {number}_poses.npz", 40 + number, 120.0, seed=10 + number)
    return raw


@pytest.fixture
def data_folder() -> Path:
    """The real data, or a skip."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("CONTRAPPOSTO_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CONTRAPPOSTO_DATA")
    return folder


@pytest.fixture
def tree_hash() -> Callable[[Path], dict[str, str]]:
    """Every file below a folder with its SHA-256."""

    def hashes(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    return hashes


class Server:
    """Serves the files below `root` at `url`, understands ranges, and can be told to misbehave.

    Attributes:
        cut_after: bytes after which each connection is cut; None for never.
        cuts: how many more connections are cut.
        answers: status codes for the next requests, instead of the file.
        ranges: whether Range is understood.
        requests: (path, Range header) of each request so far.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cut_after: int | None = None
        self.cuts = 0
        self.answers: list[int] = []
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.owner.requests.append((self.path, wanted))
        path = self.owner.root / self.path.lstrip("/")
        if self.owner.answers or not path.is_file():
            self.send_error(self.owner.answers.pop(0) if self.owner.answers else 404)
            return
        data = path.read_bytes()
        tag = f'"{path.stat().st_mtime_ns}-{len(data)}"'
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        if match and self.owner.ranges and self.headers.get("If-Range", tag) == tag:
            start = int(match[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if self.owner.cut_after is not None and self.owner.cuts > 0 and len(body) > self.owner.cut_after:
            self.owner.cuts -= 1
            self.wfile.write(body[: self.owner.cut_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the folder `tmp_path / "www"`."""
    (tmp_path / "www").mkdir()
    server = Server(tmp_path / "www")
    yield server
    server.close()
