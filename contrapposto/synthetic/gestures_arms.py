"""Gestures of arms and head: waving, raising, clapping, pointing, looking around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contrapposto.synthetic.gestures import Gesture, Keys, beat, hold
from contrapposto.synthetic.rig import both_sides

_WAVE = {
    "arm_forward": hold(0.7, 2.45, 28, 0.6),
    "arm_side": hold(0.7, 2.45, 46, 0.6),
    "arm_twist": beat(0.75, 2.4, 0.55, -84, 9, 0.65),
    "elbow": beat(0.75, 2.4, 0.55, 92, 22, 0.65),
    "forearm": hold(0.7, 2.4, -10),
    "wrist_side": beat(0.75, 2.4, 0.55, -4, 15, 0.6),
    "curl": hold(0.7, 2.4, -24),
    "wrist": hold(0.7, 2.4, -12),
}


def _wave(sides: Sequence[str]) -> Gesture:
    keys: dict[str, Keys] = {f"{side}_{name}": values for side in sides for name, values in _WAVE.items()}
    lean = {"left": -1.0, "right": 1.0}
    if len(sides) == 1:
        sign = lean[sides[0]]
        keys["support"] = hold(0.8, 2.4, 0.25 * sign)
        keys["spine_roll"] = hold(0.7, 2.4, -2.5 * sign)
        keys["head_roll"] = hold(0.7, 2.4, 4.0 * sign)
    keys["head_pitch"] = hold(0.7, 2.4, -5)
    return Gesture(3.0, keys, rest=0.8)


def _raise(sides: Sequence[str]) -> Gesture:
    table: dict[str, Keys] = {
        "arm_forward": hold(0.95, 2.0, 150, 0.9),
        "arm_side": hold(0.95, 2.0, 8, 0.9),
        "arm_twist": hold(0.95, 2.0, 44, 0.9),
        "elbow": hold(0.95, 2.0, -8, 0.8),
        "forearm": hold(0.95, 2.0, 4, 0.8),
        "wrist": hold(0.95, 2.0, -6, 0.8),
        "curl": hold(0.95, 2.0, -22, 0.8),
        "shrug": hold(0.95, 2.0, 4, 0.8),
    }
    keys = {f"{side}_{name}": values for side in sides for name, values in table.items()}
    keys["spine_pitch"] = hold(1.0, 2.0, -5, 0.9)
    keys["head_pitch"] = hold(1.0, 2.0, -8, 0.9)
    if len(sides) == 1:
        keys["spine_roll"] = hold(1.0, 2.0, 5 if sides[0] == "left" else -5, 0.9)
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
        both_sides(
            {
                "arm_forward": hold(0.75, 3.0, 34, 0.6),
                "arm_side": hold(0.75, 3.0, -2, 0.6),
                "arm_twist": twist,
                "elbow": elbow,
                "forearm": hold(0.75, 3.0, -24, 0.6),
                "wrist": hold(0.75, 3.0, -8, 0.5),
                "curl": hold(0.75, 3.0, -22, 0.5),
                "head_pitch": hold(0.8, 3.0, 2),
                "reach": hold(0.75, 3.0, 6, 0.6),
            }
        ),
        sigma=0.03,
        rest=0.6,
        touching=True,
    )


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
        "right_arm_forward": hold(0.75, 1.95, 84, 0.65),
        "right_arm_side": hold(0.75, 1.95, 4, 0.65),
        "right_elbow": hold(0.75, 1.95, -9, 0.55),
        "right_forearm": hold(0.75, 1.95, 38, 0.55),
        "right_arm_twist": hold(0.75, 1.95, -4),
        "right_reach": hold(0.75, 1.95, 9),
        "spine_yaw": hold(0.8, 1.95, 8),
        "head_yaw": hold(0.7, 2.0, -4),
        "right_wrist": hold(0.75, 1.95, -4),
        "right_curl": hold(0.75, 1.95, 35),
        "right_index": hold(0.75, 1.95, -50),
        "spine_pitch": hold(0.8, 1.95, 3),
    },
)

TABLE: Mapping[str, Gesture] = {
    "wave left hand": _wave(["left"]),
    "wave right hand": _wave(["right"]),
    "wave both hands": _wave(["left", "right"]),
    "raise left arm": _raise(["left"]),
    "raise right arm": _raise(["right"]),
    "raise both arms": _raise(["left", "right"]),
    "clap": _clap(),
    "point": _POINT,
    "look around": _LOOK,
}
