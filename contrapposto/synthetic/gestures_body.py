"""Gestures of the whole body: standing, bowing, squatting, jumping, sitting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from contrapposto.synthetic.gestures import Gesture, Keys, hold
from contrapposto.synthetic.rig import both_sides

_SQUAT = Gesture(
    2.5,
    both_sides(
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
    both_sides(
        {
            "pelvis_pitch": hold(1.0, 1.7, 34, 0.9),
            "spine_pitch": hold(1.0, 1.7, 22, 0.9),
            "head_pitch": hold(1.0, 1.7, 62, 0.9),
            "arm_forward": hold(1.05, 1.7, 30, 0.9),
            "arm_side": hold(1.05, 1.7, -1, 0.9),
            "elbow": hold(1.05, 1.7, -8, 0.8),
            "curl": hold(0.6, 2.2, -14, 0.5),
        }
    ),
    sigma=0.09,
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
        both_sides(
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
    """Two out-and-in hops."""
    hop, height = 0.56, 0.075
    up: list[tuple[float, float]] = [(0.0, 0.0), (0.25, -0.07)]
    foot: list[tuple[float, float]] = [(0.25, 0.0)]
    tilt: list[tuple[float, float]] = [(0.2, 0.0)]
    out: list[tuple[float, float]] = [(0.3, 0.0)]
    side: list[tuple[float, float]] = [(0.15, 0.0)]
    for number in range(4):
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
    end = 0.36 + hop * 4
    closing = [(end + 0.3, 0.0)]
    arms: dict[str, Keys] = {
        "arm_side": side + closing,
        "elbow": [(0.1, 0), (0.5, 8), (end, 8), (end + 0.3, 0)],
    }
    return Gesture(
        end + 0.4,
        both_sides(
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
    return Gesture(2.1, both_sides(keys), sigma=0.1, stays=True)


_STAND = Gesture(2.0, {"head_pitch": [(0.0, 0.0), (2.0, 0.0)]})

TABLE: Mapping[str, Gesture] = {
    "stand": _STAND,
    "bow": _BOW,
    "squat": _SQUAT,
    "jump": _jump(),
    "jumping jack": _jumping_jack(),
    "sit down": _sit(False),
    "stand up": _sit(True),
}
