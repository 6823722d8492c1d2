"""Gestures that need a stance and speed: kick, punch, throw."""

from __future__ import annotations

from collections.abc import Mapping

from contrapposto.synthetic.gestures import Gesture, Keys, hold

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
        "left_curl": hold(0.4, 1.3, 45, 0.3),
        "right_curl": hold(0.4, 1.3, 45, 0.3),
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

TABLE: Mapping[str, Gesture] = {
    "kick": _KICK,
    "punch": _punch(),
    "throw": _THROW,
}
