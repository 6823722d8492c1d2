"""Files that are either whole or not there: temporary name first, then rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contrapposto.errors import InputError

ASSETS = Path(__file__).parent / "assets"

WRITE_CHECKS: list[Callable[[Path, bool], None]] = []
"""Called with the path, and whether it is a folder, before anything is written there (see `contrapposto.outputs`)."""

WRITE_NOTES: list[Callable[[Path, Path], None]] = []
"""Called with the path and the temporary one, once that is complete and before it is renamed."""


@contextmanager
def atomic_path(path: str | Path, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`, on failure removed.

    The temporary name keeps the suffix (writers choose the format by it) and carries the process id, so that two
    processes never share one. With `directory=True` the temporary path is an empty folder that replaces `path`.

    Raises:
        InputError: the folder cannot be written to, the disk is full, or an open command may not replace the file
            (`contrapposto.outputs`).
    """
    path = Path(path)
    for check in tuple(WRITE_CHECKS):
        check(path, directory)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        if directory:
            temporary.mkdir()
        yield temporary
        if not temporary.exists():
            raise RuntimeError(f"nothing was written to {temporary}")
        for note in tuple(WRITE_NOTES):
            note(path, temporary)
        if directory and path.exists():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            path.rename(old)
            temporary.rename(path)
            _remove(old)
        else:
            _sync(temporary)
            os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise disk_error(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def disk_error(path: str | Path, error: OSError) -> Exception:
    """Translate an operating system error of a write into one that states what to do; others come back unchanged."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(existing_parent(path)).free
        return InputError(
            f"The disk is full: {path} was not written.",
            found=f"{free / 2**20:.0f} MiB free",
            fix="free some space or choose another place; nothing half-written was left behind",
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return InputError(
            f"{path} cannot be written.",
            found=os.strerror(error.errno),
            expected="a folder that this user may write to",
            fix="choose another output folder",
        )
    return error


def need_space(path: str | Path, needed: int, what: str, fix: str = "choose another folder") -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        path: where it will lie; it need not exist yet.
        needed: bytes.
        what: it is, after "The disk has not enough space".
        fix: what may be done beside freeing space.

    Raises:
        InputError: less is free.
    """
    free = shutil.disk_usage(existing_parent(path)).free
    if free < needed:
        raise InputError(
            f"The disk has not enough space {what}.",
            found=f"{free / 2**20:.0f} MiB free",
            expected=f"{needed / 2**20:.0f} MiB",
            fix=f"free some space or {fix}",
        )


def existing_parent(path: str | Path) -> Path:
    """Return the nearest folder at or above `path` that exists."""
    folder = Path(path).absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, atomically, with sorted keys left as given and a final newline."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
