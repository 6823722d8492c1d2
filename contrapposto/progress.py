"""How far a prediction is."""

from __future__ import annotations

import sys
import time


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


def say(done: int, total: int, started: float) -> None:
    """A line with the time left: rewritten on a terminal, elsewhere at every tenth."""
    terminal = sys.stderr.isatty()
    if not terminal and done != total and done * 10 // total == (done - 1) * 10 // total:
        return
    left = (time.monotonic() - started) / done * (total - done)
    end = "\r" if terminal and done < total else "\n"
    print(f"  {done}/{total}, {duration(left)} left   ", end=end, file=sys.stderr, flush=True)


class Lines:
    """Progress as a line that is overwritten on a terminal, and as a line every few seconds elsewhere."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.terminal = sys.stderr.isatty()
        self.seconds = 0.1 if self.terminal else seconds
        self.last = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` items of `stage` are finished."""
        now = time.monotonic()
        if now - self.last < self.seconds and done < total:
            return
        if done >= total and not self.terminal and now - self.last < self.seconds:
            return
        self.last = now
        end = ("\n" if done >= total else "\r") if self.terminal else "\n"
        print(f"  {stage} {done}/{total}   ", end=end, file=sys.stderr, flush=True)
