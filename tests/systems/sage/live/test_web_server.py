"""The server of the live page, spoken to as a page does; what a browser shows is in test_web_page.py."""

from __future__ import annotations

import json
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.errors import ConfigError, MissingError
from contrapposto.io import read_motion
from contrapposto.io.devices import CONVENTIONS, Repairs
from contrapposto.io.packets import decode
from contrapposto.io.tracks import stream_devices
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.live.certificate import make_certificate
from contrapposto.systems.sage.live.recording import Recording
from contrapposto.systems.sage.live.server import LiveSession
from contrapposto.systems.sage.live.tracker import SparseTracker
from contrapposto.systems.sage.live.wearer import Wearer
from contrapposto.systems.sage.live.web_bodies import body_file
from contrapposto.systems.sage.live.web_server import WebServer, web_address
from contrapposto.tasks.predict import compose, predict
from tests.browser import free_port
from tests.systems.sage.live.headset import device_poses, t_pose
from tests.systems.sage.live.test_server import Upright

client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")


def session(page) -> LiveSession:
    axes = CONVENTIONS["openxr"]
    return LiveSession(
        SparseTracker(Upright(0.0)), None, axes, Wearer(None, axes.hands_known), Recording(), page, pause=0.0
    )


@pytest.fixture
def server() -> Iterator[WebServer]:
    server = WebServer(("127.0.0.1", 0), session)
    yield server
    server.stop()


def packet(number: int, shift: float = 0.0) -> str:
    """A person in the T-pose, as WebXR states it."""
    head, left, right = (
        [pose[0] + shift, *pose[1:3], *np.roll(pose[3:], -1).tolist()] for pose in device_poses(t_pose())[0]
    )
    return json.dumps({"time": 5 + number / 72, "head": head, "left": left, "right": right})


def talk(
    server: WebServer, name: str, packets: int = 0, shift: float = 0.0, first: int = 0, **options
) -> tuple:
    """Send packets, the first of this number; returns the bodies (wearer, stamp, values) and words that came back."""
    scheme = server.url.replace("http", "ws")
    bodies, words = [], []
    with client.connect(f"{scheme}/headset?name={name}", **options) as socket:
        end = time.monotonic() + 20
        for number in range(first, first + packets):
            socket.send(packet(number, shift))
        while time.monotonic() < end and not (words and (bodies or not packets)):
            message = socket.recv(timeout=20)
            if isinstance(message, bytes):
                wearer, _, stamp = struct.unpack("<IId", message[:16])
                bodies.append((wearer, stamp, np.frombuffer(message, "<f4", offset=16)))
            else:
                words.append(json.loads(message))
    return bodies, words


def test_a_headset_gets_its_own_bodies_and_who_watches_gets_all(server):
    """Two headsets, the second 3 m to the right in its own room; the head of each body is where its device is."""
    watched: list[tuple[int, float]] = []
    ready, done = threading.Event(), threading.Event()

    def watch():
        with client.connect(f"ws://127.0.0.1:{server.port}/watch") as socket:
            ready.set()
            while not done.is_set():
                try:
                    message = socket.recv(timeout=0.2)
                except TimeoutError:
                    continue
                if isinstance(message, bytes):
                    watched.append(
                        (struct.unpack("<I", message[:4])[0], np.frombuffer(message, "<f4", offset=16)[0])
                    )

    thread = threading.Thread(target=watch)
    thread.start()
    assert ready.wait(10)
    (first, words), (second, _) = (talk(server, name, 80, shift) for name, shift in (("a", 0.0), ("b", 3.0)))
    done.set()
    thread.join()
    assert {wearer for wearer, *_ in first} == {1} and {wearer for wearer, *_ in second} == {2}
    assert any(one.get("wearers") == [{"id": 1, "scale": 1.0}] for one in words)
    _, stamp, values = first[-1]
    assert stamp in {5 + number / 72 for number in range(80)} and len(values) == 3 + 4 * 22
    assert second[-1][2][0] - values[0] == pytest.approx(3.0, abs=1e-3)
    assert {wearer for wearer, _ in watched} == {1, 2}


def test_a_headset_that_comes_back_is_the_same_wearer(server):
    talk(server, "a", 40)
    counted = server.wearers["a"].session.counts["packets"]
    bodies, _ = talk(server, "a", 40, first=40)
    assert bodies and counted == 40 and server.wearers["a"].session.counts["packets"] == 80
    assert list(server.wearers) == ["a"] and server.counts["connections"] == 2


def test_a_fifth_headset_is_told_that_there_is_no_place(server):
    from websockets.exceptions import ConnectionClosed

    for name in "abcd":
        talk(server, name)
    with pytest.raises(ConnectionClosed, match="4 headsets"):
        talk(server, "e")
    assert len(server.wearers) == 4


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Host": "evil.example"},
        {"Origin": "null"},
        {"Host": "localhost.evil.example"},
    ],
)
def test_foreign_origins_and_hosts_are_refused(server, headers):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/", headers=headers)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)
    from websockets.exceptions import InvalidStatus

    if "Origin" in headers:
        with pytest.raises(InvalidStatus, match="403"):
            talk(server, "a", additional_headers=headers)
    assert server.counts["refused"] >= 1 and not server.wearers
    with urllib.request.urlopen(f"http://localhost:{server.port}/", timeout=10) as answer:
        assert b"Contrapposto live" in answer.read() and answer.headers["X-Content-Type-Options"] == "nosniff"


def test_names_that_are_allowed():
    server = WebServer(("127.0.0.1", 0), session, names=("studio-pc.local",))
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/", headers={"Host": "studio-pc.local"}
        )
        assert urllib.request.urlopen(request, timeout=10).status == 200
        for path in ("../server.py", "three.md", "%2e%2e/server.py"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{path}", timeout=10)
    finally:
        server.stop()


def test_rubbish_is_counted_and_the_page_goes_on(server):
    with client.connect(f"ws://127.0.0.1:{server.port}/headset?name=a") as socket:
        for text in (
            "{}",
            "x",
            '{"do": [',
            '{"do": "dance"}',
            '{"do": "measured", "drawn": ["a", -1, 1e99]}',
        ):
            socket.send(text)
        socket.send('{"do": "measured", "drawn": [12.5, 14.5], "returned": 3}')
        socket.send(b"\xff\xfe")
    talk(server, "a", 40)
    wearer = server.wearers["a"]
    assert wearer.session.counts["unreadable packets"] == 3 and server.counts["rubbish"] == 1
    assert wearer.report()["parts"]["drawn"]["p50"] == pytest.approx(13.5)
    assert "returned" not in wearer.report()["parts"]


def test_a_t_pose_calibrates_with_a_countdown(server):
    """Three seconds later by the clock of arrivals: the hands count from then on."""
    said: list[str] = []
    with client.connect(f"ws://127.0.0.1:{server.port}/headset?name=a") as socket:
        for number in range(40):
            socket.send(packet(number))
        socket.send('{"do": "calibrate"}')
        begin, number = time.monotonic(), 40
        while time.monotonic() - begin < 30 and "calibrated" not in said:
            number += 1
            socket.send(packet(number))
            try:
                message = socket.recv(timeout=1 / 72)
            except TimeoutError:
                continue
            if isinstance(message, str) and "status" in (words := json.loads(message)):
                said.append(words["status"])
    text = "\n".join(said)
    assert said[-1] == "calibrated" and "T-pose in" in text and "the hands count once" in text
    assert server.wearers["a"].session.wearer.hands_known


@pytest.mark.parametrize("scale", [1.0, 1.1])
def test_the_body_that_the_page_draws_is_the_shipped_one(scale):
    """The file's skin, bent by the file's weights, against the body's own vertices."""
    from contrapposto.systems.sage.live.calibration import fitted_betas

    data = body_file(scale)
    count, faces, joints = np.frombuffer(data, np.uint32, 3)
    at, parts = 12, []
    for kind, length in (("<f4", 3 * count), ("<f4", 4 * count), ("<f4", 3 * joints), ("<i4", joints)):
        parts.append(np.frombuffer(data, kind, length, at))
        at += 4 * length
    vertices, weights, offsets, parents = parts
    triangles = np.frombuffer(data, "<u4", 3 * faces, at)
    bones = np.frombuffer(data, "<u2", 4 * count, at + 12 * faces).reshape(-1, 4)
    assert at + 12 * faces + 8 * count == len(data)
    vertices, weights, offsets = vertices.reshape(-1, 3), weights.reshape(-1, 4), offsets.reshape(-1, 3)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    rng = np.random.default_rng(0)
    pose = np.zeros((1, joints, 3), np.float32)
    pose[:, :22] = rng.normal(scale=0.3, size=(22, 3))
    turns, places, rest = [], [], []
    for joint, parent in enumerate(parents):
        local = Rotation.from_rotvec(pose[0, joint])
        turns.append(local if parent < 0 else turns[parent] * local)
        places.append(offsets[joint] if parent < 0 else places[parent] + turns[parent].apply(offsets[joint]))
        rest.append(offsets[joint] if parent < 0 else rest[parent] + offsets[joint])
    moved = np.stack([turn.apply(vertices - r) + p for turn, r, p in zip(turns, rest, places)])
    drawn = np.einsum("vk,vkc->vc", weights, moved[bones, np.arange(count)[:, None]])
    import torch

    from contrapposto import rotations as rot

    body = load_body()
    betas = torch.zeros(0) if scale == 1 else torch.from_numpy(fitted_betas(scale))
    result = body(rot.axis_angle_to_matrix(torch.from_numpy(pose)), betas=betas)
    expected = result.vertices[0].numpy()
    assert np.abs(drawn - expected).max() < 0.02 and np.abs(drawn - expected).mean() < 1e-4
    assert triangles.max() == count - 1 and SMPL22.num_joints <= joints


def test_a_certificate_made_on_the_spot_is_for_its_names(tmp_path):
    try:
        path = make_certificate(tmp_path, ("192.0.2.7", "studio-pc.local"))
    except MissingError:
        pytest.skip("no openssl on this machine")
    assert path.stat().st_mode & 0o077 == 0 and [one.name for one in tmp_path.iterdir()] == [path.name]
    server = WebServer(("127.0.0.1", 0), session, certificate=path)
    try:
        trusted = ssl.create_default_context(cafile=str(path))
        with urllib.request.urlopen(f"{server.url}/watch", timeout=60, context=trusted) as answer:
            assert b"Contrapposto live" in answer.read()
        bodies, _ = talk(server, "a", 40, ssl=trusted)
        assert bodies
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE"):
            urllib.request.urlopen(f"{server.url}/watch", timeout=60)
    finally:
        server.stop()


def test_addresses():
    assert web_address("log.txt") is None and web_address("web://0.0.0.0:80/") == ("0.0.0.0", 80)
    for text in (
        "web:127.0.0.1:80",
        "web://",
        "web://localhost",
        "web://localhost:x",
        "web://localhost:99999",
    ):
        with pytest.raises(ConfigError, match="web://127"):
            web_address(text)


def test_a_session_leaves_files_that_can_be_read_again(tmp_path, capsys, monkeypatch):
    """`contrapposto live` with one wearer, twice: nothing is replaced."""
    for run in range(2):
        port = free_port()

        def wear(port=port):
            for _ in range(200):
                try:
                    with client.connect(f"ws://127.0.0.1:{port}/headset?name=a") as socket:
                        for number in range(150):
                            socket.send(packet(number))
                            time.sleep(1 / 150)
                    return
                except OSError:
                    time.sleep(0.1)

        thread = threading.Thread(target=wear)
        thread.start()
        options = [
            "task.open=false",
            "task.formats=[npz]",
            "task.seconds=8",
            f"paths.runs={tmp_path / 'none'}",
        ]
        predict(
            compose(
                ["task=sage_track", f"input=web://127.0.0.1:{port}", f"output={tmp_path / 'out'}", *options]
            )
        )
        thread.join()
        stem = tmp_path / "out" / ("live" if run == 0 else "live_2")
        report = json.loads(stem.with_suffix(".json").read_text())
        assert report["wearer1"]["counts"]["packets"] == 150 and report["pages"]["connections"] == 1
        lines = stem.with_name(f"{stem.name}_wearer1_packets.jsonl").read_bytes().splitlines()
        assert [decode(line).time for line in lines][::149] == [5.0, pytest.approx(5 + 149 / 72)]
        tracked = read_motion(stem.with_name(f"{stem.name}_wearer1.npz"))
        assert 90 < tracked.num_frames <= 125  # the first packets are looked at before one is tracked
        (log,) = stream_devices(path := stem.with_name(f"{stem.name}_wearer1_log.txt"), repairs=Repairs(path))
        (table,) = stream_devices(stem.with_name(f"{stem.name}_wearer1_devices.csv"))
        np.testing.assert_allclose(log.positions[:, 0].numpy(), table.positions[:, 0].numpy(), atol=2e-3)
    out = capsys.readouterr().out
    assert "adb reverse" in out and "wearer 1" in out
