"""Even frames from uneven packets: poses at exact multiples of 1/60 s of the device's time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.systems.sage.live.clock import DeviceClock
from contrapposto.systems.sage.live.lost_devices import DropoutGuard


@dataclass(frozen=True)
class Tick:
    """Poses of the three devices at frame `number` of an even sequence.

    Args:
        number: frame; its time is number / fps seconds after the first packet.
        rotations: (3, 3, 3) of the joints.
        positions: (3, 3) metres.
        seen: (3,) whether each was tracked around this time.
        restart: nothing is known about the time just before.
    """

    number: int
    rotations: np.ndarray
    positions: np.ndarray
    seen: np.ndarray
    restart: bool


class PoseSampler:
    """Resamples by time stamp, frame by frame.

    A frame is given out as soon as a packet at or after its time has come, interpolated between that packet and the
    one before; nothing is extrapolated as long as packets come, and frames never fall behind the packets.

    Args:
        fps: of the even sequence.
        max_gap: seconds without packets after which the sequence restarts instead of being interpolated.
        guard: what fills in for devices that are not seen.
    """

    def __init__(self, fps: float = 60.0, max_gap: float = 0.5, guard: DropoutGuard | None = None) -> None:
        self.fps, self.max_gap = fps, max_gap
        self.guard = guard or DropoutGuard()
        self.clock = DeviceClock()
        self._before: tuple[float, np.ndarray, np.ndarray] | None = None
        self._next = 0

    def push(
        self, time: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray | None = None
    ) -> list[Tick]:
        """One packet; returns the frames that it completes, usually none, one or two.

        Args:
            time: seconds of the device's clock.
            rotations: (3, 3, 3) of the joints of head, left and right hand.
            positions: (3, 3) metres.
            seen: (3,) which are tracked; those with values that are not finite never are.
        """
        now = self.clock.accept(time)
        if now is None:
            return []
        seen = np.ones(3, bool) if seen is None else np.asarray(seen, bool)
        seen = seen & np.isfinite(rotations).all((1, 2)) & np.isfinite(positions).all(1)
        with np.errstate(invalid="ignore"):
            seen &= np.abs(np.linalg.det(rotations) - 1) < 0.2
        safe = np.where(seen[:, None, None], rotations, np.eye(3))
        filled = self.guard.fill(now, safe, np.where(seen[:, None], positions, 0), seen)
        if filled is None:
            return []
        before, self._before = self._before, (now, *filled)
        last = int(np.floor(now * self.fps + 1e-6))
        if before is None or now - before[0] > self.max_gap:
            first, self._next = max(self._next, last), max(self._next, last + 1)
            return [Tick(first, filled[0], filled[1], seen, restart=True)]
        numbers = range(self._next, last + 1)
        self._next = max(self._next, last + 1)
        return [self._between(before, self._before, number, seen) for number in numbers]

    def _between(
        self,
        low: tuple[float, np.ndarray, np.ndarray],
        high: tuple[float, np.ndarray, np.ndarray],
        number: int,
        seen: np.ndarray,
    ) -> Tick:
        share = float(np.clip((number / self.fps - low[0]) / (high[0] - low[0]), 0, 1))
        if share == 1.0:  # a device of 60 Hz: nothing to interpolate
            return Tick(number, high[1], high[2], seen, restart=False)
        step = Rotation.from_matrix(low[1].transpose(0, 2, 1) @ high[1]).as_rotvec()
        rotation = low[1] @ Rotation.from_rotvec(share * step).as_matrix()
        place = (1 - share) * low[2] + share * high[2]
        return Tick(number, rotation, place, seen, restart=False)
