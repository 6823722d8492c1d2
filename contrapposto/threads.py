"""One policy for the threads of a process: who may use how many cores.

Four things work in threads here: torch, the networks that look at images, the drawing of images, and the encoder of
videos (a process of its own). Networks take as many threads as torch has, at most four; their results are the same
bits with any number. While images are drawn, torch only skins figures, a millisecond an image; so drawing takes one
thread for each core, torch one, and the encoder always two, on which its bytes depend: it is four times as fast as a
thread that draws. Without a video torch keeps all its threads. `OMP_NUM_THREADS` limits torch and networks, `taskset`
and containers limit drawing, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 8
"""Threads beyond which an image is not drawn sooner."""
NETWORK = 4
"""Threads beyond which a network that looks at an image has too little for each to do."""
ENCODER = 2
"""Threads of a video's encoder, on every machine."""


def usable_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def drawing_threads() -> int:
    """Threads that draw."""
    return min(usable_cores(), MOST)


def network_threads() -> int:
    """Threads of a network that looks at images."""
    import torch

    return min(torch.get_num_threads(), usable_cores(), NETWORK)


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
