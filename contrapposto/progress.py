"""Progress of long work: a `rich` bar on a terminal; elsewhere a line every few seconds, so that logs stay readable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


def duration(seconds: float) -> str:
    """A time in the two units that matter: `45 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    seconds = round(seconds)
    for unit, size, minor, minor_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // minor_size} {minor}"
    return f"{seconds} s"


Listener = Callable[[str, int, int], None]
_listeners: list[Listener] = []


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """A context in which every report of this process also calls `listener(stage, done, total)`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class Report:
    """Shows how far the stages of some work are; call it with (stage, done, total) as often as you like.

    Args:
        seconds: between two lines where the output is not a terminal.
        stream: where to write; None: the standard error.
    """

    def __init__(self, seconds: float = 5.0, stream: TextIO | None = None) -> None:
        self.seconds, self.stream = seconds, stream or sys.stderr
        self.terminal = self.stream.isatty()
        self._stage, self._begin, self._last = "", 0.0, 0.0
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` items of `stage` are finished."""
        for listener in _listeners:
            listener(stage, done, total)
        now = time.monotonic()
        if stage != self._stage:
            self._end()
            self._stage, self._begin, self._last = stage, now, now
        if self.terminal:
            self._draw(stage, done, total)
        elif now - self._last >= self.seconds:
            self._last = now
            left = (
                f", {duration((now - self._begin) / done * (total - done))} left" if 0 < done < total else ""
            )
            print(f"  {stage} {done:,}/{total:,}{left}".rstrip(), file=self.stream, flush=True)
        if done >= total:
            self._end()

    def _draw(self, stage: str, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("  {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, transient=True, console=Console(file=self.stream))
            self._bar.start()
            self._task = self._bar.add_task(stage, total=total)
        self._bar.update(self._task, completed=done, total=total)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._stage = ""


Lines = Report  # as tasks and recipes name it

_REPORT: Report | None = None


def say(done: int, total: int, started: float, title: str = "") -> None:
    """Report one step of a loop; `started` is unused and kept for callers that time themselves."""
    global _REPORT
    if _REPORT is None or done <= 1:
        _REPORT = Report()
    _REPORT(title or "progress", done, total)


def counter(title: str, seconds: float = 15.0) -> Callable[[int, int], None]:
    """A function of (done, total) that reports under one title."""
    report = Report(seconds)
    return lambda done, total: report(title, done, total)


def late(title: str, after: float = 2.0) -> Callable[[int, int], None]:
    """A function of (done, total) that reports under one title, with the time left, once the work takes long.

    Args:
        title: of the work.
        after: seconds in which nothing is shown.
    """
    report, started = Report(), time.monotonic()
    report._stage, report._begin, report._last = title, started, started

    def step(done: int, total: int) -> None:
        if time.monotonic() - started >= after:
            report(title, done, total)

    return step


@contextmanager
def bar(total: int, title: str) -> Iterator[Callable[[int], None]]:
    """A context manager that yields a function of the number of finished items."""
    report = Report()
    try:
        yield lambda done: report(title, done, total)
    finally:
        report._end()
