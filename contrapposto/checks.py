"""What every reader does with a foreign file before and while it reads it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from contrapposto.errors import ContrappostoError, InputError

_log = logging.getLogger("contrapposto.io")
_file: ContextVar[str] = ContextVar("file", default="")
_lines: ContextVar[set[str] | None] = ContextVar("lines", default=None)

MAX_BYTES = 2 * 2**30
"""No motion file of a figure is larger; what claims to be is refused before memory is asked for."""


def check_file(path: str | Path, kind: str) -> Path:
    """Return `path` if it is a file with something in it.

    Raises:
        InputError: it is missing, a folder, empty, unreadable or larger than `MAX_BYTES`.
    """
    path = Path(path)
    expected = f"{kind} file"
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder.", expected=expected, fix="name one of the files in it")
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path} is not a regular file.", expected=expected
            )  # a pipe or a device may never end
        with open(path, "rb") as file:
            empty = not file.read(1)
        size = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", expected=expected) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(f"{path} cannot be read.", found=str(error), expected=expected) from error
    if empty:
        raise InputError(f"{path} is empty.", expected=expected, fix="copy or download it again")
    if size > MAX_BYTES:
        raise InputError(f"{path} is too large.", found=f"{size} bytes", expected=f"at most {MAX_BYTES}")
    return path


def read_text(path: str | Path, kind: str) -> str:
    """Return the text of a file: UTF-8, with or without byte order mark, else Latin-1.

    Raises:
        InputError: as `check_file`, or the content is binary.
    """
    data = check_file(path, kind).read_bytes()
    if b"\0" in data[:65536]:
        raise InputError(f"{path} is not text.", found="null bytes", expected=f"{kind} file, which is text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Put the file's name in front of every `InputError` that is raised inside, and of every `note`."""
    before = _file.set(Path(path).name)
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{path}: {error.what}", found=error.found, expected=error.expected, fix=error.fix
        ) from error
    finally:
        _file.reset(before)


def note(message: str) -> None:
    """Report in one line what is unusual about the file that is being read (the logger `contrapposto.io`)."""
    name, lines = _file.get(), _lines.get()
    line = f"{name}: {message}" if name else message
    if lines is None or line not in lines:
        _log.warning("%s", line)
    if lines is not None:
        lines.add(line)


@contextmanager
def noting_once() -> Iterator[None]:
    """Report every line of `note` once inside, however often a file is opened."""
    before = _lines.set(set())
    try:
        yield
    finally:
        _lines.reset(before)


@contextmanager
def parsing(path: str | Path, expected: str = "", fix: str = "") -> Iterator[None]:
    """Make one `InputError` of whatever foreign bytes provoke in a parser; the suite's own errors pass as they are.

    For the few lines in which a file is taken apart: zlib, zipfile, NumPy, json, h5py and PIL raise two dozen types
    among them, and a JSON value of another kind than expected as many more.
    """
    try:
        yield
    except ContrappostoError:
        raise
    except Exception as error:
        words = (str(error).strip().splitlines() or ["no words"])[0]
        raise InputError(
            f"{path} cannot be read.",
            found=f"{type(error).__name__}: {words}"[:200],
            expected=expected,
            fix=fix,
        ) from error


def check_text(values: np.ndarray) -> None:
    """Refuse an array of text with numbers that are no characters: Python would make strings of it that break later.

    Raises:
        ValueError: it has such.
    """
    plain = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    if plain.nbytes and np.frombuffer(plain.tobytes(), np.uint32).max() > sys.maxunicode:
        raise ValueError("text with numbers that are no characters")


def shorten(text: str, limit: int = 40) -> str:
    """Quote foreign text for a message: printable, at most `limit` characters."""
    return repr(text if len(text) <= limit else text[:limit] + "...")
