"""Marks for tracked devices in images: a ball and three axes each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from contrapposto.io.devices import DeviceTrack
from contrapposto.render.scene import Capsules

_SEEN, _LOST = (0.90, 0.47, 0.24), (0.6, 0.6, 0.6)
_AXES = ((0.83, 0.25, 0.22), (0.32, 0.62, 0.30), (0.24, 0.42, 0.78))
_LENGTH, _THICKNESS, _BALL = 0.17, 0.009, 0.04  # metres


def tracker_marks(track: DeviceTrack) -> Callable[[float], Sequence[Capsules]]:
    """A function of seconds that gives the marks of the frame at or after it; devices not seen are grey."""
    rotations, positions = track.rotations.numpy(), track.positions.numpy()

    def at(seconds: float) -> Sequence[Capsules]:
        frame = min(int(np.searchsorted(track.times, seconds - 1e-6)), len(track) - 1)
        place, turns = positions[frame], rotations[frame]
        # Columns of a rotation are its axes; the balls come first.
        tips = place[:, None] + _LENGTH * turns.transpose(0, 2, 1)
        colors = [_SEEN if seen else _LOST for seen in track.tracked[frame]]
        return [
            Capsules(
                np.concatenate([place, np.repeat(place, 3, axis=0)]),
                np.concatenate([place, tips.reshape(-1, 3)]),
                np.array([_BALL] * 3 + [_THICKNESS] * 9),
                np.array([*colors, *(_AXES * 3)]),
                casts=False,
            )
        ]

    return at
