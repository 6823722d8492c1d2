"""Finding out about the wearer while packets come: T-pose on demand, size from the head's height."""

from __future__ import annotations

from math import ceil

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.sage.live.calibration import (
    Calibration,
    calibrate_t_pose,
    scale_of_head,
    scale_of_height,
    standing_height,
)

_COUNTDOWN, _HOLD = 3.0, 1.0  # seconds until the T-pose, and for which it is held
_FEWEST, _LONGEST = 5, 4.0  # packets of a T-pose, and the seconds in which they have to come
_STANDING = 2.0  # seconds in which the wearer just stands, for the size


class Wearer:
    """Size of a wearer and the way the devices are worn.

    Args:
        height: metres from sole to crown, `auto` (from the height of the head while standing in the first two
            seconds, or in the T-pose), or None: everybody has the default size, as in the original.
        hands_known: whether the recorder's convention states how controllers are held; otherwise hands count only once
            there was a T-pose.
    """

    def __init__(self, height: float | str | None = None, hands_known: bool = True) -> None:
        self.scale = 1.0
        self.calibration: Calibration | None = None
        self.hands_known = hands_known
        self._auto = check_height(height) == "auto"
        self._stated = scale_of_height(float(height)) if height is not None and not self._auto else None
        if self._stated is not None:
            self.scale = self._stated
        self.known = not self._auto
        self._begin: float | None = None
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []
        self._heights: list[tuple[float, float]] = []
        self._message = ""

    def ask(self, now: float) -> None:
        """A T-pose is to be taken, some seconds from `now` on."""
        self._begin, self._frames = now + _COUNTDOWN, []

    def look(self, now: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray) -> bool:
        """Look at a packet's poses; returns whether size or calibration have just changed.

        Args:
            now: seconds, of any clock.
            rotations: (3, 3, 3) of the devices, z up.
            positions: (3, 3) metres.
            seen: (3,) which are tracked.
        """
        if self._begin is not None:
            return self._watch_t_pose(now, rotations, positions, seen)
        if not self.known and seen[0]:
            self._heights.append((now, float(positions[0, 2])))
            if now - self._heights[0][0] >= _STANDING:
                return self._measure(standing_height(np.array([height for _, height in self._heights])))
        return False

    def describe(self) -> str:
        """For the page."""
        size = f"size {self.scale:.2f} of the default figure" if self.scale != 1.0 else ""
        waiting = "" if self.hands_known else "the hands count once there was a T-pose"
        return "  \n".join(text for text in (self._message, waiting, size) if text)

    def _watch_t_pose(
        self, now: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray
    ) -> bool:
        begin = self._begin or now
        if now < begin:
            self._message = f"**T-pose in {ceil(begin - now)} s**"
            return False
        if seen.all():
            self._frames.append((rotations.copy(), positions.copy()))
        if now < begin + (_HOLD if len(self._frames) >= _FEWEST else _LONGEST):
            self._message = "**hold the T-pose**"
            return False
        self._begin = None
        return self._calibrate()

    def _calibrate(self) -> bool:
        if len(self._frames) < _FEWEST:
            self._message = "T-pose: not all three devices were tracked"
            return False
        rotations, positions = (np.stack(part) for part in zip(*self._frames))
        try:
            if self._auto:
                self.scale = scale_of_head(float(np.median(positions[:, 0, 2])))
            self.calibration = calibrate_t_pose(rotations, positions, self._stated)
        except InputError as error:
            self._message = f"{error.what} {error.found}"
            return False
        self.hands_known = self.known = True
        self._message = "calibrated"
        return True

    def _measure(self, height: float) -> bool:
        try:
            self.scale, self.known = scale_of_head(height), True
        except InputError as error:
            self._message, self._heights = f"{error.what} {error.found}", []
            return False
        return True


def check_height(height: float | str | None) -> float | str | None:
    """`height` if it is a number, `auto` or None.

    Raises:
        InputError: anything else.
    """
    if (
        height is None
        or height == "auto"
        or (isinstance(height, int | float) and not isinstance(height, bool))
    ):
        return height
    raise InputError(f"height={height} cannot be used.", expected="metres from sole to crown, auto, or null")
