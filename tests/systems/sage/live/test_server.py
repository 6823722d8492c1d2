"""Live tracking over a real socket: packets sent by the replay script, a slow model, rubbish, an end by interrupt."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from contrapposto.errors import ConfigError
from contrapposto.io.devices import CONVENTIONS, devices_of
from contrapposto.io.packets import decode, packets_of
from contrapposto.synthetic import generate
from contrapposto.systems.sage.live.recording import Recording
from contrapposto.systems.sage.live.replay import Disturbance, in_order, main, send, timed_packets
from contrapposto.systems.sage.live.server import Arrived, Drift, LiveSession, udp_address
from contrapposto.systems.sage.live.tracker import SparseTracker
from contrapposto.systems.sage.live.wearer import Wearer
from contrapposto.systems.sage.tracker import SageTracker
from tests.systems.sage.test_features import motion
from tests.systems.sage.test_tracker import networks


class Upright:
    """A stream that takes a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.observed = seconds, 0
        self.tracker = SageTracker(*networks()).eval()

    def observe(self, sparse, seen=None):
        self.observed += 1

    def push(self, sparse, seen=None):
        time.sleep(self.seconds)
        return self.tracker.place(torch.eye(3)[:2].flatten().repeat(1, 22), sparse[None, 0, 12:15])

    def reset(self):
        pass


def session(stream, log=None):
    recording = Recording()
    return (
        LiveSession(
            SparseTracker(stream), ("127.0.0.1", 0), CONVENTIONS["joints"], Wearer(), recording, None, log
        ),
        recording,
    )


def run_with(live, act, seconds=20.0):
    """Run a session while `act` goes on in another thread, until a moment after its end."""

    def then_stop():
        act()
        time.sleep(0.3)
        live.stop()

    thread = threading.Thread(target=then_stop)
    thread.start()
    live.run(seconds)
    thread.join()


def disturbed(rate, seconds):
    packets = timed_packets(iter([devices_of(motion(frames=61))]), rate, None)
    disturbed_packets = Disturbance(jitter=0.004, loss=0.05, repeat=0.05, seed=1).apply(packets)
    for at, packet in in_order(disturbed_packets):
        if packet.time > seconds:
            return
        yield at, packet


def test_packets_become_a_recording():
    log = io.BytesIO()
    live, recording = session(Upright(0.0), log)
    run_with(live, lambda: send(disturbed(72, 1.5), ("127.0.0.1", live.port)))
    summary = live.summary()
    written = [decode(line) for line in log.getvalue().splitlines()]
    assert summary["counts"]["packets"] == len(written) > 80
    assert summary["counts"]["repeated"] >= 1
    made = recording.motion()
    assert 45 < made.num_frames < 95  # a busy machine may begin late
    assert all(np.isfinite(list(summary["latency_ms"][name].values())).all() for name in ("network", "model"))
    assert json.loads(json.dumps(summary)) == summary and "packets/s" in live.describe()
    assert summary["latency_ms"]["behind"]["p95"] < 17


def test_a_slow_model_passes_frames_over_and_builds_no_queue():
    stream = Upright(0.15)
    live, recording = session(stream)
    began = time.monotonic()
    run_with(live, lambda: send(disturbed(72, 2.0), ("127.0.0.1", live.port)))
    assert time.monotonic() - began < 6
    counts = live.summary()["counts"]
    assert counts["bodies"] < 20 and counts["frames ignored"] == stream.observed > 60
    assert not live._waiting and live.summary()["latency_ms"]["behind"]["p95"] < 17
    assert recording.motion().num_frames > 90


def test_rubbish_is_counted_and_the_session_goes_on():
    live, recording = session(Upright(0.0))

    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for data in (b"", b"\xff" * 100, b"{}", b"[" * 3000, b"x" * 9000):
                out.sendto(data, ("127.0.0.1", live.port))
        send(disturbed(60, 0.4), ("127.0.0.1", live.port))

    run_with(live, act)
    assert live.summary()["counts"]["unreadable packets"] == 5 and len(recording) > 0


def test_a_session_that_hears_nothing_or_nothing_readable_says_so():
    live, recording = session(Upright(0.0))
    said = []
    live.run(0.3, lambda: said.append(live.waiting()))
    assert "nothing has come" in said[-1] and "nothing has come" in live.describe() and not len(recording)
    assert live.summary()["counts"] == {}
    live, recording = session(Upright(0.0))

    def act():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b'{"time": "soon"}', ("127.0.0.1", live.port))

    run_with(live, act)
    assert "1 unreadable packets, the last: 'soon' is not a number" in live.waiting()
    assert "soon" in live.summary()["last_unreadable"] and not len(recording)


def test_packets_in_other_units_are_found(caplog):
    """Centimetres and milliseconds; one packet jumps."""
    recording = Recording()
    live = LiveSession(SparseTracker(Upright(0.0)), ("127.0.0.1", 0), None, Wearer(), recording)
    packets = list(packets_of(devices_of(generate("walk", seconds=1.5, seed=2).resample(60))))
    poses = [packet.poses * ([100] * 3 + [1] * 4) for packet in packets]
    poses[70][0, 0] += 90.0
    for packet, pose in zip(packets, poses):
        live._take(Arrived(replace(packet, time=1000 * packet.time, poses=pose), packet.time))
    assert "centimetres" in caplog.text and "milliseconds" in caplog.text
    assert live.tracker.time == pytest.approx(packets[-1].time, abs=0.05)
    assert live.summary()["counts"]["places that jump"] == 2  # there and back


def test_a_failing_model_ends_the_session_with_its_error():
    class Broken(Upright):
        def push(self, sparse, seen=None):
            raise RuntimeError("out of order")

    live, _ = session(Broken(0.0))
    with pytest.raises(RuntimeError, match="out of order"):
        run_with(live, lambda: send(disturbed(60, 0.3), ("127.0.0.1", live.port)))


def test_a_port_that_is_taken_and_addresses_elsewhere():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match="Port"):
            LiveSession(
                SparseTracker(Upright(0)),
                other.getsockname(),
                CONVENTIONS["joints"],
                Wearer(),
                Recording(),
            )
    assert udp_address("log.txt") is None and udp_address("udp://localhost:90") == ("127.0.0.1", 90)
    for text in (
        "udp:127.0.0.1:9000",
        "udp://0.0.0.0:9000",
        "udp://10.0.0.1:9000",
        "udp://127.0.0.1",
        "udp://127.0.0.1:99999",
    ):
        with pytest.raises(ConfigError, match="this machine"):
            udp_address(text)


def test_replay_disturbs_as_asked_and_keeps_the_order_of_arrival():
    packets = list(packets_of(devices_of(motion(frames=600))))
    found = list(in_order(Disturbance(0.01, 0.1, 0.05, 0.3, seed=2).apply(iter(packets))))
    arrivals = np.array([at for at, _ in found])
    assert (np.diff(arrivals) >= 0).all() and 480 < len(found) < 620
    delays = arrivals - [packet.time for _, packet in found]
    assert delays.min() >= 0 and delays.mean() == pytest.approx(0.01 * np.sqrt(2 / np.pi), rel=0.15)
    hidden = np.mean([np.isnan(packet.poses[1, 0]) for _, packet in found])
    assert 0.02 < hidden < 0.7
    assert all(np.isfinite(packet.poses[0]).all() for _, packet in found)
    again = list(timed_packets(iter([devices_of(motion(frames=61))]), 72, 3))
    steps = np.diff([packet.time for packet in again])
    np.testing.assert_allclose(steps, 1 / 72, atol=1e-6)


def test_replay_answers_mistakes(capsys, tmp_path):
    for arguments, words in (
        (["none.npz", "udp://127.0.0.1:9"], "none.npz"),
        (["x.npz", "127.0.0.1:9"], "udp://"),
        (["x.npz", "udp://127.0.0.1:9", "--loss", "2"], "--loss"),
        (["x.npz", "udp://127.0.0.1:9", "--rate", "0"], "--rate"),
    ):
        assert main(arguments) == 2
        assert words in capsys.readouterr().err


def test_drift_is_the_change_of_the_lag():
    drift = Drift()
    for second in np.arange(0, 60, 0.05):
        drift.add(1000 + second * 1.001, second)
    assert drift.value == pytest.approx(0.054, abs=0.001)
