"""What was uploaded and made: one folder per upload, under a name that nobody can guess."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrapposto.errors import ConfigError
from contrapposto.files import disk_error, write_json
from contrapposto.systems.scail_pose.service.limits import MIB, Limits, Refusal

ACTIVE = ("queued", "running")
_LEAST_PROGRESS = 0.03
_BEFORE = ("", "waiting", "starting")  # stages before work on the frames
_KEPT = ("state", "message", "options", "video", "reference", "video_info", "result", "starts")
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """An upload and what is made of it.

    Attributes:
        id: 128 bits of chance as 22 letters; who knows it may do everything with the job.
        folder: for its files and nothing else.
        state: uploaded, queued, running, done, failed, or cancelled.
        message: the same for a person.
        options: of the last request for processing.
        video, reference: names of the uploaded files in `folder`; an upload may have no reference.
        video_info: of the video, see `worker.look`.
        result: see `worker.make`; that of the last time it was done.
        starts: how often work has begun since it was last asked for.
        progress: share that is done, in [0, 1]. stage: what is being done.
        changed: seconds since 1970. size: bytes of all files.
        began: seconds since 1970 at which the work on its frames began.
        cancelling: somebody asked to stop it.
        ended: set while nothing is queued or running.
    """

    id: str
    folder: Path
    state: str = "uploaded"
    message: str = "Uploaded."
    options: dict[str, Any] = field(default_factory=dict)
    video: str = ""
    reference: str | None = None
    video_info: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    starts: int = 0
    progress: float = 0.0
    stage: str = ""
    changed: float = field(default_factory=time.time)
    size: int = 0
    began: float = 0.0
    cancelling: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def output(self) -> Path:
        """Folder of the results."""
        return self.folder / "output"

    @property
    def work(self) -> Path:
        """Folder of results in the making; they replace those in `output` when they are whole."""
        return self.folder / "work"

    @property
    def seconds_left(self) -> float | None:
        """Time until it is done, by the share that is done; None where it is too early to estimate."""
        if self.state != "running" or self.progress < _LEAST_PROGRESS:
            return None
        return (time.time() - self.began) / self.progress * (1 - self.progress)

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ACTIVE

    def become(self, state: str, message: str) -> None:
        """Change the state, on disk too."""
        self.state, self.message, self.changed = state, message, time.time()
        write_json(self.folder / "job.json", {name: getattr(self, name) for name in _KEPT})
        self.size = folder_size(self.folder)
        if self.active:
            self.ended.clear()
        else:
            self.ended.set()

    def tell(self, progress: float, stage: str) -> None:
        """Note progress; the clock of `seconds_left` starts when the networks are loaded."""
        if self.stage in _BEFORE and stage not in _BEFORE:
            self.began = time.time()
        self.progress, self.stage = progress, stage


class Store:
    """The uploads of one service.

    Args:
        folder: made where needed, for the eyes of this user only; what an earlier service left in it is taken up.
        limits: see there.

    Raises:
        ConfigError: another service uses the folder.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        from filelock import FileLock, Timeout

        self.folder, self.limits = folder.absolute(), limits
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        self._lock = FileLock(self.folder / ".lock", thread_local=False)  # may be closed by another thread
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"Another service uses {folder}.", fix="stop it, or give this one another --folder"
            ) from None
        self.jobs: dict[str, Job] = {}
        self.arriving = 0
        for path in sorted(self.folder.iterdir()):
            if path.is_dir() and _ID.fullmatch(path.name):
                self._take_up(path)

    def close(self) -> None:
        """Let another service use the folder."""
        self._lock.release()

    @property
    def used(self) -> int:
        """Bytes that are stored or arriving."""
        return self.arriving + sum(job.size for job in self.jobs.values())

    def get(self, name: str) -> Job:
        """The job of an id; only ids that were given out are ever part of a path."""
        job = self.jobs.get(name)
        if job is None:
            raise Refusal(404, "There is no such upload; it may have been removed after its time.")
        return job

    @contextlib.contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Keep room for an upload of this many bytes while it arrives."""
        if self.used + size > self.limits.disk:
            raise Refusal(507, f"The service is full ({self.limits.disk // MIB} MiB); try again later.")
        self.arriving += size
        try:
            yield
        finally:
            self.arriving -= size

    @contextlib.contextmanager
    def new(self) -> Iterator[Job]:
        """A job with an empty folder, which is forgotten if the block fails."""
        name = secrets.token_urlsafe(16)
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        try:
            job = Job(name, folder)
            yield job
            job.become("uploaded", "Uploaded.")
            self.jobs[name] = job
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def remove(self, job: Job) -> None:
        """Forget a job that is not active, and remove its files."""
        self.jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def expire(self) -> None:
        """Remove what is older than it may get."""
        oldest = time.time() - self.limits.keep
        for job in [job for job in self.jobs.values() if not job.active and job.changed < oldest]:
            self.remove(job)

    def _take_up(self, folder: Path) -> None:
        job = Job(folder.name, folder)
        try:
            path = folder / "job.json"
            kept = json.loads(path.read_text(encoding="utf-8"))
            for name in _KEPT:
                setattr(job, name, kept[name])
            job.changed = path.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            _LOG.warning("An unfinished upload was removed.")
            shutil.rmtree(folder, ignore_errors=True)
            return
        job.size = folder_size(folder)
        if not job.active:
            job.ended.set()
        self.jobs[job.id] = job


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
