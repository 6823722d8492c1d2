"""What a simulated device records: faults, waits of the host and uploads, by what they are and where they happen."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_LEFT_OUT = tuple(str(ROOT / part) for part in ("tests", "benchmarks", ".venv"))

Event = tuple[str, str]
"""What happened, and `file:line` of the innermost frame of the project."""


@dataclass
class Log:
    """Counts of a `with simulated_cuda() as log` block.

    Args:
        faults: what a real device would refuse: tensors on different devices, `numpy()` of a CUDA tensor, a CPU
            generator for a CUDA tensor, integer matrix products.
        waits: what makes the host wait until the device has caught up: `.item()`, copies to the host, boolean masks.
        uploads: copies from the host to the device.
        doubles: operations on float64 tensors of more than 64 numbers, slow on most GPUs.
        launches: operations that were started on the device; views are among them.
    """

    faults: Counter[Event] = field(default_factory=Counter)
    waits: Counter[Event] = field(default_factory=Counter)
    uploads: Counter[Event] = field(default_factory=Counter)
    doubles: Counter[Event] = field(default_factory=Counter)
    launches: int = 0

    def clear(self) -> None:
        """Forget everything, for the next phase."""
        for counter in (self.faults, self.waits, self.uploads, self.doubles):
            counter.clear()
        self.launches = 0

    def fault(self, what: str) -> None:
        """Record a fault at the current place."""
        self.faults[what, place()] += 1

    def wait(self, what: str) -> None:
        """Record a wait at the current place."""
        self.waits[what, place()] += 1

    def upload(self, what: str) -> None:
        """Record an upload at the current place."""
        self.uploads[what, place()] += 1

    def double(self, what: str) -> None:
        """Record float64 work at the current place."""
        self.doubles[what, place()] += 1


LOG = Log()


def place() -> str:
    """`file:line` of the innermost frame of the project, tests and benchmarks left out; `library` where there is none."""
    frame = sys._getframe(1)
    root = str(ROOT)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(root) and not name.startswith(_LEFT_OUT):
            return f"{Path(name).relative_to(ROOT).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "library"
