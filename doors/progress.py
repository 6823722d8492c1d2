"""How far a prediction is."""

from __future__ import annotations

import sys
import time


def say(done: int, total: int, started: float) -> None:
    """A line with the time left: rewritten on a terminal, elsewhere at every tenth."""
    from callbacks.progress import duration  # with Lightning, which takes seconds

    terminal = sys.stderr.isatty()
    if not terminal and done != total and done * 10 // total == (done - 1) * 10 // total:
        return
    left = (time.monotonic() - started) / done * (total - done)
    end = "\r" if terminal and done < total else "\n"
    print(f"  {done}/{total}, {duration(left)} left   ", end=end, file=sys.stderr, flush=True)
