"""Ctrl-C and SIGTERM: a checkpoint at the step, a line on how to continue, exit status 130 or 143."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from contrapposto.errors import ContrappostoError


class StoppedError(ContrappostoError):
    """A signal stopped the work; `status` is the exit status."""

    def __init__(self, what: str, *, status: int, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.status = status

    def __reduce__(self) -> tuple[Any, ...]:
        return _stopped, (self.what, self.status, self.fix)


def _stopped(what: str, status: int, fix: str) -> StoppedError:
    return StoppedError(what, status=status, fix=fix)


@contextmanager
def stoppable(trainer: Any, command: Callable[[], str]) -> Iterator[None]:
    """While training: Ctrl-C ends it after the current step, as SIGTERM does; a second Ctrl-C ends it at once.

    Args:
        trainer: Lightning's.
        command: the command that continues the run; empty where no checkpoint was written.

    Raises:
        StoppedError: a signal came.
    """
    interrupts: list[int] = []

    def handle(number: int, frame: Any) -> None:
        interrupts.append(number)
        if len(interrupts) > 1 or not trainer.training:
            raise KeyboardInterrupt
        # Lightning then ends between two steps, where ResumeCheckpoint can save.
        trainer._signal_connector.received_sigterm = True
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, handle) if main else None
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if not trainer.interrupted:
            raise
        again = command()
        raise StoppedError(
            f"Stopped at step {trainer.global_step}.",
            status=130 if interrupts or isinstance(error, KeyboardInterrupt) else 143,
            fix=again or "no checkpoint was written; start again",
        ) from None
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def run_command(command: Sequence[str]) -> int:
    """Run a command; SIGTERM is passed on to it, and it has the time that it needs to end. Returns its exit status."""
    process = subprocess.Popen(command)
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate()) if main else None
    try:
        while True:
            try:
                status = process.wait()
                return 128 - status if status < 0 else status
            except KeyboardInterrupt:  # the terminal has sent it to the command too
                continue
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
