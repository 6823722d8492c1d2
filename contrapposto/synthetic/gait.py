"""Gaits: how a figure steps, and what its trunk and arms do meanwhile.

The numbers are those of textbooks on human gait (Perry & Burnfield, Gait Analysis; Winter, Biomechanics and Motor
Control of Human Movement; Novacheck, The biomechanics of running, 1998), rounded and then adjusted by eye.
Phases count gait cycles; the left foot lands at whole numbers, the right foot at halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from contrapposto.synthetic.curves import Array
from contrapposto.synthetic.rig import CHANNELS, INDEX


@dataclass(frozen=True)
class Gait:
    """One way of moving on foot. Speeds m/s, lengths m, angles degrees, cadence in cycles (two steps) per second."""

    forward: float = 1.28
    left: float = 0.0
    turn: float = 0.0  # degrees per second, to the left
    cadence: float = 0.93
    duty: float = 0.615  # share of the cycle that a foot is on the ground
    width: float = 0.058  # of each foot from the middle line
    trail: float = 0.085  # of the standing ankle behind the pelvis in the middle of the stance
    toe_out: float = 6.0
    push: float = -58.0  # foot tilt when it leaves the ground
    strike: float = 19.0  # and when it lands
    heel_off: float = 0.55  # share of the stance after which the heel rises
    flat: float = 0.20  # share of the stance after which the foot is flat
    lift: float = 0.065
    swing_tilt: float = -70.0
    bob: float = 0.021
    low: float = 0.06  # phase at which the pelvis is lowest
    crouch: float = 0.018
    sway: float = 0.022
    list_: float = 4.0
    pelvis_yaw: float = 4.5
    chest_yaw: float = 5.5
    lean: float = 3.0
    arm: float = 21.0
    arm_mean: float = 1.0
    arm_side: float = 9.0
    elbow: float = 24.0
    elbow_swing: float = 13.0
    arm_twist: float = 14.0
    arm_across: float = 4.0
    curl: float = 32.0


GAITS: Mapping[str, Gait] = {
    "walk": Gait(),
    "walk backwards": Gait(
        forward=-0.85,
        trail=0.05,
        cadence=0.82,
        width=0.075,
        push=12.0,
        strike=-22.0,
        heel_off=0.85,
        flat=0.16,
        swing_tilt=4.0,
        lift=0.05,
        arm=10.0,
        elbow=20.0,
        elbow_swing=5.0,
        lean=1.0,
        pelvis_yaw=-3.0,
        chest_yaw=2.0,
        bob=0.014,
        crouch=0.02,
    ),
    "walk in a circle": Gait(forward=1.15, cadence=0.9, turn=42.0),
    "jog": Gait(
        forward=2.3,
        trail=0.15,
        cadence=1.32,
        duty=0.40,
        width=0.045,
        push=-62.0,
        strike=6.0,
        heel_off=0.45,
        flat=0.16,
        lift=0.2,
        swing_tilt=-80.0,
        bob=0.036,
        low=0.19,
        crouch=0.06,
        sway=0.014,
        list_=4.0,
        pelvis_yaw=5.0,
        chest_yaw=9.0,
        lean=6.0,
        arm=27.0,
        arm_mean=-6.0,
        arm_side=15.0,
        elbow=88.0,
        elbow_swing=12.0,
        arm_twist=24.0,
        arm_across=10.0,
        curl=62.0,
        toe_out=5.0,
    ),
    "run": Gait(
        forward=3.3,
        trail=0.17,
        cadence=1.45,
        duty=0.315,
        width=0.035,
        push=-68.0,
        strike=5.0,
        heel_off=0.36,
        flat=0.14,
        lift=0.31,
        swing_tilt=-88.0,
        bob=0.042,
        low=0.165,
        crouch=0.06,
        sway=0.011,
        list_=4.5,
        pelvis_yaw=7.0,
        chest_yaw=12.0,
        lean=9.5,
        arm=41.0,
        arm_mean=-7.0,
        arm_side=16.0,
        elbow=94.0,
        elbow_swing=17.0,
        arm_twist=26.0,
        arm_across=12.0,
        curl=66.0,
        toe_out=4.0,
    ),
    "sidestep left": Gait(
        forward=0.0,
        left=0.55,
        trail=0.03,
        cadence=0.85,
        duty=0.62,
        width=0.205,
        toe_out=5.0,
        push=-14.0,
        strike=-8.0,
        heel_off=0.8,
        flat=0.15,
        lift=0.06,
        swing_tilt=-14.0,
        bob=0.012,
        crouch=0.05,
        sway=0.0,
        list_=2.0,
        pelvis_yaw=0.0,
        chest_yaw=0.0,
        lean=3.0,
        arm=3.0,
        arm_side=14.0,
        elbow=32.0,
        elbow_swing=2.0,
    ),
    "march": Gait(
        forward=0.65,
        trail=0.06,
        cadence=0.95,
        duty=0.60,
        push=-26.0,
        strike=2.0,
        heel_off=0.65,
        flat=0.12,
        lift=0.36,
        swing_tilt=-24.0,
        bob=0.012,
        crouch=0.008,
        arm=30.0,
        arm_mean=6.0,
        elbow=30.0,
        elbow_swing=18.0,
        lean=0.0,
        width=0.07,
    ),
    "turn left": Gait(
        forward=0.0,
        turn=80.0,
        trail=0.04,
        cadence=0.95,
        duty=0.62,
        width=0.085,
        push=-20.0,
        strike=-4.0,
        heel_off=0.75,
        flat=0.15,
        lift=0.05,
        swing_tilt=-20.0,
        bob=0.008,
        crouch=0.015,
        sway=0.03,
        list_=2.0,
        pelvis_yaw=0.0,
        chest_yaw=1.0,
        lean=2.0,
        arm=4.0,
        elbow=20.0,
        elbow_swing=3.0,
    ),
}


def mirrored(gait: Gait) -> Gait:
    """The same to the other side."""
    return replace(gait, left=-gait.left, turn=-gait.turn)


def mixed(gaits: list[Gait], weights: Array) -> dict[str, Array]:
    """(F,) curves of every number of a gait: the mean over the gaits with weights (F, len(gaits))."""
    total = np.maximum(weights.sum(1), 1e-9)
    return {
        f.name: (weights @ np.array([getattr(gait, f.name) for gait in gaits], float)) / total
        for f in fields(Gait)
    }


def stride_pose(phase: Array, g: Mapping[str, Array], ahead: Array) -> Array:
    """(F, C) channels of trunk and arms at a phase (F,) of the gait `g`.

    Args:
        phase: gait cycles.
        g: curves from `mixed`.
        ahead: (F,) 0 to 1, how much the figure moves: trunk and arms swing in proportion.
    """
    out = np.zeros((len(phase), len(CHANNELS)))

    def wave(shift: float | Array, cycles: int = 1) -> Array:
        return np.cos(2 * np.pi * cycles * (phase - shift))

    def put(name: str, value: Array | float) -> None:
        out[:, INDEX[name]] = value

    middle = g["duty"] / 2
    put("pelvis_up", -g["crouch"] - ahead * g["bob"] * wave(g["low"], 2))
    put("pelvis_left", ahead * g["sway"] * wave(middle - 0.02))
    put("pelvis_forward", -ahead * 0.008 * wave(middle - 0.08, 2) * np.sign(g["forward"]))
    put("pelvis_pitch", 0.45 * g["lean"] + 2.0 + ahead * 1.2 * wave(0.02, 2))
    put("pelvis_yaw", -ahead * g["pelvis_yaw"] * wave(0.0))
    put("pelvis_roll", ahead * g["list_"] * wave(0.14))
    put("spine_pitch", 0.55 * g["lean"] + 1.0 - ahead * 1.0 * wave(0.02, 2))
    put("spine_yaw", ahead * (g["pelvis_yaw"] + g["chest_yaw"]) * wave(0.02))
    put("spine_roll", -ahead * (g["list_"] + 0.8) * wave(0.15))
    put("head_pitch", 3.0 + 0.25 * g["lean"] + ahead * 0.8 * wave(0.12, 2))
    put("head_yaw", ahead * 0.12 * g["chest_yaw"] * wave(0.02))
    put("head_roll", ahead * 0.6 * wave(0.15))
    for side, shift in (("left", 0.0), ("right", 0.5)):
        forward = -wave(shift + 0.03)  # 1 when the opposite foot lands
        later = -wave(shift + 0.07)
        put(
            f"{side}_arm_forward", g["arm_mean"] + ahead * g["arm"] * (forward + 0.12 * wave(shift + 0.03, 2))
        )
        put(f"{side}_arm_side", g["arm_side"] - ahead * 0.5 * g["arm_across"] * forward)
        put(f"{side}_arm_twist", g["arm_twist"] + ahead * g["arm_across"] * later)
        put(f"{side}_elbow", g["elbow"] + ahead * g["elbow_swing"] * (later - 0.1 * wave(shift + 0.07, 2)))
        put(f"{side}_forearm", 14.0 + ahead * 5.0 * later)
        put(f"{side}_wrist", 5.0 - ahead * 3.0 * -wave(shift + 0.12))
        put(f"{side}_wrist_side", 4.0)
        put(f"{side}_reach", ahead * 0.1 * g["arm"] * forward)
        put(f"{side}_curl", g["curl"])
    return out
