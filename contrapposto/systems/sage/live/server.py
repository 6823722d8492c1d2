"""Live tracking of one wearer: packets in, a figure in the browser, everything measured (docs/live.md).

Packets come over UDP, or from a page (`web_server`).
One thread receives, one tracks, the caller's shows. Nothing waits in line: the tracking thread takes all packets that
have come since, computes the body at the newest frame and passes over the others; the page shows the newest body.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

from contrapposto.errors import ConfigError, InputError
from contrapposto.io.devices import Convention, DeviceTrack
from contrapposto.io.packets import MAX_BYTES, Packet, decode
from contrapposto.systems.sage.live.learner import Limits, UnitLearner
from contrapposto.systems.sage.live.tracker import LiveFrame, SparseTracker
from contrapposto.systems.sage.live.wearer import Wearer

if TYPE_CHECKING:
    from contrapposto.systems.sage.live.recording import Recording

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TICK = 1 / 60
_DRIFT_FRAMES = 120
_MOST_WAITING = 48  # packets, more than the 20 frames of a window; beyond that the oldest are dropped


def udp_address(text: str) -> tuple[str, int] | None:
    """Host and port of `udp://127.0.0.1:9000`; None for anything that does not begin with `udp:`.

    Raises:
        ConfigError: not an address of this machine.
    """
    if not text.startswith("udp:"):
        return None
    host, _, port = text.removeprefix("udp://").rstrip("/").rpartition(":")
    if host not in LOOPBACK or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"{text} cannot be listened to.",
            expected="udp://127.0.0.1:PORT: packets are taken from this machine only",
            fix="forward a headset's packets to this machine's loopback, for instance with socat",
        )
    return "127.0.0.1", int(port)


@dataclass
class Measured:
    """Newest measurements of one kind, in milliseconds."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=600))

    def add(self, seconds: float) -> None:
        """Keep one."""
        self.values.append(1000 * seconds)

    def quantiles(self) -> dict[str, float]:
        """`p50` and `p95` of at least one value."""
        p50, p95 = np.percentile(list(self.values), [50, 95])  # a copy in one step: other threads append
        return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


class Rate:
    """Events per second over the last two seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1024)

    def mark(self, now: float) -> None:
        """One event."""
        self._times.append(now)

    def value(self, now: float) -> float:
        """Per second."""
        recent = [moment for moment in tuple(self._times) if now - moment < 2.0]
        return len(recent) / 2.0


@dataclass(frozen=True)
class Arrived:
    """A packet and when it came, monotonic seconds."""

    packet: Packet
    at: float


class Page(Protocol):
    """What shows the bodies of a session."""

    t_pose_wanted: threading.Event
    """Set when the wearer asks for a calibration."""

    def show(self, frame: LiveFrame, stamp: float) -> None:
        """Show a body; `stamp` is the time of the newest packet that it was computed from, as the packet states it."""

    def set_scale(self, scale: float) -> None:
        """Change the size of the body."""

    def tell(self, text: str) -> None:
        """Show Markdown: what is going on."""


class LiveSession:
    """Receives, tracks and shows until it is stopped.

    Args:
        tracker: see `SparseTracker`.
        address: host and port to listen at; None: packets come by `receive`.
        convention: of the axes of the packets; None: z up and orientations of the joints, unless the first packets
            show others. What is unusual about axes, units and sides is found from them and reported.
        wearer: what is known of the wearer and how it is found out; see `Wearer`.
        recording: takes the bodies.
        page: shows them; nothing is shown without it.
        log: takes the packets as they came, one a line.
        pause: seconds from one shown body to the next, at least.
        watch: called with every body, in the tracking thread.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(
        self,
        tracker: SparseTracker,
        address: tuple[str, int] | None,
        convention: Convention | None,
        wearer: Wearer,
        recording: Recording,
        page: Page | None = None,
        log: IO[bytes] | None = None,
        pause: float = _TICK,
        watch: Callable[[LiveFrame], None] | None = None,
    ) -> None:
        self.tracker, self.wearer = tracker, wearer
        self._learner = UnitLearner(convention)
        self._limits = Limits()
        self.unreadable = ""
        self.recording, self.page, self._log = recording, page, log
        self.counts: Counter[str] = Counter()
        self.measured = {name: Measured() for name in ("network", "waiting", "model", "display", "behind")}
        self.rates = {name: Rate() for name in ("packets", "bodies", "images")}
        self.drift = Drift()
        self._pause, self._watch = pause, watch
        self._socket = None if address is None else _listening(address)
        self._port = 0 if self._socket is None else int(self._socket.getsockname()[1])
        self._waiting: deque[Arrived] = deque(maxlen=_MOST_WAITING)
        self._arrived, self._stopped = threading.Event(), threading.Event()
        self._newest: tuple[LiveFrame, float, float] | None = None
        self._tracked = threading.Event()
        self._failure: BaseException | None = None
        # Arrival minus device time: the smallest is that of the fastest way here.
        self._offsets: deque[float] = deque(maxlen=600)

    @property
    def port(self) -> int:
        """Where packets are taken; 0 where they come by `receive`."""
        return self._port

    def run(self, seconds: float | None = None, tick: Callable[[], None] | None = None) -> None:
        """Go on until `stop`, a keyboard interrupt, or for so many seconds; then everything has ended.

        Args:
            seconds: no longer than this.
            tick: called about once a second.
        """
        work = (self._track,) if self._socket is None else (self._listen, self._track)
        threads = [threading.Thread(target=self._guarded, args=(function,)) for function in work]
        for thread in threads:
            thread.start()
        end = None if seconds is None else time.monotonic() + seconds
        last_shown = 0.0
        try:
            while not self._stopped.is_set() and (end is None or time.monotonic() < end):
                self._show()
                now = time.monotonic()
                if now - last_shown > 0.5:
                    last_shown = now
                    if self.page is not None:
                        self.page.tell(self.describe())
                    if tick is not None:
                        tick()
        finally:
            self.stop()
            for thread in threads:
                thread.join()
            if self._socket is not None:
                self._socket.close()
        if self._failure is not None:
            raise self._failure
        self._advance(last=True)

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopped.set()
        self._arrived.set()

    def summary(self) -> dict[str, Any]:
        """What was measured, as plain values: milliseconds, rates per second, counts."""
        now = time.monotonic()
        return {
            "latency_ms": {name: m.quantiles() for name, m in self.measured.items() if m.values},
            "rates": {name: rate.value(now) for name, rate in self.rates.items()},
            "drift_ms": round(1000 * self.drift.value, 2),
            "counts": dict(self.counts + self.tracker.counts + self._limits.counts),
            "last_unreadable": self.unreadable,
        }

    def waiting(self) -> str:
        """One line while no packet could be read: what came in their place; empty as soon as one could."""
        if self.counts["packets"]:
            return ""
        count = self.counts["unreadable packets"]
        heard = f"{count} unreadable packets, the last: {self.unreadable}" if count else "nothing has come"
        place = f"udp://127.0.0.1:{self.port}" if self.port else "the page"
        return f"waiting for packets at {place}: {heard}"

    def describe(self) -> str:
        """What is going on, as Markdown for the page."""
        summary = self.summary()
        rates, counts = summary["rates"], summary["counts"]
        if not counts.get("packets"):
            return self.waiting()
        lines = [
            f"{rates['packets']:.0f} packets/s, **{rates['bodies']:.0f} bodies/s**, {rates['images']:.0f} images/s",
            "",
            "| ms | p50 | p95 |",
            "|---|---|---|",
        ]
        titles = {
            "network": "network",
            "waiting": "waiting for the model",
            "model": "model",
            "display": "arrival to display",
            "behind": "body behind newest packet",
        }
        for name, title in titles.items():
            if name in summary["latency_ms"]:
                quantiles = summary["latency_ms"][name]
                lines.append(f"| {title} | {quantiles['p50']:.1f} | {quantiles['p95']:.1f} |")
        shown = {name: count for name, count in counts.items() if name not in ("packets", "bodies")}
        lines += ["", "  \n".join(f"{count} {name}" for name, count in sorted(shown.items()))]
        lines += [self._learner.message] if self._learner.message else []
        lines += ["", f"drift {summary['drift_ms']:+.1f} ms", "", self.wearer.describe()]
        return "\n".join(lines)

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:  # shown by `run`
            self._failure = error
            self.stop()

    def receive(self, data: bytes) -> None:
        """Take a packet as it came, from any one thread."""
        now = time.monotonic()
        try:
            packet = decode(data)
        except InputError as error:
            self.counts["unreadable packets"] += 1
            self.unreadable = error.found or error.what
            return
        self.counts["packets"] += 1
        self.rates["packets"].mark(now)
        if self._log is not None:
            self._log.write(data.strip().replace(b"\n", b" ") + b"\n")
        if len(self._waiting) == _MOST_WAITING:
            self.counts["packets given up"] += 1
        self._waiting.append(Arrived(packet, now))
        self._arrived.set()

    def _listen(self) -> None:
        assert self._socket is not None
        while not self._stopped.is_set():
            try:
                data = self._socket.recv(MAX_BYTES + 1)
            except TimeoutError:
                continue
            except ConnectionError:  # Windows tells of unreachable peers here
                continue
            self.receive(data)

    def _track(self) -> None:
        while not self._stopped.is_set():
            self._arrived.wait()
            self._arrived.clear()
            self._advance()

    def _advance(self, last: bool = False) -> None:
        """Take what has come, compute the newest body; at `last` also from fewer packets than are looked at first."""
        newest = None
        for _ in range(len(self._waiting)):  # not those that come meanwhile: they are for the next body
            newest = self._waiting.popleft()
            self._take(newest)
        arrived = None if newest is None else newest.at
        for track in self._learner.rest() if last else ():
            arrived = time.monotonic()
            self._feed(track, arrived)
        start = time.monotonic()
        frame = self.tracker.pose()
        if frame is not None and arrived is not None:
            stamp = frame.time if newest is None else newest.packet.time
            self._keep(frame, stamp, arrived, start, time.monotonic())

    def _keep(self, frame: LiveFrame, stamp: float, arrived: float, start: float, now: float) -> None:
        """A body that was computed from `start` to `now`, its newest packet having `arrived` before."""
        self.measured["waiting"].add(start - arrived)
        self.measured["model"].add(now - start)
        self.measured["behind"].add(max(self.tracker.time - frame.time, 0.0))
        self.drift.add(arrived, frame.time)
        self.rates["bodies"].mark(now)
        self.counts["bodies"] += 1
        self.counts["frames ignored"] += frame.passed
        if self.wearer.known:
            self.recording.add(frame)
        self._newest = (frame, arrived, stamp)
        self._tracked.set()
        if self._watch is not None:
            self._watch(frame)

    def _take(self, arrived: Arrived) -> None:
        """One packet into the tracker."""
        packet = arrived.packet
        if np.isfinite(packet.sent):
            self.measured["network"].add(
                max(time.time() - (time.monotonic() - arrived.at) - packet.sent, 0.0)
            )
        else:
            self._offsets.append(arrived.at - packet.time)
            self.measured["network"].add(self._offsets[-1] - min(self._offsets))
        for track in self._learner.add(packet):
            self._feed(track, arrived.at)

    def _feed(self, track: DeviceTrack, at: float) -> None:
        """One frame into the tracker; `at`: when it came."""
        seen = self._limits.apply(track)
        turns, places = track.rotations[0].numpy(), track.positions[0].numpy()
        if not self._learner.convention.hands_known and self.wearer.calibration is None:
            self.wearer.hands_known = False
        if self.page is not None and self.page.t_pose_wanted.is_set():
            self.page.t_pose_wanted.clear()
            self.wearer.ask(at)
        if self.wearer.look(at, turns, places, seen):
            self.tracker.configure(scale=self.wearer.scale, calibration=self.wearer.calibration)
            self.recording.restart(self.wearer.scale)
            if self.page is not None:
                self.page.set_scale(self.wearer.scale)
        if not self.wearer.hands_known:
            seen = seen & np.array([True, False, False])
        self.tracker.feed(float(track.times[0]), turns, places, seen)

    def _show(self) -> None:
        """Show the newest body, at most sixty times a second."""
        start = time.monotonic()
        if not self._tracked.wait(0.1):
            return
        self._tracked.clear()
        newest = self._newest
        if self.page is not None and newest is not None:
            frame, at, stamp = newest
            self.page.show(frame, stamp)
            now = time.monotonic()
            self.measured["display"].add(now - at)
            self.rates["images"].mark(now)
        self._stopped.wait(max(self._pause - (time.monotonic() - start), 0.0))


def _listening(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.settimeout(0.1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Port {address[1]} cannot be listened to.", found=str(error), fix="choose another port"
        ) from error
    return listener


class Drift:
    """Whether bodies fall behind arrivals: how the lag of late differs from that of the first seconds."""

    def __init__(self) -> None:
        self._first: list[float] = []
        self._late: deque[float] = deque(maxlen=_DRIFT_FRAMES)

    def add(self, arrival: float, pose_time: float) -> None:
        """Seconds at which a packet came (any clock) and of the body that it led to (the device's clock)."""
        lag = arrival - pose_time
        if len(self._first) < _DRIFT_FRAMES:
            self._first.append(lag)
        self._late.append(lag)

    @property
    def value(self) -> float:
        """Seconds by which the lag has grown since the start."""
        return float(np.median(list(self._late)) - np.median(list(self._first))) if self._first else 0.0
