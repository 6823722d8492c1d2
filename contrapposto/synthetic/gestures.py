"""Gestures: keyframes of channels over a standing figure, seconds at natural tempo.

A gesture is a table of channels with (time, value) keys; values are added to the standing pose and every table begins
and ends at zero, so that gestures follow each other and repeat. `left_*` and `right_*` as in `rig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.synthetic.curves import Array, keyed
from contrapposto.synthetic.rig import CHANNELS, INDEX, both_sides, pose

Keys = Sequence[tuple[float, float]]
Stance = tuple[float, float, float]
NORMAL: Stance = (0.0, 0.0, 0.0)

STANDING = pose(
    {"pelvis_pitch": 2.0, "spine_pitch": 2.0, "head_pitch": 4.0}
    | both_sides({"arm_side": 9.0, "arm_forward": -1.0, "arm_twist": 16.0, "elbow": 17.0})
    | both_sides({"forearm": 14.0, "wrist": 6.0, "wrist_side": 4.0, "curl": 32.0})
)


@dataclass(frozen=True)
class Gesture:
    """A table of keys.

    Args:
        length: seconds at natural tempo, until the pose is the standing one again.
        keys: per channel, (second, value) in addition to the standing pose.
        sigma: seconds of rounding; small for blows, larger for slow movements.
        rest: seconds of standing between repetitions.
        stays: the gesture begins or ends in another posture (sitting): it is done once, its ends are held.
        physical: it flies; gravity sets its tempo, not the style, and a faster one is lower.
        touching: hands meet, so its size is not varied.
        stance: per foot, metres outward and forward and degrees of toe-out in addition to the usual stance.
    """

    length: float
    keys: Mapping[str, Keys]
    sigma: float = 0.06
    rest: float = 0.5
    stays: bool = False
    physical: bool = False
    stance: tuple[Stance, Stance] = (NORMAL, NORMAL)
    touching: bool = False

    def held(self) -> Gesture:
        """Its last pose, from the beginning to the end."""
        return replace(self, keys={name: [(0.0, values[-1][1])] for name, values in self.keys.items()})

    def channels(self, times: Array, rate: float, tempo: float, amplitude: float) -> Array:
        """(F, C) additions at (F,) seconds from the start, done `tempo` times as fast and `amplitude` times as large."""
        out = np.zeros((len(times), len(CHANNELS)))
        for name, keys in self.keys.items():
            lag = _LAG.get(name.split("_", 1)[1] if name.startswith(("left", "right")) else name, 0.0)
            scaled = [(max(t + lag * (0 < t < self.length), 0) / tempo, v) for t, v in keys]
            size = amplitude if _scales(name) and not self.touching else 1.0
            if self.physical and name.endswith("_up"):
                size = 1.0 / tempo**2  # free fall: heights go with the square of times
            out[:, INDEX[name]] = size * keyed(times, scaled, self.sigma / tempo, rate)
        return out


# Distal joints follow proximal ones: without a lag a figure moves like a machine.
_LAG = {
    "elbow": 0.03,
    "forearm": 0.05,
    "wrist": 0.07,
    "wrist_side": 0.06,
    "curl": 0.05,
    "head_pitch": -0.04,
    "head_yaw": -0.08,
}


def _scales(name: str) -> bool:
    """Feet, balance and the hands' shape keep their size; postures of the trunk and arms are larger or smaller."""
    return not any(
        part in name for part in ("foot", "support", "balance", "curl", "pelvis_up", "knee", "forearm")
    )


def hold(up: float, down: float, value: float, rise: float = 0.55) -> Keys:
    """Zero, `value` from `up` to `down` seconds, zero; `rise` seconds for each change."""
    return [(up - rise, 0.0), (up, value), (down, value), (down + rise, 0.0)]


def beat(start: float, stop: float, period: float, mean: float, size: float, rise: float = 0.5) -> Keys:
    """Swing to and fro around `mean` from `start` to `stop` seconds."""
    count = max(round((stop - start) / (period / 2)), 1)
    turns = [(start + period / 2 * i, mean + (size if i % 2 == 0 else -size)) for i in range(count + 1)]
    return [(start - rise, 0.0), *turns, (turns[-1][0] + rise, 0.0)]
