"""Live sessions of predict.py task=sage_track: packets over UDP, or the pages for headsets (docs/live.md)."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from contrapposto.files import atomic_path, write_json
from contrapposto.io.devices import CONVENTIONS, Convention, convention
from contrapposto.outputs import free_stem
from contrapposto.systems.sage.live.recording import Recording
from contrapposto.systems.sage.live.server import LiveSession
from contrapposto.systems.sage.live.tracker import SparseTracker
from contrapposto.systems.sage.live.vmc import VmcSender
from contrapposto.systems.sage.live.wearer import Wearer
from contrapposto.tasks.signals import stopped_by_signals

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from contrapposto.systems.sage.live.server import Page
    from contrapposto.systems.sage.live.web_server import WebWearer
    from contrapposto.tasks.sage import SageTrack


class LiveCommand:
    """One live session of a command, and the files that it leaves.

    Args:
        task: its options.
        config: of the command.
        output: folder for `live.json` and what is recorded; no earlier session is replaced.
    """

    def __init__(self, task: SageTrack, config: DictConfig, output: Path) -> None:
        self.task = task
        self.model, self.finishing = task.load(config)
        self.sender = None if task.vmc is None else VmcSender(task.vmc)
        self.stem = free_stem(output / "live", (".json",), new=True)  # nobody can repeat a live session
        self.report = self.stem.with_name(f"{self.stem.name}.json")

    def packets(self, address: tuple[str, int]) -> list[Path]:
        """Track one sender's datagrams until stopped."""
        from contrapposto.systems.sage.live.page import LivePage

        axes = convention(self.task.axes) if self.task.axes else None
        path = self.stem.with_name(f"{self.stem.name}_packets.jsonl")
        page = LivePage(self.task.port, self._wearer(axes).scale)
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as log:
                session = self._session(address, axes, page, log)
                print(f"listening at udp://{address[0]}:{session.port}, showing at {page.url}")
                print("end with Ctrl+C: what was tracked is then written", flush=True)
                self._browse(page.url)
                with stopped_by_signals(session.stop):
                    session.run(self.task.seconds, _reporter(session.waiting))
        finally:
            page.stop()
        print(session.describe(), flush=True)
        write_json(self.report, session.summary())
        if session.counts["packets"] == 0:
            print("send packets as docs/live.md describes, while the session runs")
        return [path, self.report, *self._written(session.recording, self.stem)]

    def headsets(self, address: tuple[str, int]) -> list[Path]:
        """Serve the pages for headsets until stopped."""
        from contrapposto.systems.sage.live.certificate import make_certificate
        from contrapposto.systems.sage.live.web_server import WebServer

        ended, logs = threading.Event(), dict[int, Path]()
        with ExitStack() as stack, TemporaryDirectory() as private:

            def make(page: WebWearer) -> LiveSession:
                path = self._of(page.number, "_packets.jsonl")
                logs[page.number] = path
                log = stack.enter_context(stack.enter_context(atomic_path(path)).open("wb"))
                return self._session(None, CONVENTIONS["openxr"], page, log, first=page.number == 1)

            certificate = None if self.task.certificate is None else Path(self.task.certificate)
            if self.task.certificate == "auto":
                certificate = make_certificate(Path(private), self._hosts(address[0]))
            server = WebServer(address, make, certificate, self.task.names)
            self._announce(server.url, server.port, self._hosts(address[0]))
            try:
                with stopped_by_signals(ended.set):
                    ended.wait(self.task.seconds)
            finally:
                server.stop()  # before the logs are closed
        wearers = list(server.wearers.values())
        report: dict[str, Any] = {"pages": server.counts}
        for one in wearers:
            print(f"wearer {one.number}:\n{one.session.describe()}", flush=True)
            report[f"wearer{one.number}"] = {**one.session.summary(), "page": one.report()}
        write_json(self.report, report)
        paths = [self.report, *logs.values()]
        for one in wearers:
            paths += self._written(one.session.recording, self._of(one.number, ""))
        if not wearers:
            print("no headset has come: open the page in a headset's browser, while the session runs")
        return paths

    def _session(
        self,
        address: tuple[str, int] | None,
        axes: Convention | None,
        page: Page,
        log: Any,
        first: bool = True,
    ) -> LiveSession:
        wearer = self._wearer(axes)
        tracker = SparseTracker(self.model, scale=wearer.scale, finishing=self.finishing)
        sender = self.sender if first else None
        return LiveSession(
            tracker,
            address,
            axes,
            wearer,
            Recording(wearer.scale),
            page,
            log,
            pause=0.0 if address is None else 1 / 60,
            watch=None if sender is None else lambda frame: sender.send(frame, wearer.scale),
        )

    def _wearer(self, axes: Convention | None) -> Wearer:
        return Wearer(self.task.height, axes is None or axes.hands_known)

    def _of(self, number: int, ending: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}_wearer{number}{ending}")

    def _announce(self, url: str, port: int, hosts: tuple[str, ...]) -> None:
        print(f"for the headset: {url}    to watch: {url}/watch")
        if url.startswith("https"):
            print(f"from other machines: {', '.join(f'https://{host}:{port}' for host in hosts)}")
        else:
            print(f"over USB: adb reverse tcp:{port} tcp:{port}, then that address in the headset's browser")
        print("end with Ctrl+C: what was tracked is then written", flush=True)
        self._browse(f"{url}/watch")

    def _hosts(self, host: str) -> tuple[str, ...]:
        """Names and addresses of this machine for which a certificate is made."""
        if host not in ("0.0.0.0", "::"):
            return (host, *self.task.names)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect(
                    ("192.0.2.1", 9)
                )  # sends nothing: tells which address of this machine others see
                return (str(probe.getsockname()[0]), *self.task.names)
        except OSError:
            return self.task.names

    def _written(self, recording: Recording, stem: Path) -> list[Path]:
        """What a wearer leaves: motion, devices as CSV and as a log of the authors' app."""
        from contrapposto.io.quest import write_quest

        if not len(recording):
            print("no body was tracked: nothing more to write")
            return []
        paths = self.task.write(recording.motion(), recording, stem)
        return [*paths, write_quest(stem.with_name(f"{stem.name}_log.txt"), recording.devices())]

    def _browse(self, url: str) -> None:
        if self.task.open:
            import webbrowser

            webbrowser.open(url)


def _reporter(waiting: Callable[[], str], every: float = 5.0) -> Callable[[], None]:
    """What prints why nothing is tracked yet, every few seconds."""
    last = time.monotonic()

    def report() -> None:
        nonlocal last
        line = waiting()
        if line and time.monotonic() - last >= every:
            last = time.monotonic()
            print(line, flush=True)

    return report
