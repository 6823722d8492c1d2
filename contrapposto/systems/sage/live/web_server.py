"""Live tracking without an app: a WebXR page for the headset's browser, and one to watch from a desktop (docs/live.md).

The page sends packets (`contrapposto.io.packets`, axes `openxr`) over a WebSocket and gets bodies back: binary frames
of wearer (uint32), four bytes, stamp (float64), and 3 + 22 x 4 float32: translation and local quaternions (w first).
Text frames are JSON: `wearers`, `status` and `report` from here, `do` (calibrate, measured) from the page.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contrapposto.errors import ConfigError, MissingError
from contrapposto.systems.sage.live.calibration import LARGEST, SMALLEST
from contrapposto.systems.sage.live.server import LiveSession
from contrapposto.systems.sage.live.web_bodies import body_file
from contrapposto.systems.sage.live.web_clients import Client, WebWearer

FOLDER = Path(__file__).parent / "web"
_FILES = {
    "": "page.html",
    "watch": "page.html",
    **{name: name for name in ("page.js", "figure.js", "three.min.js")},
}
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
MOST_WEARERS = 4
_MOST_BYTES = 4096  # of a message from a page
_COARSE = 0.04  # metres, of the body for browsers that draw without a graphics card
_POLICY = (
    "default-src 'self'; style-src 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss:"
)


def web_address(text: str) -> tuple[str, int] | None:
    """Host and port of `web://127.0.0.1:8765`; None for anything that does not begin with `web:`.

    Raises:
        ConfigError: not an address.
    """
    if not text.startswith("web:"):
        return None
    host, _, port = text.removeprefix("web://").rstrip("/").rpartition(":")
    if not host or host.startswith("web:") or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ConfigError(
            f"{text} cannot be listened to.", expected="web://127.0.0.1:8765, or web://0.0.0.0:8765"
        )
    return host, int(port)


class WebServer:
    """The pages, and a session for each headset.

    Args:
        address: host and port; port 0 takes a free one.
        make_session: of a wearer; its packets come by `receive`.
        certificate: a PEM file with certificate and key: then the pages are at https.
        names: host names under which they may be reached, beside addresses and `localhost`.

    Raises:
        MissingError: the package websockets is not installed.
        ConfigError: the port is taken.
    """

    def __init__(
        self,
        address: tuple[str, int],
        make_session: Callable[[WebWearer], LiveSession],
        certificate: Path | None = None,
        names: Sequence[str] = (),
    ) -> None:
        try:
            import websockets  # noqa: F401
        except ImportError as error:
            raise MissingError(
                "The page needs the package websockets.",
                found=str(error),
                fix="pip install websockets",
            ) from None
        self.address, self._make, self.names = address, make_session, names
        self.wearers: dict[str, WebWearer] = {}
        self.counts = {"refused": 0, "connections": 0, "rubbish": 0}
        self._certificate = certificate
        self._clients: set[Client] = set()
        self._bodies: dict[tuple[float, bool], bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._ready, self._end = threading.Event(), asyncio.Event()
        self._failure: OSError | None = None
        self.port = 0
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()))
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise ConfigError(
                f"Port {address[1]} cannot be listened to.",
                found=str(self._failure),
                fix="choose another port",
            )

    @property
    def url(self) -> str:
        """Where the page is on this machine."""
        return f"http{'s' if self._certificate else ''}://localhost:{self.port}"

    def post(
        self, body: tuple[int, bytes] | None = None, words: str | None = None, wearer: int | None = None
    ) -> None:
        """Send a body or words to all pages, or to those of one wearer, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._post, body, words, wearer)

    def describe(self) -> str:
        """Who there is, for the pages."""
        wearers = [{"id": one.number, "scale": round(one.scale, 4)} for one in self.wearers.values()]
        return json.dumps({"wearers": wearers})

    def stop(self) -> None:
        """Close all connections and end all sessions."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        for wearer in self.wearers.values():
            wearer.stop()
        self._loop.close()

    def _post(
        self, body: tuple[int, bytes] | None = None, words: str | None = None, wearer: int | None = None
    ) -> None:
        """To all pages; what is `wearer`'s not to other headsets, and words for that one to no other page."""
        for client in self._clients:
            watches = client.wearer == 0
            if wearer is None or client.wearer == wearer or (watches and body is not None):
                client.post(body, words)

    async def _serve(self) -> None:
        from websockets.asyncio.server import serve

        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        try:
            server = await serve(
                self._talk,
                *self.address,
                process_request=self._answer,
                ssl=context,
                max_size=_MOST_BYTES,
                compression=None,
                ping_interval=5,
                server_header=None,
            )
        except OSError as error:
            self._failure = error
            self._ready.set()
            return
        self.port = int(next(iter(server.sockets)).getsockname()[1])
        self._ready.set()
        async with server:
            await self._end.wait()

    def _answer(self, connection: Any, request: Any) -> Any:
        """Answer a request for a file; None lets a WebSocket be opened."""
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not self._known(host) or (origin is not None and urlsplit(origin).netloc != host):
            self.counts["refused"] += 1
            return connection.respond(HTTPStatus.FORBIDDEN, "Requests from other pages are refused.\n")
        path, query = urlsplit(request.path).path.strip("/"), parse_qs(urlsplit(request.path).query)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None
        if path == "body.bin":
            return self._reply(connection, self._body(query), "application/octet-stream")
        if path not in _FILES:
            return connection.respond(HTTPStatus.NOT_FOUND, "There is no such page.\n")
        file = FOLDER / _FILES[path]
        return self._reply(connection, file.read_bytes(), _TYPES[file.suffix])

    @staticmethod
    def _reply(connection: Any, data: bytes, kind: str) -> Any:
        from websockets.datastructures import Headers
        from websockets.http11 import Response

        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": _POLICY,
            "Connection": "close",
        }
        return Response(200, "OK", Headers(headers), data)

    def _body(self, query: dict[str, list[str]]) -> bytes:
        try:
            scale = min(max(float(query["scale"][0]), SMALLEST), LARGEST)
        except (KeyError, ValueError):
            scale = 1.0
        key = scale, "coarse" in query
        if key not in self._bodies:
            newest = list(self._bodies.items())[-7:]
            self._bodies = {**dict(newest), key: body_file(scale, _COARSE if key[1] else 0.0)}
        return self._bodies[key]

    def _known(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost" or name in self.names
        return True

    async def _talk(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        address = urlsplit(connection.request.path)
        wearer = None
        if address.path == "/headset":
            wearer = self._wearer(parse_qs(address.query).get("name", [""])[0][:64])
            if wearer is None:
                await connection.close(1013, f"There are {MOST_WEARERS} headsets already.")
                return
        client = Client(connection, 0 if wearer is None else wearer.number)
        self._clients.add(client)
        self.counts["connections"] += 1
        self._post(words=self.describe())
        if wearer is not None:
            client.post(words=wearer.words())
        sending = asyncio.create_task(client.send())
        try:
            async for message in connection:
                self._hear(message, wearer)
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _wearer(self, name: str) -> WebWearer | None:
        """The wearer of this name: known ones go on where they were."""
        if name not in self.wearers:
            if len(self.wearers) >= MOST_WEARERS:
                return None
            wearer = self.wearers[name] = WebWearer(len(self.wearers) + 1, self)
            wearer.start(self._make(wearer))
        return self.wearers[name]

    def _hear(self, message: str | bytes, wearer: WebWearer | None) -> None:
        data = message.encode() if isinstance(message, str) else message
        if not data.startswith(b'{"do"'):
            if wearer is not None:
                wearer.session.receive(data)
            return
        try:
            words = json.loads(data)
        except (ValueError, RecursionError):
            self.counts["rubbish"] += 1
            return
        if words["do"] == "calibrate":
            for one in [wearer] if wearer is not None else list(self.wearers.values()):
                one.t_pose_wanted.set()
        elif words["do"] == "measured" and wearer is not None:
            wearer.hear(words)
