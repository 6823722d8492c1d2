"""One job after the other, in the order in which they were asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from contrapposto.systems.scail_pose.service.limits import Refusal
from contrapposto.systems.scail_pose.service.process import WorkerLost, WorkerProcess
from contrapposto.systems.scail_pose.service.store import Job, Store

_LOG = logging.getLogger(__name__)
_MOST_STARTS = 2  # of a job that the end of the service interrupted
LOST = "The process that worked on it ended: the files may be damaged, or memory was short."


class Runner:
    """The queue and the process at its end.

    Args:
        store: of the jobs; those in it that are queued or running are queued again.
        worker: does the work.
        fixed: what every request to the worker carries: `estimator`, `device`.
    """

    def __init__(self, store: Store, worker: WorkerProcess, fixed: Mapping[str, Any]) -> None:
        self.store, self.worker, self.fixed = store, worker, dict(fixed)
        self.queue: deque[Job] = deque()
        self.current: Job | None = None
        self._asking: asyncio.Task[dict[str, Any]] | None = None
        self._work = asyncio.Event()
        for job in sorted(store.jobs.values(), key=lambda job: job.changed):
            if job.active and job.starts >= _MOST_STARTS:
                job.become("failed", LOST)
            elif job.active:
                self._enqueue(job)

    def submit(self, job: Job, options: Mapping[str, Any]) -> None:
        """Put a job into the queue; what was made of it before stays until the new results are whole.

        Raises:
            Refusal: it is in it already, or there are too many.
        """
        if job.active:
            raise Refusal(409, "This upload is being processed already.")
        if len(self.queue) >= self.store.limits.waiting:
            raise Refusal(503, f"There are {len(self.queue)} jobs waiting; try again later.")
        job.options, job.starts = dict(options), 0
        self._enqueue(job)

    def position(self, job: Job) -> int | None:
        """How many jobs are done before it; None if it is not waiting."""
        return self.queue.index(job) + (self.current is not None) if job in self.queue else None

    async def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or stop it; results in the making are removed."""
        if job in self.queue:
            self.queue.remove(job)
            job.become("cancelled", "Cancelled.")
        elif job is self.current and self._asking is not None:
            job.cancelling = True
            self._asking.cancel()
        await job.ended.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self.queue:
                job = self.current = self.queue.popleft()
                try:
                    await self._do(job)
                except Exception:  # a full disk, for one; the next job may fit
                    _LOG.exception("A job could not be done.")
                    self._fail(job, "The service made an error of its own; its log has more.")
                finally:
                    self.current = self._asking = None

    def _enqueue(self, job: Job) -> None:
        job.cancelling = False
        job.tell(0.0, "waiting")
        job.become("queued", "Waiting.")
        self.queue.append(job)
        self._work.set()

    async def _do(self, job: Job) -> None:
        job.starts += 1
        _clear(job)
        job.work.mkdir(mode=0o700)
        job.began = time.time()
        job.tell(0.0, "starting")
        job.become("running", "At work.")
        limit = self.store.limits.job_seconds
        self._asking = asyncio.create_task(self.worker.ask(self._request(job), job.tell, limit))
        try:
            answer = await self._asking
        except asyncio.CancelledError:
            if not job.cancelling:
                raise  # the service ends; the job is done by the next one
            answer = {}
        except TimeoutError:
            answer = {"error": f"It took longer than {limit:g} seconds and was stopped."}
        except WorkerLost:
            answer = {"error": LOST}
        if job.cancelling:
            _clear(job)
            job.become("cancelled", "Cancelled.")
        elif "result" in answer:
            _replace(job)
            job.result = answer["result"]
            job.tell(1.0, "done")
            job.become("done", _summary(job.result))
        else:
            self._fail(job, answer["error"].replace(f"{job.folder}/", ""))

    def _fail(self, job: Job, message: str) -> None:
        _clear(job)
        try:
            job.become("failed", message)
        except Exception:
            _LOG.exception("The state of a job could not be written.")
            job.state, job.message = "failed", message
            job.ended.set()

    def _request(self, job: Job) -> dict[str, Any]:
        return {
            "do": "process",
            "video": str(job.folder / job.video),
            "reference": None if job.reference is None else str(job.folder / job.reference),
            "output": str(job.work),
            **job.options,
            **self.fixed,
        }


def _summary(result: Mapping[str, Any]) -> str:
    count = result["people"]
    words = f"Done: {result['frames']} frames, {count} {'person' if count == 1 else 'people'}."
    return " ".join([words, *(f"Note: {warning}." for warning in result["warnings"])])


def _clear(job: Job) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(job.work)


def _replace(job: Job) -> None:
    """Put new results in the place of the old ones."""
    shutil.rmtree(job.output, ignore_errors=True)
    job.work.rename(job.output)
