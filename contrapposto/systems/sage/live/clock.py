"""Which time stamps of a device to believe."""

from __future__ import annotations

from collections import Counter

import numpy as np

_LARGEST_JUMP = 10.0  # seconds; beyond it a device's clock was set, or the recording is of another session
_LATE = 1.0  # seconds by which a packet may come after a newer one
_PERIOD = 1 / 72


class DeviceClock:
    """Turns time stamps as they arrive into increasing seconds from the first one.

    A stamp that repeats the newest one or lies up to a second before it belongs to a late or doubled packet: it is
    refused. One that lies further back, or more than ten seconds ahead, means that the device's clock was set anew
    (also when two recordings follow each other): time then goes on from where it was.

    Attributes:
        counts: how often which irregularity was met.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._shift = 0.0
        self._newest: float | None = None

    @property
    def time(self) -> float:
        """Seconds from the first stamp to the newest one that was accepted."""
        return self._newest or 0.0

    def accept(self, stamp: float) -> float | None:
        """Seconds since the first stamp, or None for a packet that must be ignored."""
        if not np.isfinite(stamp):
            self.counts["without a time"] += 1
            return None
        if self._newest is None:
            self._shift = -stamp
            self._newest = 0.0
            return 0.0
        time = stamp + self._shift
        step = time - self._newest
        if step < -_LATE or step > _LARGEST_JUMP:
            self.counts["clock set anew"] += 1
            time = self._newest + _PERIOD
            self._shift = time - stamp
        elif step <= 0:
            self.counts["repeated" if step == 0 else "late"] += 1
            return None
        self._newest = time
        return time
