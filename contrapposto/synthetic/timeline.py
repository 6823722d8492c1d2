"""Who does what when: actions cut into bouts of stepping or gesturing, and the weights that blend them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.synthetic import gestures_arms, gestures_blows, gestures_body
from contrapposto.synthetic.curves import Array, minimum_jerk
from contrapposto.synthetic.gait import GAITS, Gait, mirrored
from contrapposto.synthetic.gestures import Gesture

GESTURES: Mapping[str, Gesture] = {**gestures_arms.TABLE, **gestures_blows.TABLE, **gestures_body.TABLE}
_MIRRORED = {"sidestep right": "sidestep left", "turn right": "turn left"}
_TURNS = ("turn left", "turn right")
ACTIONS: tuple[str, ...] = tuple(sorted({*GAITS, *GESTURES, *_MIRRORED}))


@dataclass(frozen=True)
class Bout:
    """One uninterrupted gait or gesture; `angle` is the whole turn of a turn on the spot, degrees."""

    start: float
    end: float
    gait: Gait | None = None
    gesture: Gesture | None = None
    angle: float = 0.0

    @property
    def length(self) -> float:
        """Seconds."""
        return self.end - self.start


def gait_of(action: str) -> Gait | None:
    """The gait of an action that moves on foot, None for a gesture."""
    if action in _MIRRORED:
        return mirrored(GAITS[_MIRRORED[action]])
    return GAITS.get(action)


def bouts_of(actions: Sequence[tuple[str, float]]) -> list[Bout]:
    """Cut (action, seconds) into bouts, in order and without gaps."""
    bouts: list[Bout] = []
    start, seated = 0.0, bool(actions) and actions[0][0] == "stand up"
    for action, seconds in actions:
        end = start + seconds
        begin = start
        if seated and action not in ("sit down", "stand up"):
            begin = start + min(2.1, 0.5 * seconds)
            bouts.append(Bout(start, begin, gesture=GESTURES["stand up"]))
        elif not seated and action == "stand up":
            begin = start + min(2.1, 0.5 * seconds)
            bouts.append(Bout(start, begin, gesture=GESTURES["sit down"]))
        if action in _TURNS:
            bouts += _turns(action, begin, end)
        else:
            gait = gait_of(action)
            gesture = None if gait else GESTURES[action]
            if gesture and seated and action == "sit down":
                gesture = gesture.held()
            bouts.append(Bout(begin, end, gait=gait, gesture=gesture))
        seated = action == "sit down"
        start = end
    return bouts


def _turns(action: str, start: float, end: float) -> list[Bout]:
    """Quarter turns with pauses."""
    gait = gait_of(action)
    assert gait is not None
    count = max(1, round((end - start) / 2.5))
    cell = (end - start) / count
    pause = min(0.35, 0.15 * cell)
    sign = 1.0 if gait.turn > 0 else -1.0
    bouts = []
    for number in range(count):
        begin = start + number * cell
        quarter = sign * 90.0 * min(1.0, (cell - 2 * pause) / 1.1)
        bouts.append(Bout(begin, begin + pause, gesture=GESTURES["stand"]))
        bouts.append(Bout(begin + pause, begin + cell - pause, gait=gait, angle=quarter))
        bouts.append(Bout(begin + cell - pause, begin + cell, gesture=GESTURES["stand"]))
    return bouts


def ramp(gait: Gait) -> float:
    """Seconds that a person takes to get from standing to this gait."""
    return 0.55 + 0.28 * (abs(gait.forward) + abs(gait.left))


def weights(bouts: Sequence[Bout], times: Array) -> Array:
    """(F, len(bouts)) weights of the bouts, which sum to one; the first and the last one reach beyond the clip."""
    rises = [np.ones(len(times))]
    latest = -np.inf
    for before, after in itertools.pairwise(bouts):
        low, high = _change(before, after)
        low, high = max(low, latest + 1e-3), max(high, latest + 2e-2)
        latest = low
        rises.append(minimum_jerk((times - low) / (high - low)))
    rises.append(np.zeros(len(times)))
    result = np.maximum(np.stack([a - b for a, b in itertools.pairwise(rises)], 1), 0)
    return result / result.sum(1, keepdims=True)


def _change(before: Bout, after: Bout) -> tuple[float, float]:
    """Seconds at which the change from one bout to the next begins and ends."""
    at = after.start
    room = 0.45 * min(before.length, after.length)
    if before.gait and after.gait:
        half = min(0.55, room)
        return at - half, at + half
    # A body starts moving after its label begins, and has nearly stopped when the next label begins.
    if before.gait:
        span = min(ramp(before.gait), 0.45 * before.length)
        return at - 1.08 * span, at - 0.08 * span
    if after.gait:
        span = min(ramp(after.gait), 0.45 * after.length)
        return at + 0.05 * span, at + 1.05 * span
    half = min(0.3, room)
    return at - half, at + half
