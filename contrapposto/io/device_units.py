"""Units and axes of a table of devices, found from its first rows: time, length, quaternions, sides, vertical."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.checks import note
from contrapposto.errors import InputError
from contrapposto.io.devices import Convention

_TIMES = {"milliseconds": 1e-3, "microseconds": 1e-6, "ticks of 100 ns": 1e-7, "nanoseconds": 1e-9}
_LENGTHS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254, "feet": 0.3048}
_HEAD = (0.4, 2.4)  # metres above the floor, sitting children and tall people included
_APART = (0.12, 1.3)  # metres from the head to a hand, median over a recording
_STEP = (1 / 1000, 1 / 4)  # seconds between frames of a recording
_USUAL_STEP, _USUAL_HEAD, _USUAL_APART = 1 / 72, 1.5, 0.6  # seconds and metres; the nearest unit is taken


@dataclass(frozen=True)
class Units:
    """What turns numbers of a table into seconds, metres and unit quaternions.

    Args:
        time: seconds per unit.
        length: metres per unit.
        exchanged: whether the columns of left and right are exchanged.
        quaternion: usual length of the quaternions; one of quite another length is damaged.
    """

    time: float = 1.0
    length: float = 1.0
    exchanged: bool = False
    quaternion: float = 1.0

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Rows of time, 21 numbers (position, wxyz of head, left, right) and three flags, in seconds and metres."""
        block = block.copy()
        block[:, 0] *= self.time
        devices = block[:, 1:22].reshape(-1, 3, 7)
        devices[..., :3] *= self.length
        lengths = np.linalg.norm(devices[..., 3:], axis=-1, keepdims=True)
        whole = np.abs(lengths / self.quaternion - 1) < 0.1
        devices[..., 3:] /= np.where(whole, lengths, np.nan)
        if self.exchanged:
            devices[:, [1, 2]] = devices[:, [2, 1]]
            block[:, [23, 24]] = block[:, [24, 23]]
        block[:, 1:22] = devices.reshape(-1, 21)
        return block


def find_units(block: np.ndarray, convention: Convention) -> Units:
    """The units of the first rows of a table; what is unusual is reported (`io.checks.note`).

    Args:
        block: rows as `Units.apply` takes them.
        convention: the axes that the rows are said to have.

    Raises:
        InputError: numbers that no recording of a person has in any unit, or other axes than stated.
    """
    time = _time_unit(block[:, 0])
    devices = block[:, 1:22].reshape(-1, 3, 7)
    flags = (
        (block[:, 22:] > 0) & np.isfinite(devices).all(axis=-1) & (np.abs(devices[..., :3]).max(axis=-1) > 0)
    )
    whole = devices[flags.all(axis=1)]
    if len(whole) < 10:
        return Units(time)
    usual = float(np.median(np.linalg.norm(whole[..., 3:], axis=-1)))
    if abs(usual - 1) > 0.05:
        note(f"quaternions have the length {usual:.3g}: they are scaled to 1")
    vertical = 1 if convention.y_up else 2
    _check_vertical(whole, vertical)
    length = _length_unit(whole, vertical)
    return Units(time, length, _exchanged(whole, convention), usual if usual > 1e-3 else 1.0)


def _time_unit(times: np.ndarray) -> float:
    steps = np.diff(times)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if not len(steps):
        return 1.0
    step = float(np.median(steps))
    if step <= _STEP[1]:
        return 1.0
    fits = {name: unit for name, unit in _TIMES.items() if _STEP[0] <= step * unit <= _STEP[1]}
    if not fits:
        return 1.0
    name = min(fits, key=lambda name: abs(np.log(step * fits[name] / _USUAL_STEP)))
    note(f"times are {name}: {step:g} from one frame to the next")
    return fits[name]


def _length_unit(devices: np.ndarray, vertical: int) -> float:
    head = float(np.median(devices[:, 0, vertical]))
    apart = float(np.median(np.linalg.norm(devices[:, 1:, :3] - devices[:, :1, :3], axis=-1)))
    fits = [
        name
        for name, unit in _LENGTHS.items()
        if _HEAD[0] <= head * unit <= _HEAD[1] and _APART[0] <= apart * unit <= _APART[1]
    ]
    if "metres" in fits:
        return 1.0
    if fits:
        name = min(fits, key=lambda name: _strangeness(head * _LENGTHS[name], apart * _LENGTHS[name]))
        note(f"positions are in {name}: the head is {head:.4g} above the floor")
        return _LENGTHS[name]
    if _APART[0] <= apart <= _APART[1]:
        return 1.0  # the floor is elsewhere
    raise InputError(
        "The positions are not those of a person, in any unit of length.",
        found=f"a head {head:.4g} above the floor, hands {apart:.4g} away from it (medians)",
        expected="metres, centimetres, millimetres, inches or feet",
    )


def _strangeness(head: float, apart: float) -> float:
    """How far a height of the head and a distance of the hands from it, in metres, are from the usual ones."""
    return float(abs(np.log(head / _USUAL_HEAD)) + abs(np.log(apart / _USUAL_APART)))


def _check_vertical(devices: np.ndarray, vertical: int) -> None:
    """Refuse axes in which the head is not above the hands, where another axis has it there."""
    above = np.median(devices[:, :1, :3] - devices[:, 1:, :3], axis=(0, 1))
    apart = float(np.median(np.linalg.norm(devices[:, 1:, :3] - devices[:, :1, :3], axis=-1)))
    height, spread = np.median(devices[:, 0, :3], axis=0), np.ptp(devices[:, 0, :3], axis=0)
    other = 3 - vertical  # y where z is said to be up, z where y is
    stands = above[other] > 0.25 * apart and height[other] > 1.5 * apart and spread[other] < height[other]
    if stands and above[vertical] < 0.1 * apart:
        axis, stated = "xyz"[other], "xyz"[vertical]
        raise InputError(
            f"{axis} points up in this recording, not {stated}.",
            found=f"the head {above[other]:.3g} above the hands along {axis}, {above[vertical]:.3g} along {stated}",
            expected="the axes of axes=, or of this kind of file",
            fix="leave task.axes out: axes are found" if axis == "y" else "task.axes=joints",
        )


def _exchanged(devices: np.ndarray, convention: Convention) -> bool:
    """Whether the left hand is on the right of the head all the time, as the head's own axes show."""
    quaternions = np.where(np.isfinite(devices[..., 3:]), devices[..., 3:], 0.0)
    rotations, positions = convention.apply(
        quaternions / np.maximum(np.linalg.norm(quaternions, axis=-1, keepdims=True), 1e-9), devices[..., :3]
    )
    left = rotations[:, 0, :, 0] * [1.0, 1.0, 0.0]  # the body's left, level with the floor
    left = left / np.maximum(np.linalg.norm(left, axis=1, keepdims=True), 1e-9)
    apart = ((positions[:, 1] - positions[:, 2]) * left).sum(axis=1)
    width = float(np.median(np.linalg.norm(positions[:, 1] - positions[:, 2], axis=1)))
    if float(np.mean(apart)) > -0.35 * width or float((apart < 0).mean()) < 0.9:
        return False
    note(
        f"left and right are exchanged: the left hand is {-np.median(apart):.2g} to the right of the right hand"
    )
    return True
