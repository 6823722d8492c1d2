"""Axes, units and sides of live packets, found from the first of them; and devices where none can be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch

from contrapposto.checks import naming
from contrapposto.errors import InputError
from contrapposto.io.device_turns import find_recorded
from contrapposto.io.device_units import Units, find_units
from contrapposto.io.devices import CONVENTIONS, Convention, DeviceTrack, make_track
from contrapposto.io.packets import Packet, as_table
from contrapposto.io.plausible import doubtful

_FIRST = 30  # packets that are looked at before the first is tracked


class UnitLearner:
    """Turns packets into tracks in metres, seconds and z up.

    Args:
        convention: of the axes; None: found.

    Attributes:
        message: what is wrong with the first packets, if they are those of no person.
    """

    def __init__(self, convention: Convention | None) -> None:
        self.convention = convention or CONVENTIONS["joints"]
        self.message = ""
        self._stated = convention is not None
        self._units: Units | None = None
        self._held: list[np.ndarray] = []

    def add(self, packet: Packet) -> list[DeviceTrack]:
        """Tracks of one frame that are ready now: none while the first packets are looked at, then all of these."""
        self._held.append(as_table(np.array([[packet.time, *packet.poses.ravel()]])))
        return self.rest() if self._units is not None or len(self._held) >= _FIRST else []

    def rest(self) -> list[DeviceTrack]:
        """Tracks of the packets that are held back."""
        held, self._held = self._held, []
        if held and self._units is None:
            self._learn(np.concatenate(held))
        return [self._track(row) for row in held]

    def _learn(self, block: np.ndarray) -> None:
        self.message = ""
        try:
            with naming("packets"):
                if not self._stated:
                    self.convention = find_recorded(block, "joints")
                self._units = find_units(block, self.convention)
        except InputError as error:  # tried again with the next packets
            self.message = f"{error.what} Found: {error.found}."

    def _track(self, row: np.ndarray) -> DeviceTrack:
        row = row if self._units is None else self._units.apply(row)
        poses = row[:, 1:22].reshape(-1, 3, 7)
        return make_track(poses[..., 3:], poses[..., :3], row[:, 0], self.convention)


class Limits:
    """Takes a device that cannot be where it is said to be, or jumped there, for one that is not tracked.

    Attributes:
        counts: how often, by kind.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._before: DeviceTrack | None = None

    def apply(self, track: DeviceTrack) -> np.ndarray:
        """(3,) which devices of a track of one frame are tracked and may be."""
        both = track if self._before is None else _joined(self._before, track)
        bad = {kind: frames[-1] & track.tracked[0] for kind, frames in doubtful(both).items()}
        self.counts.update({kind: int(devices.sum()) for kind, devices in bad.items() if devices.any()})
        self._before = track
        return np.asarray(track.tracked[0] & ~np.any(list(bad.values()), axis=0))


def _joined(first: DeviceTrack, second: DeviceTrack) -> DeviceTrack:
    return DeviceTrack(
        torch.cat([first.rotations, second.rotations]),
        torch.cat([first.positions, second.positions]),
        np.concatenate([first.times, second.times]),
        np.concatenate([first.tracked, second.tracked]),
    )
