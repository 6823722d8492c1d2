"""Live tracking without an app: a WebXR page for the headset's browser, and one to watch from a desktop (docs/live.md).

The page sends packets (`contrapposto.io.packets`, axes `openxr`) over a WebSocket and gets bodies back: binary frames
of wearer (uint32), four bytes, stamp (float64), and 3 + 22 x 4 float32: translation and local quaternions (w first).
Text frames are JSON: `wearers` and `status` from here, `do` (calibrate, drawn) from the page.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.errors import ConfigError, MissingError
from contrapposto.systems.sage.live.calibration import LARGEST, SMALLEST, fitted_betas
from contrapposto.systems.sage.live.server import LiveSession, Measured

if TYPE_CHECKING:
    from contrapposto.systems.sage.live.tracker import LiveFrame

FOLDER = Path(__file__).parent / "web"
_FILES = {"": "page.html", "watch": "page.html", "page.js": "page.js", "three.min.js": "three.min.js"}
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_MOST_WEARERS = 4
_MOST_BYTES = 4096  # of a message from a page
_POLICY = (
    "default-src 'self'; style-src 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss:"
)


def web_address(text: str) -> tuple[str, int] | None:
    """Host and port of `web://127.0.0.1:8765`; None for anything that does not begin with `web://`.

    Raises:
        ConfigError: not an address.
    """
    if not text.startswith("web://"):
        return None
    host, _, port = text[6:].rstrip("/").rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65536:
        raise ConfigError(
            f"{text} cannot be listened to.", expected="web://127.0.0.1:8765, or web://0.0.0.0:8765"
        )
    return host, int(port)


def body_file(scale: float) -> bytes:
    """The shipped body in a wearer's size, for the page.

    Vertices V, faces F, joints J (uint32 each); (V, 3) places, (V, 4) weights, (J, 3) offsets, all float32; (J,)
    parents int32; (F, 3) uint32; (V, 4) joints of the weights, uint16.
    """
    body = load_body()
    betas = torch.from_numpy(np.zeros(0, np.float32) if scale == 1.0 else fitted_betas(scale))
    vertices, rest = body.rest_vertices(betas)[0], body.rest_joints(betas)[0]
    parents = np.array(body.skeleton.parents, np.int32)
    above = torch.stack([rest[max(parent, 0)] for parent in parents])
    offsets = torch.cat([rest[:1], (rest - above)[1:]])
    weights, joints = body.skinning.weights.topk(4, dim=1)
    weights = weights / weights.sum(1, keepdim=True)
    faces = body.faces.numpy().astype(np.uint32)
    arrays = [vertices.float(), weights.float(), offsets.float()]
    return b"".join(
        [
            np.array([len(vertices), len(faces), len(parents)], np.uint32).tobytes(),
            *(array.numpy().astype(np.float32).tobytes() for array in arrays),
            parents.tobytes(),
            faces.tobytes(),
            joints.numpy().astype(np.uint16).tobytes(),
        ]
    )


def frame_bytes(wearer: int, stamp: float, frame: LiveFrame) -> bytes:
    """A body as the page reads it."""
    quaternions = rot.matrix_to_quaternion(frame.body.rotations[0].float().cpu())
    values = np.concatenate(
        [frame.body.root_translation[0].float().cpu().numpy(), quaternions.numpy().ravel()]
    )
    return struct.pack("<IId", wearer, 0, stamp) + values.astype("<f4").tobytes()


class _Client:
    """One open page; of bodies only the newest of each wearer waits for a slow one."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.bodies: dict[int, bytes] = {}
        self.words: list[str] = []
        self.news = asyncio.Event()

    def post(self, body: tuple[int, bytes] | None = None, words: str | None = None) -> None:
        """Something to send, from the loop's thread."""
        if body is not None:
            self.bodies[body[0]] = body[1]
        if words is not None:
            self.words.append(words)
        self.news.set()

    async def send(self) -> None:
        """Send what there is until cancelled."""
        while True:
            await self.news.wait()
            self.news.clear()
            words, self.words = self.words, []
            bodies, self.bodies = self.bodies, {}
            for text in words:
                await self.connection.send(text)
            for data in bodies.values():
                await self.connection.send(data)


class WebWearer:
    """A headset as the page of its session.

    Args:
        number: from 1 on.
        server: sends what is shown.
    """

    def __init__(self, number: int, server: WebServer) -> None:
        self.number, self.server = number, server
        self.t_pose_wanted = threading.Event()
        self.scale = 1.0
        self.status = ""
        self.connected = False
        self.drawn = Measured()
        self.session: LiveSession | None = None
        self.thread: threading.Thread | None = None

    def show(self, frame: LiveFrame, stamp: float) -> None:
        """Send a body to the wearer and to all who watch."""
        self.server.post(body=(self.number, frame_bytes(self.number, stamp, frame)))

    def set_scale(self, scale: float) -> None:
        """Change the size of the body."""
        self.scale = scale
        self.server.post(words=self.server.describe())

    def tell(self, text: str) -> None:
        """Send what the wearer has to know; the figures of `text` are written at the end."""
        session = self.session
        status = "" if session is None else session.wearer.describe().replace("**", "").replace("  \n", "\n")
        if status != self.status:
            self.status = status
            self.server.post(words=json.dumps({"status": status}))


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
        names: tuple[str, ...] = (),
    ) -> None:
        try:
            import websockets  # noqa: F401
        except ImportError as error:
            raise MissingError(
                "The page needs the package websockets.",
                found=str(error),
                fix="pip install 'contrapposto[live]'",
            ) from None
        self.address, self._make, self.names = address, make_session, names
        self.wearers: dict[str, WebWearer] = {}
        self.counts = {"refused": 0, "connections": 0}
        self._certificate = certificate
        self._clients: set[_Client] = set()
        self._sizes = {1.0: body_file(1.0)}
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

    def post(self, body: tuple[int, bytes] | None = None, words: str | None = None) -> None:
        """Send a body or words to all pages, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._post, body, words)

    def describe(self) -> str:
        """Who there is, for the pages."""
        wearers = [{"id": one.number, "scale": round(one.scale, 4)} for one in self.wearers.values()]
        return json.dumps({"wearers": wearers})

    def stop(self) -> None:
        """Close all connections and end all sessions."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        for wearer in self.wearers.values():
            if wearer.session is not None:
                wearer.session.stop()
            if wearer.thread is not None:
                wearer.thread.join()

    def _post(self, body: tuple[int, bytes] | None, words: str | None) -> None:
        for client in self._clients:
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
        if scale not in self._sizes:
            self._sizes = {**dict(list(self._sizes.items())[-3:]), scale: body_file(scale)}
        return self._sizes[scale]

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
                await connection.close(1013, f"There are {_MOST_WEARERS} headsets already.")
                return
        client = _Client(connection)
        self._clients.add(client)
        self.counts["connections"] += 1
        client.post(words=self.describe())
        self._post(None, self.describe())
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
            if len(self.wearers) >= _MOST_WEARERS:
                return None
            wearer = WebWearer(len(self.wearers) + 1, self)
            wearer.session = self._make(wearer)
            wearer.scale = wearer.session.wearer.scale
            wearer.thread = threading.Thread(target=wearer.session.run)
            wearer.thread.start()
            self.wearers[name] = wearer
        return self.wearers[name]

    def _hear(self, message: str | bytes, wearer: WebWearer | None) -> None:
        data = message.encode() if isinstance(message, str) else message
        if not data.startswith(b'{"do"'):
            if wearer is not None and wearer.session is not None:
                wearer.session.receive(data)
            return
        try:
            words = json.loads(data)
        except (ValueError, RecursionError):
            return
        if words["do"] == "calibrate":
            for one in [wearer] if wearer is not None else list(self.wearers.values()):
                one.t_pose_wanted.set()
        elif words["do"] == "drawn" and wearer is not None and isinstance(words.get("ms"), list):
            for value in words["ms"][:200]:
                if isinstance(value, int | float) and 0 <= value < 60_000:
                    wearer.drawn.add(value / 1000)


def make_certificate(folder: Path, hosts: tuple[str, ...] = ()) -> Path:
    """Make a certificate for this machine and sign it with its own key; browsers ask before they trust it.

    Args:
        folder: where `certificate.pem` is written, readable by its owner alone.
        hosts: addresses and names that it is for, beside localhost.

    Raises:
        MissingError: there is no program openssl.
    """
    path = folder / "certificate.pem"
    names = [
        "DNS:localhost",
        "IP:127.0.0.1",
        *(f"IP:{host}" if _is_address(host) else f"DNS:{host}" for host in hosts),
    ]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-days",
        "30",
        "-subj",
        "/CN=contrapposto live",
        "-addext",
        f"subjectAltName={','.join(names)}",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    key = folder / "key.pem"
    key.touch(mode=0o600)
    try:
        subprocess.run([*command, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
        path.write_bytes(path.read_bytes() + key.read_bytes())
    except (OSError, subprocess.CalledProcessError) as error:
        path.unlink(missing_ok=True)
        detail = getattr(error, "stderr", b"") or b""
        raise MissingError(
            "No certificate could be made.",
            found=detail.decode(errors="replace").strip()[-200:] or str(error),
            fix="install openssl, or name a PEM file of your own: task.certificate=FILE",
        ) from None
    finally:
        key.unlink(missing_ok=True)
    return path


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
