"""One policy for the threads of a process: who may use how many cores.

Three things work in threads here: torch, the drawing of images, and the encoder of videos (a process of its own). While
images are drawn, torch only skins figures, a millisecond an image; so drawing takes one thread for each core, torch
one, and the encoder always two, on which its bytes depend: it is four times as fast as a thread that draws. Without a
video torch keeps all its threads. `OMP_NUM_THREADS` limits torch, `taskset` and containers limit drawing, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 8
"""Threads beyond which an image is not drawn sooner."""
ENCODER = 2
"""Threads of a video's encoder, on every machine."""


def usable_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def drawing_threads() -> int:
    """Threads that draw."""
    return min(usable_cores(), MOST)


@contextmanager
def while_drawing() -> Iterator[None]:
    """Within, torch computes in one thread: the cores draw."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
