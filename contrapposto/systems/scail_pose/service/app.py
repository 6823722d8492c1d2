"""The service's HTTP side: upload, process, progress, cancel, results, health, and a page for people."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from contrapposto.errors import ContrappostoError
from contrapposto.systems.scail_pose.service.formats import (
    HEAD,
    IMAGE_FORMATS,
    VIDEO_FORMATS,
    image_suffix,
    video_suffix,
)
from contrapposto.systems.scail_pose.service.limits import MIB, Limits, Refusal
from contrapposto.systems.scail_pose.service.process import WorkerLost, WorkerProcess
from contrapposto.systems.scail_pose.service.request import ProcessRequest
from contrapposto.systems.scail_pose.service.runner import Runner
from contrapposto.systems.scail_pose.service.store import Job, Store

PAGE = Path(__file__).with_name("page.html")
WORKER = (sys.executable, "-m", "contrapposto.systems.scail_pose.service.worker")
_LOOK_SECONDS = 60.0
_TYPES = {
    ".mp4": "video/mp4",
    ".json": "application/json",
    ".zip": "application/zip",
    ".glb": "model/gltf-binary",
}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none'",
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["driving_video"],
                    "properties": {
                        "driving_video": {"type": "string", "format": "binary"},
                        "ref_image": {"type": "string", "format": "binary"},
                    },
                }
            }
        },
    }
}
_LOG = logging.getLogger(__name__)


class Service:
    """Everything behind the routes.

    Args:
        folder: for uploads and results.
        limits: see there.
        estimator: options of `make_estimator`.
        device: of networks and renderer, see `contrapposto.devices.find_device`.
        worker: command of the process that does the work.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        estimator: Mapping[str, Any],
        device: str | None,
        worker: Sequence[str],
    ) -> None:
        self.limits, self.store = limits, Store(folder, limits)
        self.looker = WorkerProcess(worker)
        self.runner = Runner(
            self.store, WorkerProcess(worker), {"estimator": dict(estimator), "device": device}
        )

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Work and tidy up while the block runs."""
        tasks = [asyncio.create_task(self.runner.run()), asyncio.create_task(self._tidy())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(self.looker.stop(), self.runner.worker.stop())
            self.store.close()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(min(self.limits.keep / 4, 60.0))
            self.store.expire()

    async def upload(self, video: UploadFile, image: UploadFile | None) -> Job:
        """A new job with these files, looked at."""
        with self.store.new() as job:
            job.video = await _keep(video, job.folder, "driving", video_suffix, VIDEO_FORMATS)
            if image is not None:
                job.reference = await _keep(image, job.folder, "ref_image", image_suffix, IMAGE_FORMATS)
            job.video_info = await self._look(job)
        return job

    async def _look(self, job: Job) -> dict[str, Any]:
        request = {
            "do": "look",
            "video": str(job.folder / job.video),
            "reference": None if job.reference is None else str(job.folder / job.reference),
            "side": self.limits.side,
            "seconds": self.limits.seconds,
        }
        try:
            answer = await self.looker.ask(request, seconds=_LOOK_SECONDS)
        except (WorkerLost, TimeoutError):
            raise Refusal(400, "The files cannot be read: they may be damaged.") from None
        if "error" in answer:
            status = 400 if answer["fault"] == "input" else 500
            raise Refusal(status, answer["error"].replace(f"{job.folder}/", ""))
        metadata: dict[str, Any] = answer["result"]
        return metadata

    def view(self, job: Job) -> dict[str, Any]:
        """What a client may know of a job."""
        files = [
            {"name": path.name, "url": f"/jobs/{job.id}/files/{path.name}", "bytes": path.stat().st_size}
            for path in (job.output / name for name in job.result.get("files", []))
            if path.is_file()
        ]
        return {
            "example_id": job.id,
            "status": job.state,
            "message": job.message,
            "progress": round(job.progress, 4),
            "stage": job.stage,
            "seconds_left": None if job.seconds_left is None else round(job.seconds_left, 1),
            "waiting_for": self.runner.position(job),
            "changed": round(job.changed, 3),
            "video": job.video_info,
            "has_reference": job.reference is not None,
            "output_path": next((file["url"] for file in files if file["name"].startswith("rendered")), None),
            "files": files,
        }

    def health(self) -> dict[str, Any]:
        """Whether it works, how much there is to do, and the limits."""
        limits = self.limits
        return {
            "status": "ok",
            "waiting": len(self.runner.queue),
            "working": self.runner.current is not None,
            "limits": {
                "upload_bytes": limits.upload,
                "video_seconds": limits.seconds,
                "side": limits.side,
                "output_side": limits.output_side,
                "waiting": limits.waiting,
                "keep_seconds": limits.keep,
            },
        }


def create_app(
    folder: Path,
    limits: Limits,
    *,
    estimator: Mapping[str, Any] | None = None,
    device: str | None = None,
    names: Collection[str] = (),
    worker: Sequence[str] = WORKER,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        folder: for uploads and results; one service at a time may use it.
        limits: what it takes on.
        estimator: options of `make_estimator`.
        device: of networks and renderer, see `contrapposto.devices.find_device`.
        names: host names it may be reached by, besides localhost and plain addresses.
        worker: command of the process that does the work, see `worker`.

    Raises:
        ConfigError: another service uses the folder.
    """
    service = Service(folder, limits, estimator or {}, device, worker)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.alive():
            yield

    # The usual pages of documentation load scripts from elsewhere; /openapi.json remains
    app = FastAPI(title="SCAIL-Pose", docs_url=None, redoc_url=None, lifespan=lifespan)
    _guard(app, names)
    _answer_errors(app)
    _add_work(app, service)
    _add_results(app, service)
    return app


def _add_work(app: FastAPI, service: Service) -> None:
    @app.post("/upload", openapi_extra=_FORM)
    async def upload(request: Request) -> JSONResponse:
        """Take a driving video and perhaps an image of the character."""
        size = _length(request)
        if size > service.limits.upload:
            await _drain(request)
            raise Refusal(413, f"The upload is too large: at most {service.limits.upload // MIB} MiB.")
        with service.store.reserved(2 * size):  # while it is copied it is there twice
            try:
                async with (
                    asyncio.timeout(service.limits.upload_seconds),
                    request.form(max_files=2, max_fields=2) as form,
                ):
                    video, image = form.get("driving_video"), form.get("ref_image")
                    if not isinstance(video, UploadFile):
                        raise Refusal(400, "The form has no file driving_video.")
                    job = await service.upload(video, image if isinstance(image, UploadFile) else None)
            except TimeoutError:
                raise Refusal(408, "The upload took too long.") from None
            except ClientDisconnect:
                raise Refusal(400, "The upload was broken off.") from None
        return JSONResponse(service.view(job), 201)

    @app.post("/process")
    async def process(wanted: ProcessRequest) -> JSONResponse:
        """Make the pose video of an upload."""
        job = service.store.get(wanted.example_id)
        service.runner.submit(job, wanted.options(service.limits, job.video_info))
        if not wanted.wait:
            return JSONResponse(service.view(job), 202)
        await job.ended.wait()
        return JSONResponse(service.view(job), 200 if job.state == "done" else 500)

    @app.post("/jobs/{name}/cancel")
    async def cancel(name: str) -> dict[str, Any]:
        """Stop it; a job that is done already stays as it is."""
        job = service.store.get(name)
        if job.active:
            await service.runner.cancel(job)
        return service.view(job)

    @app.delete("/jobs/{name}")
    async def remove(name: str) -> dict[str, str]:
        """Stop it, and remove its files."""
        job = service.store.get(name)
        if job.active:
            await service.runner.cancel(job)
        service.store.remove(job)
        return {"status": "removed", "message": "Removed."}


def _add_results(app: FastAPI, service: Service) -> None:
    @app.get("/jobs/{name}")
    async def job_state(name: str) -> dict[str, Any]:
        """State, progress and results."""
        return service.view(service.store.get(name))

    @app.get("/jobs/{name}/files/{file}")
    async def download(name: str, file: str) -> FileResponse:
        """One of the results."""
        job = service.store.get(name)
        path = job.output / file
        if file not in job.result.get("files", []) or not path.is_file():
            raise Refusal(404, "There is no such file.")
        return FileResponse(
            path,
            filename=file,
            content_disposition_type="inline",
            media_type=_TYPES.get(path.suffix, "application/octet-stream"),
        )

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the service works, and its limits."""
        return service.health()

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))


def _guard(app: FastAPI, names: Collection[str]) -> None:
    """No other page in the user's browser may speak to the service, neither as itself nor under a name of its own."""

    @app.middleware("http")
    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not _known(host, names):
            return _error(400, "Unknown host name; see --name.")
        if origin is not None and urlsplit(origin).netloc != host:
            return _error(403, "Requests from other pages are refused.")
        response = await follow(request)
        response.headers.update(_HEADERS)
        return response


def _known(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is an address or a known name; a page elsewhere can make any other name lead here."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name in names:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return _error(error.status, error.message)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        places = ("; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()))[:500]
        return _error(400, places)

    @app.exception_handler(ContrappostoError)
    @app.exception_handler(OSError)
    async def disk(request: Request, error: Exception) -> JSONResponse:
        _LOG.error("A request could not be served.", exc_info=error)
        return _error(507, "The service could not write its files.")


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"status": "error", "message": message}, status, headers=_HEADERS)


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "")
    if not text.isdigit():
        raise Refusal(411, "The upload must say how long it is (Content-Length).")
    return int(text)


async def _drain(request: Request, seconds: float = 5.0) -> None:
    """Read on for a while, so that a client that sends first and listens then gets the answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in request.stream():
                pass


async def _keep(
    file: UploadFile, folder: Path, stem: str, kind: Callable[[bytes], str | None], expected: str
) -> str:
    """Write an upload under a name of ours, whatever its own; returns that name."""
    head = await file.read(HEAD)
    suffix = kind(head)
    if suffix is None:
        raise Refusal(400, f"{'The video' if stem == 'driving' else 'The image'} is not {expected} file.")
    await file.seek(0)

    def copy() -> None:
        with open(folder / (stem + suffix), "xb") as target:
            shutil.copyfileobj(file.file, target, MIB)

    await asyncio.to_thread(copy)
    return stem + suffix
