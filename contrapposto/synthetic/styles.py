"""Styles: how a mood or an age changes tempo, size and posture of whatever is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contrapposto.synthetic.gait import Gait
from contrapposto.synthetic.rig import both_sides


@dataclass(frozen=True)
class Style:
    """Factors on the numbers of gaits and gestures, and a posture (degrees, metres) added to every pose."""

    tempo: float = 1.0
    stride: float = 1.0
    amplitude: float = 1.0
    arms: float = 1.0
    bob: float = 1.0
    lift: float = 1.0
    roll: float = 1.0  # of the foot: heel strike and push-off
    sway: float = 1.0
    width: float = 0.0  # metres added
    crouch: float = 0.0  # metres the pelvis is lower
    restless: float = 1.0
    posture: Mapping[str, float] = field(default_factory=dict)


def _both(**values: float) -> dict[str, float]:
    return both_sides(values)


STYLES: Mapping[str, Style] = {
    "neutral": Style(),
    "energetic": Style(
        tempo=1.14,
        stride=1.1,
        amplitude=1.15,
        arms=1.35,
        bob=1.35,
        lift=1.3,
        roll=1.1,
        posture={"spine_pitch": -2.0, "head_pitch": -3.0, **_both(elbow=15.0)},
    ),
    "tired": Style(
        tempo=0.78,
        stride=0.72,
        amplitude=0.8,
        arms=0.55,
        bob=0.7,
        lift=0.6,
        roll=0.7,
        sway=1.5,
        width=0.012,
        crouch=0.025,
        restless=1.3,
        posture={
            "spine_pitch": 15.0,
            "head_pitch": 20.0,
            **_both(shrug=-4.0, reach=7.0, elbow=-6.0, arm_forward=8.0),
        },
    ),
    "happy": Style(
        tempo=1.07,
        stride=1.04,
        amplitude=1.12,
        arms=1.35,
        bob=1.8,
        lift=1.5,
        sway=1.5,
        restless=1.5,
        posture={"spine_pitch": -4.0, "head_pitch": -6.0, **_both(elbow=14.0, arm_side=3.0)},
    ),
    "sad": Style(
        tempo=0.82,
        stride=0.76,
        amplitude=0.72,
        arms=0.35,
        bob=0.6,
        lift=0.7,
        roll=0.8,
        crouch=0.01,
        restless=0.7,
        posture={
            "spine_pitch": 11.0,
            "head_pitch": 30.0,
            **_both(shrug=-3.0, reach=8.0, arm_side=-2.0, arm_twist=8.0),
        },
    ),
    "sneaky": Style(
        tempo=0.62,
        stride=0.88,
        amplitude=0.85,
        arms=0.5,
        bob=0.8,
        lift=3.2,
        roll=0.35,
        sway=1.4,
        width=0.03,
        crouch=0.15,
        posture={
            "spine_pitch": 22.0,
            "pelvis_pitch": 12.0,
            "head_pitch": 2.0,
            **_both(elbow=62.0, arm_forward=26.0, arm_side=6.0, shrug=8.0, wrist=25.0, knee_out=6.0),
        },
    ),
    "proud": Style(
        tempo=0.95,
        stride=1.05,
        amplitude=1.05,
        arms=1.15,
        bob=1.1,
        sway=1.3,
        width=0.012,
        restless=0.6,
        posture={"spine_pitch": -7.0, "head_pitch": -7.0, **_both(arm_side=6.0, reach=-7.0, arm_twist=-6.0)},
    ),
    "old": Style(
        tempo=0.84,
        stride=0.58,
        amplitude=0.7,
        arms=0.45,
        bob=0.6,
        lift=0.5,
        roll=0.4,
        sway=1.4,
        width=0.03,
        crouch=0.055,
        restless=1.6,
        posture={
            "spine_pitch": 25.0,
            "pelvis_pitch": 4.0,
            "head_pitch": 8.0,
            **_both(elbow=28.0, arm_forward=16.0, reach=6.0, knee_out=5.0),
        },
    ),
    "angry": Style(
        tempo=1.18,
        stride=1.02,
        amplitude=1.2,
        arms=1.1,
        bob=1.1,
        roll=0.9,
        width=0.015,
        restless=1.2,
        posture={
            "spine_pitch": 7.0,
            "head_pitch": 8.0,
            **_both(elbow=18.0, arm_side=7.0, shrug=6.0, curl=55.0, arm_twist=10.0),
        },
    ),
}


def styled(gait: Gait, style: Style, tempo: float, stride: float) -> Gait:
    """A gait in a style; `tempo` and `stride` are the further factors of one person (one seed)."""
    speed = style.tempo * tempo * style.stride * stride
    airborne = gait.duty < 0.5
    # Only walking may slow down freely: a slow run still has to fly.
    pace = max(style.tempo, 0.92) * tempo if airborne else style.tempo * tempo
    lift = min(style.lift, 1.3) if gait.lift > 0.1 else style.lift
    return replace(
        gait,
        forward=gait.forward * speed,
        left=gait.left * speed,
        turn=gait.turn * style.tempo * tempo,
        cadence=gait.cadence * pace,
        width=gait.width + style.width,
        bob=gait.bob * (min(style.bob, 1.2) if airborne else style.bob),
        push=gait.push * style.roll,
        strike=gait.strike * style.roll,
        swing_tilt=gait.swing_tilt * (0.5 + 0.5 * style.roll),
        lift=gait.lift * lift,
        crouch=gait.crouch + style.crouch,
        sway=gait.sway * style.sway,
        list_=gait.list_ * style.sway,
        arm=gait.arm * style.arms,
        elbow_swing=gait.elbow_swing * min(style.arms, 1.2),
        pelvis_yaw=gait.pelvis_yaw * style.stride,
        chest_yaw=gait.chest_yaw * (0.4 + 0.6 * style.arms),
    )
