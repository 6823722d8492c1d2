"""The service: what it takes and refuses, one job after the other, cancelling, crashes, ends and beginnings."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from contrapposto.errors import ConfigError
from contrapposto.systems.scail_pose.service.limits import MIB, Limits
from contrapposto.systems.scail_pose.service.store import Job
from tests.systems.scail_pose.service.common import picture, serving, start, state, upload, video, wait_for


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory):
    with serving(tmp_path_factory.mktemp("serve") / "files", Limits(upload=MIB, seconds=3)) as client:
        yield client


def children(name: str = "") -> set[int]:
    """Processes that this one started, and theirs; those of a name only."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except OSError:
            continue
        fields = tail.split()
        names[int(path.parent.name)] = head.partition("(")[2]
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found, before = {os.getpid()}, set()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in before}
    return {pid for pid in found - {os.getpid()} if name in names[pid]}


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def status(client: httpx.Client, path: str, method: str = "GET") -> int:
    """Of a path that is sent as it stands: httpx would tidy it up."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)
    connection.request(method, path)
    found = connection.getresponse().status
    connection.close()
    return found


def test_upload_process_download(client: httpx.Client) -> None:
    content = video()
    answer = client.post(
        "/upload", files={"driving_video": ("walk.mp4", content), "ref_image": ("me.jpg", picture("JPEG"))}
    ).json()
    assert answer["status"] == "uploaded" and answer["has_reference"]
    assert answer["video"] == {"width": 32, "height": 24, "fps": 8.0, "seconds": 0.375}
    done = client.post("/process", json={"example_id": answer["example_id"]})  # waits, as the original does
    words = done.json()
    assert done.status_code == 200 and words["status"] == "done" and words["progress"] == 1
    assert words["message"].startswith("Done: 1 frames, 1 person")
    result = client.get(words["output_path"])
    assert result.content == content and result.headers["content-type"] == "video/mp4"
    assert result.headers["x-content-type-options"] == "nosniff"
    part = client.get(words["output_path"], headers={"Range": "bytes=4-7"})
    assert part.status_code == 206 and part.content == content[4:8]


def test_an_id_is_chance_and_the_only_key(client: httpx.Client) -> None:
    names = [upload(client, video()) for _ in range(4)]
    assert len(set(names)) == 4 and all(re.fullmatch(r"[\w-]{22}", name) for name in names)
    wrong = names[0][:-1] + ("a" if names[0][-1] != "a" else "b")
    for name in (wrong, "..", ".lock", "%2e%2e", "a" * 22, names[0] + "x"):
        for path, method in (("", "GET"), ("/files/job.json", "GET"), ("/cancel", "POST"), ("", "DELETE")):
            assert status(client, f"/jobs/{name}{path}", method) in (404, 405)
        assert start(client, name).status_code == 404
    client.post("/process", json={"example_id": names[0]})
    for file in (
        "../job.json",
        "..%2fjob.json",
        "%2e%2e%2fjob.json",
        "..",
        ".",
        "job.json",
        "driving.mp4",
        "",
    ):
        assert status(client, f"/jobs/{names[0]}/files/{file}") in (404, 405), file
    assert status(client, f"/jobs/{names[0]}/files/rendered.mp4") == 200
    assert not any(word in client.get("/health").text for word in names)
    assert client.get("/jobs").status_code == 404


@pytest.mark.parametrize(
    "name", ["../../x", "..\\..\\x.mp4", "/etc/passwd", "a\0b.mp4", "x" * 3000, "", "é😀.mp4", "CON"]
)
def test_the_name_of_a_file_does_not_matter(client: httpx.Client, tmp_path: Path, name: str) -> None:
    boundary = "xyz"
    content = video()
    disposition = f'Content-Disposition: form-data; name="driving_video"; filename="{name}"\r\n\r\n'
    body = f"--{boundary}\r\n{disposition}".encode() + content + f"\r\n--{boundary}--\r\n".encode()
    answer = client.post(
        "/upload", content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert answer.status_code == 201, answer.text
    job = answer.json()["example_id"]
    assert client.post("/process", json={"example_id": job}).status_code == 200
    client.delete(f"/jobs/{job}")


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("content", "image", "words"),
    [
        (b"just text", None, "not an mp4"),
        (b"", None, "not an mp4"),
        (PLAYLIST, None, "not an mp4"),
        (b"ffconcat version 1.0\nfile other.mp4\n", None, "not an mp4"),
        (video()[:200], None, "can be read"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 200, None, "video that can be read"),
        (video(frames=40), None, "too long"),
        (video(), b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a JPEG"),
        (video(), picture()[:40], "image cannot be read"),
        (video(), picture(size=(5000, 4)), "5000 x 4"),
        (video(size=(4352, 16)), None, "4352 x 16"),
    ],
)
def test_what_it_does_not_take_leaves_nothing(
    client: httpx.Client, content: bytes, image: bytes | None, words: str, request: pytest.FixtureRequest
) -> None:
    before = client.get("/health").json()
    files = {"driving_video": ("a.mp4", content)} | ({"ref_image": ("b.png", image)} if image else {})
    answer = client.post("/upload", files=files)
    assert answer.status_code == 400 and answer.json()["status"] == "error"
    assert re.search(words, answer.json()["message"]) and "/tmp" not in answer.text
    assert client.get("/health").json() == before


def test_requests_that_make_no_sense(client: httpx.Client) -> None:
    name = upload(client, video())
    for body in (
        {},
        {"example_id": name, "resolution": [512]},
        {"example_id": name, "resolution": [511, 896]},
        {"example_id": name, "resolution": [512, 10**9]},
        {"example_id": name, "resolution": [-2, 896]},
        {"example_id": name, "people": "best"},
        {"example_id": name, "outputs": ["../x"]},
        {"example_id": name, "outputs": []},
        {"example_id": name, "use_aline": True},
        {"example_id": 5},
    ):
        answer = client.post("/process", json=body)
        assert answer.status_code == 400 and answer.json()["message"], body
    assert (
        client.post("/process", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    )
    assert client.post("/upload", files={"other": b"x"}).status_code == 400
    assert client.post("/upload", content=b"x" * 10).status_code == 400
    assert client.post("/upload", content=iter([b"x" * 10])).status_code == 411
    assert client.post("/upload", files=[("driving_video", video())] * 3).status_code == 400
    assert state(client, name) == "uploaded"


def test_too_large_an_upload_is_refused_before_it_arrives(client: httpx.Client) -> None:
    answer = client.post("/upload", files={"driving_video": ("a.mp4", b"\0" * (8 * MIB))})
    assert answer.status_code == 413 and "1 MiB" in answer.json()["message"]


def test_pages_elsewhere_cannot_use_it(client: httpx.Client) -> None:
    home = str(client.base_url)
    assert client.get("/", headers={"Origin": home}).status_code == 200
    files = {"driving_video": ("a.mp4", video())}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert client.post("/upload", files=files, headers={"Origin": origin}).status_code == 403
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/health", headers={"Host": host}).status_code == 400
    for host in ("localhost", "localhost:80", "127.0.0.1:9", "[::1]:5"):
        assert client.get("/health", headers={"Host": host}).status_code == 200
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page.text)


def test_a_crash_and_a_fault_end_one_job_each(client: httpx.Client) -> None:
    crash, fault, good = (upload(client, video(word)) for word in (b"crash", b"fault", b""))
    for name in (crash, fault, good):
        assert start(client, name).status_code == 202
    wait_for(lambda: state(client, good) == "done")
    for name, words in ((crash, "ended"), (fault, "RuntimeError")):
        answer = client.get(f"/jobs/{name}").json()
        assert answer["status"] == "failed" and words in answer["message"] and not answer["files"]
        assert "secret" not in answer["message"]
    assert client.post("/process", json={"example_id": fault}).status_code == 500
    assert client.post("/process", json={"example_id": good}).status_code == 200  # once more


def test_cancelling(client: httpx.Client, tmp_path: Path) -> None:
    hang, queued, slow = (upload(client, video(word)) for word in (b"hang", b"", b"slow"))
    for name in (hang, queued, slow):
        start(client, name)
    wait_for(lambda: client.get(f"/jobs/{hang}").json()["stage"] == "people")
    assert client.get(f"/jobs/{queued}").json()["waiting_for"] == 1
    wait_for(lambda: children("sleep"))
    started = children("sleep")
    assert start(client, hang).status_code == start(client, queued).status_code == 409
    began = time.monotonic()
    assert client.post(f"/jobs/{queued}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/jobs/{hang}/cancel").json()["status"] == "cancelled"
    assert time.monotonic() - began < 8
    assert client.post(f"/jobs/{hang}/cancel").json()["status"] == "cancelled"
    wait_for(lambda: state(client, slow) == "done")
    assert client.post(f"/jobs/{slow}/cancel").json()["status"] == "done"
    assert not any(map(alive, started))
    assert client.post("/process", json={"example_id": queued}).status_code == 200
    start(client, hang)
    assert client.delete(f"/jobs/{hang}").status_code == 200
    assert client.get(f"/jobs/{hang}").status_code == 404


def test_a_job_that_is_cancelled_while_its_process_starts(tmp_path: Path) -> None:
    with serving(tmp_path / "files") as client:
        hang, next_one = upload(client, video(b"hang")), upload(client, video())
        start(client, hang)
        assert client.post(f"/jobs/{hang}/cancel").json()["status"] == "cancelled"
        assert client.post("/process", json={"example_id": next_one}).status_code == 200


def test_limits_of_queue_disk_and_time(tmp_path: Path) -> None:
    limits = Limits(waiting=1, disk=80_000, job_seconds=1)
    with serving(tmp_path / "files", limits) as client:
        names = [upload(client, video(b"hang", seed=n)) for n in range(3)]
        start(client, names[0])
        wait_for(lambda: state(client, names[0]) == "running")
        assert start(client, names[1]).status_code == 202
        assert start(client, names[2]).status_code == 503
        assert state(client, names[2]) == "uploaded"
        wait_for(lambda: state(client, names[0]) == "failed")
        assert "longer than 1 s" in client.get(f"/jobs/{names[0]}").json()["message"]
        big = {"driving_video": ("a.mp4", b"\0" * 60_000)}
        assert client.post("/upload", files=big).status_code == 507
        client.post(f"/jobs/{names[1]}/cancel")


def test_files_are_removed_after_their_time(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    with serving(folder, Limits(keep=4.0)) as client:
        old = upload(client, video())
        client.post("/process", json={"example_id": old})
        busy = upload(client, video(b"hang"))
        start(client, busy)
        wait_for(lambda: client.get(f"/jobs/{old}").status_code == 404)
        assert [path.name for path in folder.iterdir() if path.is_dir()] == [busy]  # what is at work stays
        assert client.delete(f"/jobs/{busy}").status_code == 200
    assert {path.name for path in folder.iterdir()} <= {".lock"}


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    folder, before = tmp_path / "files", children()
    with serving(folder) as client:
        done, running, waiting = (upload(client, video(word)) for word in (b"", b"hang", b""))
        client.post("/process", json={"example_id": done})
        start(client, running)
        start(client, waiting)
        wait_for(lambda: state(client, running) == "running")
        with pytest.raises(ConfigError, match="Another service"), serving(folder):
            pass
    assert children() <= before
    (folder / ("h" * 22)).mkdir()  # an upload that was broken off
    broken = json.loads((folder / running / "job.json").read_text())
    assert broken["state"] == "running"
    with serving(folder) as client:
        assert not (folder / ("h" * 22)).exists()
        assert client.get(client.get(f"/jobs/{done}").json()["output_path"]).status_code == 200
        wait_for(lambda: state(client, running) == "running")
        assert state(client, waiting) == "queued"
    with serving(folder) as client:  # it took the service down twice: not a third time
        wait_for(lambda: state(client, waiting) == "done")
        assert state(client, running) == "failed"


def test_a_rerun_keeps_the_old_result_until_the_new_one_is_whole(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        name = upload(client, video(b"slow"))
        client.post("/process", json={"example_id": name})
        url = client.get(f"/jobs/{name}").json()["output_path"]
        start(client, name)
        wait_for(lambda: state(client, name) == "running")
        running = client.get(f"/jobs/{name}").json()
        assert running["output_path"] == url and client.get(url).status_code == 200
        client.post(f"/jobs/{name}/cancel")
        assert state(client, name) == "cancelled" and client.get(url).status_code == 200
        assert {path.name for path in (tmp_path / name).iterdir()} == {"driving.mp4", "job.json", "output"}


def test_the_time_that_is_left(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        name = upload(client, video(b"slow"))
        assert client.get(f"/jobs/{name}").json()["seconds_left"] is None
        start(client, name)
        wait_for(lambda: client.get(f"/jobs/{name}").json()["progress"] == 0.25)
        assert 0 <= client.get(f"/jobs/{name}").json()["seconds_left"] < 30  # three times what has passed


def test_the_time_that_is_left_does_not_count_the_start_of_the_process(tmp_path: Path) -> None:
    job = Job("id", tmp_path)
    job.become("running", "At work.")
    job.tell(0.0, "starting")
    job.began = time.time() - 10_000
    job.tell(0.0, "people")
    assert job.seconds_left is None
    job.tell(0.5, "people")
    assert job.seconds_left is not None and job.seconds_left < 5_000


@pytest.mark.parametrize(
    "options",
    [
        {"start": -1},
        {"seconds": 0},
        {"fps": 0},
        {"fps": "abc"},
        {"resolution": 512},
        {"resolution": [512, 511]},
        {"resolution": "wide"},
        {"outputs": []},
        {"outputs": ["films"]},
        {"hand_scale": 0},
        {"fit": "stretch"},
        {"align_mode": "hands"},
        {"people": "tallest"},
        {"retarget": [1]},
        {"retarget": [3, 4]},
        {"start": 100},
        {"people": []},
        {"people": [-1]},
    ],
)
def test_options_that_cannot_be_used(client: httpx.Client, options: dict[str, Any]) -> None:
    name = upload(client, video())
    answer = start(client, name, **options)
    assert answer.status_code == 400 and next(iter(options)) in answer.json()["message"]
    assert client.get(f"/jobs/{name}").json()["status"] == "uploaded"


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("flv", "flv"), ("ts", "mpeg2video"), ("mpg", "mpeg2video"), ("wmv", "wmv2"), ("gif", "gif")],
)
def test_kinds_of_videos(client: httpx.Client, tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w", format={"ts": "mpegts", "wmv": "asf"}.get(suffix)) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb8" if suffix == "gif" else "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 48, "rgb24").reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    facts = client.get(f"/jobs/{upload(client, path.read_bytes())}").json()["video"]
    assert facts["width"] == 64 and facts["seconds"] > 0
