"""The command itself, with the real pipeline at its end: many at once, and the page in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from contrapposto.render.video import VideoWriter
from contrapposto.systems.scail_pose.service.limits import Limits
from contrapposto.video_file import VideoFile, at_rate
from tests.browser import free_port
from tests.systems.scail_pose.service.common import picture, serving, upload, video, wait_for

ROOT = Path(__file__).parents[4]


@contextlib.contextmanager
def command(folder: Path, *options: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """`python -m contrapposto.systems.scail_pose.service` and somebody who asks it."""
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "contrapposto.systems.scail_pose.service",
            "--port",
            str(port),
            "--folder",
            str(folder),
            *options,
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return client.get("/health").status_code == 200
        return False

    try:
        wait_for(answers, 90)
        yield client, process
    finally:
        client.close()
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def squats(data: Path, path: Path, frames: int = 4) -> bytes:
    """Some frames of a person, small."""
    source = VideoFile.open(data / "video" / "tfjs_pose" / "pose_squats.mp4")
    with VideoWriter(path, 5, (180, 320)) as writer:
        for (_, image), _ in zip(at_rate(source.frames(), 5), range(frames)):
            writer.write(np.ascontiguousarray(image[::4, ::4]))
    return path.read_bytes()


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def storm(url: str, content: bytes, count: int) -> dict[str, httpx.Response]:
    """Good uploads and some that are not, all at once; every one of them asks for its pose video and waits."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client:

        async def one(name: str, data: bytes) -> tuple[str, httpx.Response]:
            files = {"driving_video": (name, data), "ref_image": ("../../y.png", picture())}
            answer = await client.post("/upload", files=files)
            if answer.status_code != 201:
                return name, answer
            job = answer.json()["example_id"]
            if name == "cancelled":
                await client.post("/process", json={"example_id": job, "wait": False})
                return name, await client.post(f"/jobs/{job}/cancel")
            options = {"resolution": [128, 224], "use_align": False, "people": "all"}
            options["outputs"] = ["video", "people", "driving"]
            return name, await client.post("/process", json={"example_id": job, **options})

        wishes = [one(f"good{number}", content) for number in range(count - 1)]
        wishes += [
            one("../../x", content),
            one("cancelled", content + b"\0\0\0\x0cfreehang"),
            one("text.mp4", b"no video at all"),
        ]
        wishes += [one("oversized", b"\0" * (3 << 20)), one("broken", video(b"fault", size=(64, 64)))]
        return dict(await asyncio.gather(*wishes))


def weather(client: httpx.Client, pid: int, folder: Path, content: bytes, count: int) -> None:
    """A storm, and what is left after it."""
    first = upload(client, content)
    words = client.post("/process", json={"example_id": first}).json()
    assert words["status"] == "done", words
    before = open_files(pid)
    answers = asyncio.run(storm(str(client.base_url), content, count))
    good = [answers.pop(f"good{number}") for number in range(count - 1)] + [answers.pop("../../x")]
    assert [answer.status_code for answer in good] == [200] * count
    ids = {answer.json()["example_id"] for answer in good}
    assert len(ids) == count
    assert answers["cancelled"].json()["status"] == "cancelled"
    assert answers["text.mp4"].status_code == 400 and answers["oversized"].status_code == 413
    assert answers["broken"].status_code == 500 and answers["broken"].json()["status"] == "failed"
    for answer in good:
        result = client.get(answer.json()["output_path"])
        assert result.status_code == 200 and result.content[4:8] == b"ftyp"
    wait_for(lambda: open_files(pid) <= before + 2)
    left = {path.name for path in folder.iterdir()} - {".lock", first}
    named = {answers[name].json()["example_id"] for name in ("cancelled", "broken")}
    assert ids | named == left  # nothing lost, nothing more
    for name in left | {first}:
        assert client.delete(f"/jobs/{name}").status_code == 200
    assert {path.name for path in folder.rglob("*")} <= {".lock"}
    assert client.get("/health").json()["waiting"] == 0


def test_fifty_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "files"
    with serving(folder, Limits(upload=2 << 20)) as client:
        weather(client, os.getpid(), folder, video(), 50)
    assert list(tmp_path.iterdir()) == [folder.parent] and list(folder.parent.iterdir()) == [folder]


@pytest.mark.slow
def test_some_at_once_with_the_real_pipeline(tmp_path: Path, shared_data: Path) -> None:
    folder, content = tmp_path / "files", squats(shared_data, tmp_path / "squats.mp4")
    with command(folder, "--max-mib", "2") as (client, process):
        weather(client, process.pid, folder, content, 4)


def test_the_command_line() -> None:
    begin = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "contrapposto.systems.scail_pose.service", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "127.0.0.1" in shown.stdout and "--max-mib" in shown.stdout
    assert not re.search(r"\|\s+(torch|fastapi|numpy)\n", shown.stderr), time.perf_counter() - begin
    wrong = subprocess.run(
        [sys.executable, "-m", "contrapposto.systems.scail_pose.service", "--max-mib", "-1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr and "--max-mib" in wrong.stderr
