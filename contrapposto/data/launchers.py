"""Who does many independent pieces of work: this process, processes of this machine, or the workers of a Ray cluster.

Not on joblib: after a SIGKILL of the parent, joblib's workers stayed for more than a minute (measured with 1.6); these end
with their parent, which `benchmarks/faults/kill.py` checks.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Literal

import torch

from contrapposto.errors import InputError, MissingError

Work = Callable[[Any], None]
_FEWER = "repeat the command with fewer workers (memory?); finished clips are kept"


@dataclass(frozen=True)
class Launcher:
    """Where pieces of work are done. What they write is the same everywhere: each runs on one thread of torch.

    Args:
        name: `processes` of this machine, or `ray`.
        workers: how many work at a time; with 1 or less, `processes` means this process. None with `ray`: as many as
            the cluster has cores.
        address: of a running Ray cluster whose machines all see the same files (`auto`: the one that this machine
            belongs to); None starts one on this machine for as long as the work takes.
    """

    name: Literal["processes", "ray"] = "processes"
    workers: int | None = 2
    address: str | None = None

    def run(self, work: Work, items: Sequence[Any], done: Callable[[int], None]) -> None:
        """Call `work` with every item, in any order; `done` is passed how many are finished.

        Args:
            work: picklable, as the items are; it writes its result by itself.
            items: the pieces.
            done: called in this process.

        Raises:
            InputError: a worker died.
            MissingError: Ray is not installed, or there is no cluster at `address`.
        """
        if self.name == "ray":
            _run_in_ray(work, items, done, self.workers, self.address)
        elif (self.workers or 1) <= 1 or len(items) < 2:
            for number, item in enumerate(items, 1):
                _on_one_thread(work, item)
                done(number)
        else:
            _run_in_processes(work, items, done, self.workers or 1)


def _on_one_thread(work: Work, item: Any) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers: sums in another order would change the last bit
    try:
        work(item)
    finally:
        torch.set_num_threads(threads)


def _run_in_processes(work: Work, items: Sequence[Any], done: Callable[[int], None], workers: int) -> None:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=context, initializer=start_worker)
    try:
        futures = [pool.submit(work, item) for item in items]
        for number, future in enumerate(as_completed(futures), 1):
            future.result()
            done(number)
    except BrokenProcessPool as error:
        raise InputError(
            "A worker process died while converting clips.", found=str(error), fix=_FEWER
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_in_ray(
    work: Work, items: Sequence[Any], done: Callable[[int], None], workers: int | None, address: str | None
) -> None:
    """Twice as many pieces as workers are handed out at a time: no worker waits, and a long list costs no memory."""
    try:
        import ray
    except ImportError:
        raise MissingError(
            "launcher=ray needs the package ray, which is not installed.",
            fix="pip install ray",
        ) from None
    mine = not ray.is_initialized()
    try:
        if mine:
            local: dict[str, Any] = (
                {"num_cpus": workers, "include_dashboard": False} if address is None else {}
            )
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
        ahead = 2 * (workers or int(ray.cluster_resources().get("CPU", 1)))
        call = ray.remote(num_cpus=1)(_on_one_thread)
        shared, waiting, finished = ray.put(work), list(reversed(items)), 0
        running: list[Any] = []
        while waiting or running:
            while waiting and len(running) < ahead:
                running.append(call.remote(shared, waiting.pop()))
            ready, running = ray.wait(running)
            ray.get(ready)
            finished += len(ready)
            done(finished)
    except ConnectionError as error:
        raise MissingError(
            f"There is no Ray cluster at {address}.",
            found=str(error),
            fix="ray start --head, or launcher.address=null",
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise InputError("A Ray worker died while converting clips.", found=str(error), fix=_FEWER) from error
    finally:
        if mine:
            ray.shutdown()


def start_worker() -> None:
    """Initializer of worker processes: one thread, no Ctrl-C, and an end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers in order
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """A worker whose parent was killed would otherwise wait for work for ever."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
