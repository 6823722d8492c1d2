"""Footsteps: when each foot lands and leaves, where it stands, how it travels between.

Feet stand exactly still between landing and leaving: the place is constant, and the foot tilts about its heel after
landing and about its ball before leaving. Pelvis and knees follow the feet, never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.special import betainc

from contrapposto.synthetic.curves import Array, minimum_jerk
from contrapposto.synthetic.rig import FEET_FIELDS, Feet

STANCE_WIDTH = 0.098  # half the distance between the ankles of a standing figure, metres
STANCE_TOE_OUT = 9.0
STANCE_BACK = 0.05  # of the ankles behind the pelvis


_SMALL_STEP: Mapping[str, float] = {
    "duty": 0.62,
    "cadence": 0.9,
    "push": -18.0,
    "strike": -4.0,
    "heel_off": 0.8,
    "flat": 0.15,
    "lift": 0.045,
    "swing_tilt": -18.0,
}


@dataclass(frozen=True)
class Step:
    """One swing of one foot: seconds, world metres, radians, degrees."""

    leave: float
    land: float
    place: tuple[float, float]
    yaw: float
    stance: float  # seconds that the foot stays, where it walks on
    gait: Mapping[str, float]
    effort: float  # 0 to 1: how far the step is beside a full one


@dataclass(frozen=True)
class Walkway:
    """Where the figure goes.

    Args:
        times: (F,) seconds.
        path: (F, 2) metres.
        heading: (F,) radians.
        walking: (F,) weight of walking against standing.
        stance: (F, 2, 3) per foot what standing adds: metres outward and forward, degrees of toe-out.
    """

    times: Array
    path: Array
    heading: Array
    walking: Array
    stance: Array

    def at(self, time: float, side: int, gait: Mapping[str, Array]) -> tuple[tuple[float, float], float]:
        """Place and yaw of a foot (0 left, 1 right) that stands under the figure as it is at `time`."""
        x, y, heading, weight = (
            np.interp(time, self.times, v) for v in (*self.path.T, self.heading, self.walking)
        )
        out, ahead, turned = self.stance[
            np.clip(np.searchsorted(self.times, time), 0, len(self.times) - 1), side
        ]
        width = np.interp(time, self.times, gait["width"]) * weight + (STANCE_WIDTH + out) * (1 - weight)
        toe_out = np.interp(time, self.times, gait["toe_out"]) * weight + (STANCE_TOE_OUT + turned) * (
            1 - weight
        )
        trail = np.interp(time, self.times, gait["trail"])
        sign = 1.0 - 2.0 * side
        left = np.array([np.cos(heading), np.sin(heading)])
        forward = np.array([np.sin(heading), -np.cos(heading)])
        place = (
            np.array([x, y])
            + sign * width * left
            + ((1 - weight) * (ahead - STANCE_BACK) - weight * trail) * forward
        )
        return (float(place[0]), float(place[1])), float(heading + sign * np.deg2rad(toe_out))


def plan(
    way: Walkway, gait: Mapping[str, Array], bouts: list[tuple[float, float, Array]]
) -> tuple[list[Step], list[Step]]:
    """Steps of the left and the right foot.

    Args:
        way: the path.
        gait: (F,) curves of the gait's numbers.
        bouts: start and end seconds of each uninterrupted walk, and its (F,) phase in gait cycles; the figure
            stands outside.
    """
    steps: tuple[list[Step], list[Step]] = ([], [])
    for start, end, phase in bouts:
        first = np.interp(start, way.times, phase)
        last = np.interp(min(end + 3.0, way.times[-1]), way.times, phase)
        closing = 0
        for half in range(int(np.ceil(2 * first - 1e-9)), int(np.floor(2 * last)) + 1):
            side = half % 2
            land = float(np.interp(half / 2, phase, way.times))
            numbers = {name: float(np.interp(land, way.times, values)) for name, values in gait.items()}
            cadence = max(numbers["cadence"], 0.2)
            leave = land - (1 - numbers["duty"]) / cadence
            if leave < max(start - 1e-6, steps[side][-1].land + 0.04 if steps[side] else -np.inf):
                continue
            stance = numbers["duty"] / cadence
            place, yaw = way.at(min(land + 0.5 * stance, way.times[-1]), side, gait)
            if land > end:
                closing += 1
                if closing > 2 or _stands(steps[side], place, yaw):
                    break
            stride = abs(np.hypot(numbers["forward"], numbers["left"])) / cadence
            before = steps[side][-1].place if steps[side] else way.at(start - 1.0, side, gait)[0]
            effort = min(1.0, np.hypot(place[0] - before[0], place[1] - before[1]) / max(stride, 0.35))
            steps[side].append(Step(leave, land, place, yaw, stance, numbers, 0.25 + 0.75 * effort))
    return steps


def change_stance(
    way: Walkway, gait: Mapping[str, Array], steps: tuple[list[Step], list[Step]], boundaries: list[float]
) -> None:
    """Insert the two small steps that lead from one stance to another at each boundary (seconds), where they differ."""
    for boundary in boundaries:
        for side, leave in ((0, boundary - 0.46), (1, boundary + 0.04)):
            old, new = (way.at(boundary + shift, side, gait) for shift in (-0.05, 0.05))
            if np.hypot(new[0][0] - old[0][0], new[0][1] - old[0][1]) < 0.01 and abs(new[1] - old[1]) < 0.03:
                continue
            step = Step(leave, leave + 0.42, new[0], new[1], 0.8, _SMALL_STEP, 0.8)
            if all(other.land + 0.04 < step.leave or other.leave > step.land + 0.04 for other in steps[side]):
                steps[side].append(step)
                steps[side].sort(key=lambda s: s.land)


def _stands(steps: list[Step], place: tuple[float, float], yaw: float) -> bool:
    if not steps:
        return True
    last = steps[-1]
    return bool(
        np.hypot(place[0] - last.place[0], place[1] - last.place[1]) < 0.02 and abs(yaw - last.yaw) < 0.06
    )


def travel(
    way: Walkway, gait: Mapping[str, Array], steps: tuple[list[Step], list[Step]], rate: float
) -> Feet:
    """Both feet at every frame."""
    feet = [_foot(way, gait, side, steps[side], rate) for side in (0, 1)]
    return Feet(*(np.stack([getattr(f, name) for f in feet], 1) for name in FEET_FIELDS))


def _foot(way: Walkway, gait: Mapping[str, Array], side: int, steps: list[Step], rate: float) -> Feet:
    times = way.times
    place_now, yaw_now = way.at(times[0], side, gait)
    place, yaw = np.tile(place_now, (len(times), 1)), np.full(len(times), yaw_now)
    lift, toe, air = np.zeros(len(times)), np.ones(len(times)), np.zeros(len(times))
    tilt_keys, heel_keys = [(times[0] - 1.0, 0.0)], [(times[0] - 1.0, 0.0)]
    for number, step in enumerate(steps):
        g, swing = step.gait, step.land - step.leave
        now = times >= step.leave
        u = np.clip((times[now] - step.leave) / swing, 0, 1)
        # The ground stops the foot: shortly before, it still moves about as fast as the pelvis.
        go = betainc(1.9, 1.9, u)[:, None]
        place[now] = np.array(place_now) * (1 - go) + np.array(step.place) * go
        yaw[now] = yaw_now + (step.yaw - yaw_now) * minimum_jerk(u)
        # A walking foot skims the ground; one lifted high, of a run or a march, stays up until late.
        late = 4.4 - 1.6 * min(g["lift"] / 0.2, 1.5)
        highest = 2.0 / (2.0 + late)
        high = (u / highest) ** 2 * ((1 - u) / (1 - highest)) ** late
        lift[now] += step.effort * (g["lift"] * high + 0.025 * (4 * u * (1 - u)) ** 1.5)
        toe[now] = np.where(u < 1, np.maximum(1 - minimum_jerk(u / 0.45), minimum_jerk((u - 0.8) / 0.2)), 1.0)
        air[now] = np.sin(np.pi * u) ** 2
        place_now, yaw_now = step.place, step.yaw
        earlier = steps[number - 1] if number else None
        since = step.leave - (earlier.land if earlier else step.leave - 1.0)
        _add_keys(tilt_keys, heel_keys, step, min(since, g["duty"] / max(g["cadence"], 0.2)))
    tilt_keys.append((max(times[-1], tilt_keys[-1][0]) + 1.0, 0.0))
    heel_keys.append((tilt_keys[-1][0], heel_keys[-1][1]))
    tilt = gaussian_filter1d(PchipInterpolator(*np.array(tilt_keys).T)(times), 0.014 * rate, mode="nearest")
    heel = _steps_between(times, heel_keys)
    return Feet(place, yaw, tilt, heel, lift, toe, air)


def _add_keys(
    tilt: list[tuple[float, float]], heel: list[tuple[float, float]], step: Step, stance: float
) -> None:
    """Append the foot's tilt of one step: rise of the heel before it leaves, swing, landing, flat."""
    g, e = step.gait, step.effort
    swing = step.land - step.leave
    rise = step.leave - (1 - g["heel_off"]) * stance
    push, strike = g["push"] * e, g["strike"] * e
    flat = step.land + max(g["flat"] * step.stance, 0.05)
    keys = [
        (max(rise, tilt[-1][0] + 0.03), 0.0),
        (step.leave - 0.38 * (step.leave - rise), 0.25 * push),
        (step.leave, push),
        (step.leave + 0.16 * swing, g["swing_tilt"] * e),
        (step.leave + 0.62 * swing, (0.05 + 0.5 * min(g["lift"], 0.3)) * g["swing_tilt"] * e + 0.2 * strike),
        (step.land - 0.06 * swing, strike * 1.15),
        (step.land, strike),
        (flat, 0.0),
    ]
    tilt.extend(k for k in keys if k[0] > tilt[-1][0] + 1e-4)
    before, after = float(push > 0), float(strike > 0)
    heel.extend([(heel[-1][0] + 1e-3, heel[-1][1]), (max(rise, heel[-1][0] + 2e-3), before)])
    heel.extend(
        [
            (step.leave + 0.1 * swing, before),
            (step.leave + 0.85 * swing, after),
            (flat, after),
            (flat + 0.06, 0.0),
        ]
    )


def _steps_between(times: Array, keys: list[tuple[float, float]]) -> Array:
    """Minimum-jerk rises and falls from key to key."""
    at, values = np.array(keys).T
    slot = np.clip(np.searchsorted(at, times, side="right") - 1, 0, len(at) - 2)
    u = (times - at[slot]) / np.maximum(at[slot + 1] - at[slot], 1e-9)
    return values[slot] + (values[slot + 1] - values[slot]) * minimum_jerk(u)
