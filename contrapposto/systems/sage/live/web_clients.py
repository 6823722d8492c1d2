"""Open pages of live tracking: what is sent to them, and the headset as the page of its session."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

from contrapposto.systems.sage.live.server import LiveSession, Measured
from contrapposto.systems.sage.live.web_bodies import frame_bytes

if TYPE_CHECKING:
    from contrapposto.systems.sage.live.tracker import LiveFrame
    from contrapposto.systems.sage.live.web_server import WebServer

PARTS = ("drawn", "returned")
"""What a headset's page measures, from a packet on: until its body is drawn, and until its body has come back."""
_LONGEST = 60_000.0  # milliseconds that are believed


class Client:
    """One open page; of bodies only the newest of each wearer waits for a slow one.

    Args:
        connection: its WebSocket.
        wearer: whose headset it is; 0: it watches.
    """

    def __init__(self, connection: Any, wearer: int = 0) -> None:
        self.connection, self.wearer = connection, wearer
        self._bodies: dict[int, bytes] = {}
        self._words: list[str] = []
        self._news = asyncio.Event()

    def post(self, body: tuple[int, bytes] | None = None, words: str | None = None) -> None:
        """Something to send, from the loop's thread."""
        if body is not None:
            self._bodies[body[0]] = body[1]
        if words is not None:
            self._words.append(words)
        self._news.set()

    async def send(self) -> None:
        """Send what there is until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            words, self._words = self._words, []
            bodies, self._bodies = self._bodies, {}
            for data in (*words, *bodies.values()):
                await self.connection.send(data)


class WebWearer:
    """A headset as the page of its session.

    Args:
        number: from 1 on.
        server: sends what is shown.
    """

    session: LiveSession
    """Set by `start`."""

    def __init__(self, number: int, server: WebServer) -> None:
        self.number, self.server = number, server
        self.t_pose_wanted = threading.Event()
        self.scale = 1.0
        self.measured = {part: Measured() for part in PARTS}
        self._status = ""
        self._thread: threading.Thread | None = None

    def start(self, session: LiveSession) -> None:
        """Track in a thread of its own."""
        self.session, self.scale = session, session.wearer.scale
        self._thread = threading.Thread(target=session.run, name=f"wearer {self.number}")
        self._thread.start()

    def stop(self) -> None:
        """End the session."""
        self.session.stop()
        if self._thread is not None:
            self._thread.join()

    def show(self, frame: LiveFrame, stamp: float) -> None:
        """Send a body to the wearer and to all who watch."""
        self.server.post((self.number, frame_bytes(self.number, stamp, frame)), wearer=self.number)

    def set_scale(self, scale: float) -> None:
        """Change the size of the body."""
        self.scale = scale
        self.server.post(words=self.server.describe())

    def tell(self, text: str) -> None:
        """Send the wearer what `text` holds of the calibration, and everybody how long the parts take."""
        status = self.session.wearer.describe().replace("**", "").replace("  \n", "\n")
        if status != self._status:
            self._status = status
            self.server.post(words=self.words(), wearer=self.number)
        self.server.post(words=json.dumps({"report": {"id": self.number, **self.report()}}))

    def words(self) -> str:
        """What the wearer has to know."""
        return json.dumps({"status": self._status})

    def report(self) -> dict[str, Any]:
        """Rates, and milliseconds of the parts of the way from a packet to the drawn body, as far as they are known."""
        measured = self.session.measured | self.measured
        return {
            "rates": self.session.summary()["rates"],
            "parts": {part: values.quantiles() for part, values in measured.items() if values.values},
        }

    def hear(self, words: dict[str, Any]) -> None:
        """Take what the headset's page measured."""
        for part in PARTS:
            values = words.get(part)
            for value in values[:200] if isinstance(values, list) else ():
                if isinstance(value, int | float) and 0 <= value < _LONGEST:
                    self.measured[part].add(value / 1000)
