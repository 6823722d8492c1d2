"""Gestures: keyframes of channels over a standing figure, seconds at natural tempo.

A gesture is a table of channels with (time, value) keys; values are added to the standing pose and every table begins
and ends at zero, so that gestures follow each other and repeat. `left_*` and `right_*` as in `rig`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.synth.curves import Array, keyed
from contrapposto.synth.rig import CHANNELS, INDEX, mirrored_name, pose

Keys = Sequence[tuple[float, float]]
Stance = tuple[float, float, float]
NORMAL: Stance = (0.0, 0.0, 0.0)

STANDING = pose(
    {
        "pelvis_pitch": 2.0,
        "spine_pitch": 2.0,
        "head_pitch": 4.0,
        **{
            f"{side}_{name}": value
            for side in ("left", "right")
            for name, value in {
                "arm_side": 9.0,
                "arm_forward": -1.0,
                "arm_twist": 16.0,
                "elbow": 17.0,
                "forearm": 14.0,
                "wrist": 6.0,
                "wrist_side": 4.0,
                "curl": 32.0,
            }.items()
        },
    }
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
        physical: it flies; gravity sets its tempo, not the style.
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

    def mirrored(self) -> Gesture:
        """Left and right exchanged."""
        keys: dict[str, Keys] = {}
        for name, values in self.keys.items():
            other, sign = mirrored_name(name)
            keys[other] = [(t, sign * v) for t, v in values]
        return replace(self, keys=keys, stance=self.stance[::-1])

    def channels(self, times: Array, rate: float, tempo: float, amplitude: float) -> Array:
        """(F, C) additions at (F,) seconds from the start, done `tempo` times as fast and `amplitude` times as large."""
        out = np.zeros((len(times), len(CHANNELS)))
        for name, keys in self.keys.items():
            lag = _LAG.get(name.split("_", 1)[1] if name.startswith(("left", "right")) else name, 0.0)
            scaled = [(max(t + lag * (0 < t < self.length), 0) / tempo, v) for t, v in keys]
            size = amplitude if _scales(name) and not self.touching else 1.0
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


def _hold(up: float, down: float, value: float, rise: float = 0.55) -> Keys:
    """Zero, `value` from `up` to `down` seconds, zero; `rise` seconds for each change."""
    return [(up - rise, 0.0), (up, value), (down, value), (down + rise, 0.0)]


def _beat(start: float, stop: float, period: float, mean: float, size: float, rise: float = 0.5) -> Keys:
    """Swing to and fro around `mean` from `start` to `stop` seconds."""
    count = max(round((stop - start) / (period / 2)), 1)
    turns = [(start + period / 2 * i, mean + (size if i % 2 == 0 else -size)) for i in range(count + 1)]
    return [(start - rise, 0.0), *turns, (turns[-1][0] + rise, 0.0)]


def _both(keys: Mapping[str, Keys]) -> dict[str, Keys]:
    """The same on both sides; names without a side as they are."""
    out: dict[str, Keys] = {}
    for name, values in keys.items():
        if f"left_{name}" in INDEX:
            out[f"left_{name}"] = out[f"right_{name}"] = values
        else:
            out[name] = values
    return out


_WAVE = {
    "arm_forward": _hold(0.7, 2.45, 28, 0.6),
    "arm_side": _hold(0.7, 2.45, 46, 0.6),
    "arm_twist": _beat(0.75, 2.4, 0.55, -84, 9, 0.65),
    "elbow": _beat(0.75, 2.4, 0.55, 92, 22, 0.65),
    "forearm": _hold(0.7, 2.4, -10),
    "wrist_side": _beat(0.75, 2.4, 0.55, -4, 15, 0.6),
    "curl": _hold(0.7, 2.4, -24),
    "wrist": _hold(0.7, 2.4, -12),
}


def _wave(sides: Sequence[str]) -> Gesture:
    keys: dict[str, Keys] = {f"{side}_{name}": values for side in sides for name, values in _WAVE.items()}
    lean = {"left": -1.0, "right": 1.0}
    if len(sides) == 1:
        sign = lean[sides[0]]
        keys["support"] = _hold(0.8, 2.4, 0.25 * sign)
        keys["spine_roll"] = _hold(0.7, 2.4, -2.5 * sign)
        keys["head_roll"] = _hold(0.7, 2.4, 4.0 * sign)
    keys["head_pitch"] = _hold(0.7, 2.4, -5)
    return Gesture(3.0, keys, rest=0.8)


def _raise(sides: Sequence[str]) -> Gesture:
    table: dict[str, Keys] = {
        "arm_forward": _hold(0.95, 2.0, 150, 0.9),
        "arm_side": _hold(0.95, 2.0, 8, 0.9),
        "arm_twist": _hold(0.95, 2.0, 44, 0.9),
        "elbow": _hold(0.95, 2.0, -8, 0.8),
        "forearm": _hold(0.95, 2.0, 4, 0.8),
        "wrist": _hold(0.95, 2.0, -6, 0.8),
        "curl": _hold(0.95, 2.0, -22, 0.8),
        "shrug": _hold(0.95, 2.0, 4, 0.8),
    }
    keys = {f"{side}_{name}": values for side in sides for name, values in table.items()}
    keys["spine_pitch"] = _hold(1.0, 2.0, -5, 0.9)
    keys["head_pitch"] = _hold(1.0, 2.0, -8, 0.9)
    if len(sides) == 1:
        keys["spine_roll"] = _hold(1.0, 2.0, 5 if sides[0] == "left" else -5, 0.9)
    return Gesture(2.9, keys, sigma=0.08)


_CLAP_BEATS = [0.75 + 0.36 * i for i in range(7)]


def _clap() -> Gesture:
    twist = [
        (0.15, 0.0),
        *((t + d, v) for t in _CLAP_BEATS for d, v in ((0.0, 14.5), (0.18, -7.0))),
        (3.55, 0.0),
    ]
    elbow = [(0.15, 0.0), (0.75, 70.0), (3.0, 70.0), (3.55, 0.0)]
    return Gesture(
        3.6,
        _both(
            {
                "arm_forward": _hold(0.75, 3.0, 34, 0.6),
                "arm_side": _hold(0.75, 3.0, -2, 0.6),
                "arm_twist": twist,
                "elbow": elbow,
                "forearm": _hold(0.75, 3.0, -24, 0.6),
                "wrist": _hold(0.75, 3.0, -8, 0.5),
                "curl": _hold(0.75, 3.0, -22, 0.5),
                "head_pitch": _hold(0.8, 3.0, 2),
                "reach": _hold(0.75, 3.0, 6, 0.6),
            }
        ),
        sigma=0.03,
        rest=0.6,
        touching=True,
    )


_SQUAT = Gesture(
    2.5,
    _both(
        {
            "pelvis_up": [(0.1, 0), (1.0, -0.40), (1.25, -0.40), (2.3, 0)],
            "pelvis_pitch": [(0.1, 0), (1.0, 22), (1.25, 22), (2.3, 0)],
            "spine_pitch": [(0.1, 0), (1.0, 14), (1.25, 14), (2.3, 0)],
            "head_pitch": [(0.1, 0), (1.0, 10), (1.25, 10), (2.3, 0)],
            "knee_out": [(0.1, 0), (1.0, 12), (1.25, 12), (2.3, 0)],
            "arm_forward": [(0.1, 0), (0.95, 116), (1.3, 116), (2.3, 0)],
            "arm_side": [(0.1, 0), (0.95, 2), (1.3, 2), (2.3, 0)],
            "elbow": [(0.1, 0), (0.95, -8), (1.3, -8), (2.3, 0)],
            "forearm": [(0.1, 0), (0.95, 35), (1.3, 35), (2.3, 0)],
        }
    ),
    sigma=0.09,
    rest=0.25,
    stance=((0.045, 0.0, 8.0), (0.045, 0.0, 8.0)),
)

_BOW = Gesture(
    3.0,
    _both(
        {
            "pelvis_pitch": _hold(1.0, 1.7, 34, 0.9),
            "spine_pitch": _hold(1.0, 1.7, 22, 0.9),
            "head_pitch": _hold(1.0, 1.7, 62, 0.9),
            "arm_forward": _hold(1.05, 1.7, 30, 0.9),
            "arm_side": _hold(1.05, 1.7, -1, 0.9),
            "elbow": _hold(1.05, 1.7, -8, 0.8),
            "curl": _hold(0.6, 2.2, -14, 0.5),
        }
    ),
    sigma=0.09,
)

_KICK = Gesture(
    1.9,
    {
        "support": [(0.0, 0), (0.42, 0.92), (1.25, 0.92), (1.75, 0)],
        "right_foot_forward": [
            (0.2, 0),
            (0.42, -0.16),
            (0.62, 0.18),
            (0.80, 0.80),
            (0.86, 0.80),
            (1.06, 0.20),
            (1.45, 0),
        ],
        "right_foot_up": [
            (0.2, 0),
            (0.42, 0.20),
            (0.62, 0.48),
            (0.80, 0.80),
            (0.86, 0.80),
            (1.06, 0.42),
            (1.45, 0),
        ],
        "right_foot_out": [(0.2, 0), (0.5, -0.06), (1.0, -0.06), (1.45, 0)],
        "right_foot_tilt": [
            (0.2, 0),
            (0.42, -55),
            (0.62, -25),
            (0.80, 22),
            (0.90, 22),
            (1.08, -28),
            (1.40, 0),
        ],
        "pelvis_pitch": [(0.1, 0), (0.45, 4), (0.82, -20), (1.2, -2), (1.7, 0)],
        "pelvis_yaw": [(0.1, 0), (0.45, -10), (0.82, 18), (1.25, 4), (1.7, 0)],
        "pelvis_up": [(0.1, 0), (0.45, -0.03), (0.82, -0.012), (1.25, -0.025), (1.7, 0)],
        "spine_pitch": [(0.1, 0), (0.45, -2), (0.82, 14), (1.2, 6), (1.7, 0)],
        "spine_yaw": [(0.1, 0), (0.45, 12), (0.82, -18), (1.25, -4), (1.7, 0)],
        "head_pitch": [(0.1, 0), (0.8, 6), (1.6, 0)],
        "left_arm_forward": [(0.05, 0), (0.45, 18), (0.82, 46), (1.2, 30), (1.8, 0)],
        "left_arm_side": [(0.05, 0), (0.45, 16), (0.82, 10), (1.8, 0)],
        "left_elbow": [(0.05, 0), (0.45, 60), (0.82, 50), (1.2, 55), (1.8, 0)],
        "right_arm_forward": [(0.05, 0), (0.45, 30), (0.82, -32), (1.2, -6), (1.8, 0)],
        "right_arm_side": [(0.05, 0), (0.45, 12), (0.82, 24), (1.8, 0)],
        "right_elbow": [(0.05, 0), (0.45, 62), (0.82, 28), (1.2, 40), (1.8, 0)],
        "left_curl": _hold(0.4, 1.3, 45, 0.3),
        "right_curl": _hold(0.4, 1.3, 45, 0.3),
    },
    sigma=0.035,
    rest=0.5,
)

_GUARD_ON, _GUARD_OFF = (0.45, 0.35), (2.3, 0.5)


def _punch() -> Gesture:
    def guard(value: float, *hits: tuple[float, float]) -> Keys:
        """Into the guard, through the hits (time, value), out of it."""
        keys: list[tuple[float, float]] = [(0.1, 0.0), (0.5, value)]
        for time, hit in hits:
            keys += [(time - 0.20, value), (time, hit), (time + 0.06, hit), (time + 0.34, value)]
        return [*keys, (2.35, value), (2.9, 0.0)]

    table: dict[str, Keys] = {
        "left_arm_forward": guard(32, (0.95, 84)),
        "left_arm_side": guard(4, (0.95, 2)),
        "left_arm_twist": guard(14, (0.95, 30)),
        "left_elbow": guard(98, (0.95, -4)),
        "left_forearm": guard(0, (0.95, 60)),
        "left_reach": guard(2, (0.95, 16)),
        "right_arm_forward": guard(26, (1.65, 88)),
        "right_arm_side": guard(2, (1.65, 0)),
        "right_arm_twist": guard(14, (1.65, 30)),
        "right_elbow": guard(104, (1.65, -6)),
        "right_forearm": guard(0, (1.65, 60)),
        "right_reach": guard(2, (1.65, 18)),
        "left_curl": guard(62),
        "right_curl": guard(62),
        "left_wrist": guard(-6),
        "right_wrist": guard(-6),
        "pelvis_yaw": guard(-14, (0.95, -20), (1.65, 16)),
        "spine_yaw": guard(-6, (0.95, -16), (1.65, 22)),
        "head_yaw": guard(0),
        "spine_pitch": guard(7, (1.65, 10)),
        "head_pitch": guard(6),
        "pelvis_up": guard(-0.045, (1.65, -0.06)),
        "support": guard(0.0, (0.95, 0.25), (1.65, 0.4)),
        "right_foot_tilt": guard(0, (1.65, -24)),
        "right_foot_turn": guard(0, (1.65, -16)),
    }
    return Gesture(3.0, table, sigma=0.028, rest=0.3, stance=((0.0, 0.16, -4.0), (0.02, -0.14, 14.0)))


_THROW = Gesture(
    2.4,
    {
        "right_arm_side": [(0.1, 0), (0.75, 78), (1.02, 70), (1.28, 28), (1.55, 6), (2.2, 0)],
        "right_arm_forward": [(0.1, 0), (0.75, -12), (1.02, 62), (1.28, 70), (1.55, 36), (2.2, 0)],
        "right_arm_twist": [(0.1, 0), (0.78, -110), (1.02, -70), (1.25, 5), (1.55, 20), (2.2, 0)],
        "right_elbow": [(0.1, 0), (0.78, 80), (0.98, 70), (1.18, 2), (1.5, 14), (2.2, 0)],
        "right_wrist": [(0.2, 0), (0.8, -32), (1.05, -20), (1.18, 25), (1.6, 8), (2.2, 0)],
        "right_curl": [(0.1, 0), (0.4, 26), (1.05, 26), (1.16, -20), (1.7, 0)],
        "left_arm_forward": [(0.1, 0), (0.72, 66), (1.2, 4), (2.1, 0)],
        "left_arm_side": [(0.1, 0), (0.72, 16), (1.2, 14), (2.1, 0)],
        "left_elbow": [(0.1, 0), (0.72, 12), (1.2, 48), (2.1, 0)],
        "pelvis_yaw": [(0.1, 0), (0.72, -32), (1.15, 16), (1.5, 12), (2.2, 0)],
        "spine_yaw": [(0.1, 0), (0.75, -28), (1.2, 24), (1.5, 16), (2.2, 0)],
        "spine_pitch": [(0.1, 0), (0.72, -8), (1.2, 18), (1.55, 14), (2.2, 0)],
        "spine_roll": [(0.1, 0), (0.75, 8), (1.15, -8), (2.2, 0)],
        "pelvis_pitch": [(0.1, 0), (0.7, -2), (1.25, 10), (2.2, 0)],
        "head_yaw": [(0.1, 0), (0.7, -4), (2.2, 0)],
        "head_pitch": [(0.1, 0), (0.7, -4), (1.3, 8), (2.2, 0)],
        "support": [(0.1, 0), (0.65, -0.75), (1.2, 0.85), (1.5, 0.8), (2.2, 0)],
        "pelvis_up": [(0.1, 0), (0.65, -0.03), (1.2, -0.06), (2.2, 0)],
        "right_foot_tilt": [(0.75, 0), (1.2, -40), (1.5, -38), (2.1, 0)],
    },
    sigma=0.03,
    rest=0.4,
    stance=((0.0, 0.24, 0.0), (0.02, -0.14, 22.0)),
)

GRAVITY = 9.81


def _flight(start: float, height: float, count: int = 9) -> tuple[Keys, float]:
    """Keys of a free flight to `height` metres from `start`, and its end."""
    length = 2 * np.sqrt(2 * height / GRAVITY)
    u = np.linspace(0, 1, count)
    return [(start + length * x, 4 * height * x * (1 - x)) for x in u], float(start + length)


def _jump() -> Gesture:
    flight, land = _flight(0.98, 0.30)
    rise = 0.085  # standing on the balls of the feet
    tilt = [(0.5, 0), (0.74, 0), (0.98, -48), (1.12, -52), (land - 0.12, -24), (land, -26), (land + 0.10, 0)]
    up = [
        (0.0, 0),
        (0.5, -0.25),
        (0.68, -0.27),
        (0.98, rise),
        *((t, rise + v) for t, v in flight[1:-1]),
        (land, rise - 0.03),
    ]
    up += [(land + 0.24, -0.20), (land + 0.36, -0.20), (land + 0.95, 0)]
    foot = [(0.98, 0.0), *((t, v) for t, v in flight[1:-1]), (land, 0.0)]
    return Gesture(
        land + 1.1,
        _both(
            {
                "pelvis_up": up,
                "foot_up": foot,
                "foot_tilt": tilt,
                "pelvis_pitch": [(0, 0), (0.6, 26), (0.98, 3), (land, 3), (land + 0.3, 18), (land + 0.95, 0)],
                "spine_pitch": [(0, 0), (0.6, 18), (0.98, -3), (land, 3), (land + 0.3, 14), (land + 0.95, 0)],
                "head_pitch": [(0, 0), (0.6, 8), (0.98, -6), (land, 4), (land + 0.3, 8), (land + 0.95, 0)],
                "arm_forward": [
                    (0, 0),
                    (0.30, 20),
                    (0.62, -52),
                    (1.0, 128),
                    (land - 0.15, 105),
                    (land + 0.3, 24),
                    (land + 0.95, 0),
                ],
                "arm_side": [(0, 0), (0.62, 8), (1.0, 10), (land, 20), (land + 0.9, 0)],
                "elbow": [(0, 0), (0.62, 6), (1.0, 8), (land + 0.2, 26), (land + 0.95, 0)],
                "knee_out": [(0, 0), (0.6, 6), (0.98, 0), (land, 0), (land + 0.3, 7), (land + 0.9, 0)],
            }
        ),
        sigma=0.018,
        rest=0.3,
        physical=True,
    )


def _jumping_jack() -> Gesture:
    """Three out-and-in hops."""
    hop, height = 0.56, 0.075
    up: list[tuple[float, float]] = [(0.0, 0.0), (0.25, -0.07)]
    foot: list[tuple[float, float]] = [(0.25, 0.0)]
    tilt: list[tuple[float, float]] = [(0.2, 0.0)]
    out: list[tuple[float, float]] = [(0.3, 0.0)]
    side: list[tuple[float, float]] = [(0.15, 0.0)]
    for number in range(6):
        take_off = 0.36 + hop * number
        flight, land = _flight(take_off, height, 7)
        up += [
            (take_off, 0.045),
            *((t, 0.05 + v) for t, v in flight[1:-1]),
            (land, 0.03),
            (land + 0.13, -0.055),
        ]
        foot += [(take_off, 0.0), *((t, v) for t, v in flight[1:-1]), (land, 0.0)]
        tilt += [(take_off, -30.0), (land, -24.0), (land + 0.09, -6.0)]
        open_ = 1.0 if number % 2 == 0 else 0.0
        out += [(take_off + 0.02, 0.17 * (1 - open_)), (land - 0.01, 0.17 * open_)]
        side += [(take_off - 0.04, 148.0 * (1 - open_)), (land + 0.03, 148.0 * open_)]
    end = 0.36 + hop * 6
    closing = [(end + 0.3, 0.0)]
    arms: dict[str, Keys] = {
        "arm_side": side + closing,
        "elbow": [(0.1, 0), (0.5, 8), (end, 8), (end + 0.3, 0)],
    }
    return Gesture(
        end + 0.4,
        _both(
            {
                "pelvis_up": up + closing,
                "foot_up": foot,
                "foot_tilt": tilt + closing,
                "foot_out": out,
                **arms,
                "curl": [(0.1, 0), (0.5, -18), (end, -18), (end + 0.3, 0)],
            }
        ),
        sigma=0.018,
        rest=0.0,
        physical=True,
    )


_SEATED: dict[str, float] = {
    "pelvis_up": -0.42,
    "pelvis_forward": -0.40,
    "pelvis_pitch": -9.0,
    "spine_pitch": 10.0,
    "arm_forward": 27.0,
    "arm_side": -1.0,
    "elbow": 38.0,
    "arm_twist": 2.0,
    "forearm": 55.0,
    "wrist": -6.0,
    "curl": -8.0,
    "balance": -1.0,
}


def _sit(reverse: bool) -> Gesture:
    """Down onto a seat of ordinary height (none is there), or up from it."""
    lean = {"pelvis_pitch": 30.0, "spine_pitch": 14.0, "head_pitch": 12.0, "arm_forward": 26.0, "elbow": 26.0}
    keys: dict[str, Keys] = {}
    for name in {**_SEATED, **lean}:
        final = _SEATED.get(name, 0.0)
        middle = lean.get(name)
        down = [(0.15, 0.0), (1.75, final)] if middle is None else [(0.1, 0.0), (0.95, middle), (1.95, final)]
        if name == "balance":
            down = [(0.75, 0.0), (1.55, final)]
        keys[name] = [(2.1 - t, v) for t, v in down[::-1]] if reverse else down
    return Gesture(2.1, _both(keys), sigma=0.1, stays=True)


_LOOK = Gesture(
    3.6,
    {
        "head_yaw": [(0.1, 0), (0.75, 58), (1.35, 60), (2.2, -58), (2.8, -60), (3.5, 0)],
        "spine_yaw": [(0.2, 0), (0.85, 16), (1.35, 16), (2.3, -16), (2.8, -16), (3.55, 0)],
        "pelvis_yaw": [(0.3, 0), (0.95, 6), (1.45, 6), (2.4, -6), (2.85, -6), (3.55, 0)],
        "head_pitch": [(0.1, 0), (0.8, -4), (1.8, 3), (2.4, -4), (3.5, 0)],
        "support": [(0.2, 0), (0.95, 0.35), (1.4, 0.35), (2.4, -0.35), (2.8, -0.35), (3.5, 0)],
    },
    sigma=0.09,
)

_POINT = Gesture(
    2.8,
    {
        "right_arm_forward": _hold(0.75, 1.95, 84, 0.65),
        "right_arm_side": _hold(0.75, 1.95, 4, 0.65),
        "right_elbow": _hold(0.75, 1.95, -9, 0.55),
        "right_forearm": _hold(0.75, 1.95, 38, 0.55),
        "right_arm_twist": _hold(0.75, 1.95, -4),
        "right_reach": _hold(0.75, 1.95, 9),
        "spine_yaw": _hold(0.8, 1.95, 8),
        "head_yaw": _hold(0.7, 2.0, -4),
        "right_wrist": _hold(0.75, 1.95, -4),
        "right_curl": _hold(0.75, 1.95, 35),
        "right_index": _hold(0.75, 1.95, -50),
        "spine_pitch": _hold(0.8, 1.95, 3),
    },
)

_STAND = Gesture(2.0, {"head_pitch": [(0.0, 0.0), (2.0, 0.0)]})

GESTURES: Mapping[str, Gesture] = {
    "stand": _STAND,
    "wave left hand": _wave(["left"]),
    "wave right hand": _wave(["right"]),
    "wave both hands": _wave(["left", "right"]),
    "raise left arm": _raise(["left"]),
    "raise right arm": _raise(["right"]),
    "raise both arms": _raise(["left", "right"]),
    "clap": _clap(),
    "point": _POINT,
    "throw": _THROW,
    "punch": _punch(),
    "kick": _KICK,
    "bow": _BOW,
    "squat": _SQUAT,
    "jump": _jump(),
    "jumping jack": _jumping_jack(),
    "sit down": _sit(False),
    "stand up": _sit(True),
    "look around": _LOOK,
}
