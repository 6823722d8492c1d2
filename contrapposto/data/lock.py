"""One process at a time: locks that the operating system releases when their holder dies, also by SIGKILL."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from contrapposto.errors import InputError


@contextmanager
def hold(lock: Path, owner: Path, what: str) -> Iterator[None]:
    """Hold a lock, or refuse with the process that holds it.

    Args:
        lock: the lock file; it stays behind, empty, because removing it would open a race.
        owner: a file that states who holds it, for the message.
        what: the thing that is locked, as the subject of a sentence.

    Raises:
        InputError: another process holds it.
    """
    try:
        with FileLock(lock, timeout=0):
            owner.write_text(
                json.dumps({"process": os.getpid(), "host": socket.gethostname()}), encoding="utf-8"
            )
            yield
    except Timeout:
        raise InputError(
            f"{what} is being made by another process.",
            found=_describe(owner),
            fix="wait until it has ended, or stop it; then repeat the command",
        ) from None


def _describe(owner: Path) -> str:
    try:
        value = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {value['process']} on {value['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a lock that is held"
