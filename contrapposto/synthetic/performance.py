"""One clip in the making: who does it, on which path, with which curves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from contrapposto.synthetic import gait as gaits
from contrapposto.synthetic import styles
from contrapposto.synthetic.balance import balanced
from contrapposto.synthetic.curves import Array, slow_noise
from contrapposto.synthetic.footsteps import Walkway, change_stance, plan, travel
from contrapposto.synthetic.gestures import STANDING, Gesture
from contrapposto.synthetic.rig import CHANNELS, INDEX, both_sides, pose, solve
from contrapposto.synthetic.timeline import Bout, ramp, weights

# Seconds computed around the clip, so that it can begin and end in the middle of a stride.
_BEFORE, _AFTER = 3.0, 2.5
FASTEST_FLIGHT = 2.0  # jumps done faster than naturally are lower, so that they fall as they must

# Degrees (of `support`: share of the way to a foot) of one standard deviation.
_BREATH = {"spine_pitch": -0.5, "left_shrug": 0.7, "right_shrug": 0.7, "head_pitch": 0.3}
_DRIFT = {
    **{"support": 0.10, "spine_pitch": 0.7, "spine_yaw": 1.0, "spine_roll": 0.6, "pelvis_yaw": 0.8},
    **{"pelvis_roll": 0.5, "head_yaw": 3.0, "head_pitch": 1.6, "head_roll": 1.0},
    **both_sides(
        {"arm_forward": 1.0, "arm_side": 0.8, "arm_twist": 1.2, "elbow": 1.5, "curl": 3.0, "wrist": 1.5}
    ),
}
_BUILD = {
    **{
        "spine_pitch": 1.5,
        "spine_yaw": 1.0,
        "spine_roll": 0.7,
        "head_pitch": 2.5,
        "head_yaw": 1.5,
        "head_roll": 1.2,
    },
    **both_sides({"arm_side": 1.5, "elbow": 3.0, "curl": 6.0, "shrug": 0.8}),
}


@dataclass(frozen=True)
class Person:
    """What differs from seed to seed."""

    tempo: float
    stride: float
    amplitude: float
    arms: tuple[float, float]
    posture: Array
    phase: float


def person(generator: np.random.Generator) -> Person:
    """Draw a person."""

    def near_one(deviation: float) -> float:
        return float(np.exp(deviation * np.clip(generator.standard_normal(), -2, 2)))

    posture = np.zeros(len(CHANNELS))
    for name, deviation in _BUILD.items():
        posture[INDEX[name]] = deviation * np.clip(generator.standard_normal(), -2, 2)
    return Person(
        near_one(0.05),
        near_one(0.05),
        near_one(0.06),
        (near_one(0.10), near_one(0.10)),
        posture,
        float(generator.uniform()),
    )


class Performance:
    """The curves of one clip at the working rate; `frames` turns them into rotations."""

    def __init__(self, bouts: list[Bout], style: styles.Style, seed: int, rate: float) -> None:
        self.generator = np.random.default_rng(np.random.SeedSequence([0xC0, *_seed_words(seed)]))
        self.person, self.style, self.rate = person(self.generator), style, rate
        self.bouts = [self._own(*around) for around in zip([None, *bouts], bouts, [*bouts[1:], None])]
        self.before = round(_BEFORE * rate)
        count = self.before + round((bouts[-1].end + _AFTER) * rate)
        self.times = (np.arange(count) - self.before) / rate
        self.weights = weights(self.bouts, self.times)
        self.walks = np.array([bout.gait is not None for bout in self.bouts])
        self.walking = self.weights @ self.walks.astype(float)
        self._path()

    def _own(self, before: Bout | None, bout: Bout, after: Bout | None) -> Bout:
        """The bout with its gait in this clip's style, slower where there is no time to get up to speed."""
        if bout.gait is None:
            return bout
        gait = styles.styled(bout.gait, self.style, self.person.tempo, self.person.stride)
        ramps = sum(other is not None and other.gait is None for other in (before, after))
        fitting = min(1.0, 0.45 * bout.length / ramp(gait)) if ramps else 1.0
        gait = replace(gait, forward=gait.forward * fitting, left=gait.left * fitting)
        return replace(bout, gait=gait)

    def _path(self) -> None:
        """Integrate speed and turning to a path and plan the feet on it."""
        gait_list = [bout.gait or gaits.Gait(forward=0.0) for bout in self.bouts]
        share = self.weights * self.walks
        self.gait = gaits.mixed(gait_list, share + 1e-6 * self._nearness())
        drift = slow_noise(self.times, self.generator, 3, 0.05, 0.3)
        moving = np.array([[g.forward, g.left, np.sign(abs(g.forward))] for g in gait_list])
        forward, left, ahead = (share @ moving).T
        self.turn = self._turn(share)
        heading = np.cumsum(np.deg2rad(self.turn + 1.6 * ahead * drift[:, 0])) / self.rate
        self.speed = np.stack([forward, left], 1) * (1 + 0.02 * drift[:, 1:2])
        heading -= heading[self.before]
        cosine, sine = np.cos(heading)[:, None], np.sin(heading)[:, None]
        ways = np.concatenate([sine, -cosine], 1), np.concatenate([cosine, sine], 1)
        path = np.cumsum(self.speed[:, :1] * ways[0] + self.speed[:, 1:] * ways[1], 0) / self.rate
        self.way = Walkway(self.times, path - path[self.before], heading, self.walking, self._stances())
        walks = self._walks(drift[:, 2])
        steps = plan(self.way, self.gait, walks)
        change_stance(self.way, self.gait, steps, self._stance_changes())
        self.phase, self.feet = self._joined(walks), travel(self.way, self.gait, steps, self.rate)

    def _turn(self, share: Array) -> Array:
        """(F,) degrees per second to the left; a turn on the spot makes its whole angle within its bout."""
        turn = np.zeros(len(self.times))
        for bout, weight in zip(self.bouts, share.T):
            if bout.gait is not None:
                whole = bout.angle / max(weight.sum() / self.rate, 1e-6)
                turn += weight * (whole if bout.angle else bout.gait.turn)
        return turn

    def _nearness(self) -> Array:
        """(F, bouts) tiny weights of the gaits near in time, so that a gait is defined also while standing."""
        gap = np.stack(
            [np.maximum(b.start - self.times, 0) + np.maximum(self.times - b.end, 0) for b in self.bouts], 1
        )
        near = self.walks / (0.1 + gap) ** 4
        return near if self.walks.any() else np.ones_like(near)

    def _walks(self, drift: Array) -> list[tuple[float, float, Array]]:
        """Start, end and phase of each run of gait bouts."""
        cycles = np.cumsum(self.gait["cadence"] * (1 + 0.012 * drift)) / self.rate
        walks = []
        for first, last in _runs(self.walks):
            begins, ends = first == 0, last == len(self.bouts) - 1
            held = np.flatnonzero(self.weights[:, first : last + 1].sum(1) > 0.02)
            start, end = self.times[held[0]], self.times[held[-1]]
            gait = self.bouts[first].gait
            assert gait is not None
            lead = 0.5 if (gait.turn < 0 or gait.left < 0) else 0.0
            if begins:
                offset = self.person.phase
            else:
                swing = 1 - float(np.interp(start, self.times, self.gait["duty"]))
                offset = (
                    lead - swing - 0.02 - float(np.interp(start, self.times, cycles)) + (lead == 0.0) * 1.0
                )
            walks.append(
                (self.times[0] if begins else start, self.times[-1] if ends else end, cycles + offset)
            )
        return walks

    def _joined(self, walks: list[tuple[float, float, Array]]) -> Array:
        """One phase curve; it jumps only while the figure stands."""
        phase = walks[0][2].copy() if walks else np.zeros(len(self.times))
        for before, after in itertools.pairwise(walks):
            now = self.times > 0.5 * (before[1] + after[0])
            phase[now] = after[2][now]
        return phase

    def _stances(self) -> Array:
        """(F, 2, 3) what the stance of the nearest gesture adds for each foot."""
        result = np.zeros((len(self.times), 2, 3))
        standing = [bout for bout in self.bouts if bout.gesture is not None]
        if standing:
            gap = np.stack([np.maximum(b.start - self.times, self.times - b.end) for b in standing], 1)
            result = np.array([b.gesture.stance for b in standing if b.gesture])[gap.argmin(1)]
        return result

    def _stance_changes(self) -> list[float]:
        return [
            b.start
            for a, b in itertools.pairwise(self.bouts)
            if a.gesture is not None and b.gesture is not None
        ]

    def frames(self, count: int, every: int) -> tuple[Array, Array]:
        """Rotations (count, 52, 3, 3) and root translation (count, 3) of every n-th working frame from time 0."""
        channels = self._channels()
        channels = balanced(channels, self.way.path, self.way.heading, self.feet, self.rate)
        local, translation = solve(
            channels, self.way.path, self.way.heading, self.feet, self.rate, self.before, count, every
        )
        return local, translation

    def _channels(self) -> Array:
        out = np.zeros((len(self.times), len(CHANNELS)))
        stepping = self.walking[:, None] * self._gait_channels() if self.walks.any() else 0.0
        for number, bout in enumerate(self.bouts):
            if bout.gesture is not None:
                weight = self.weights[:, number]
                used = np.flatnonzero(weight > 0)
                if len(used):
                    part = slice(used[0], used[-1] + 1)
                    out[part] += weight[part, None] * self._gesture_channels(bout, self.times[part])
        posture = pose(self.style.posture) + self.person.posture
        out += stepping + posture + self._drift()
        return out

    def _gait_channels(self) -> Array:
        fast = np.hypot(*self.speed.T) / np.maximum(np.hypot(self.gait["forward"], self.gait["left"]), 0.3)
        ahead = np.clip(
            np.where(np.hypot(self.gait["forward"], self.gait["left"]) > 0.2, fast, self.walking), 0, 1
        )
        channels = gaits.stride_pose(self.phase, self.gait, ahead)
        for side, factor in zip(("left", "right"), self.person.arms):
            column = INDEX[f"{side}_arm_forward"]
            channels[:, column] = self.gait["arm_mean"] + factor * (
                channels[:, column] - self.gait["arm_mean"]
            )
        acceleration = np.gradient(gaussian_filter1d(self.speed[:, 0], 0.15 * self.rate), 1 / self.rate)
        lean = np.clip(3.0 * acceleration, -7, 7)
        # In a curve the whole figure leans inwards, by the angle whose tangent is v * omega / g.
        inward = np.rad2deg(
            np.arctan(gaussian_filter1d(self.speed[:, 0] * np.deg2rad(self.turn), 0.2 * self.rate) / 9.81)
        )
        channels[:, INDEX["pelvis_pitch"]] += lean
        channels[:, INDEX["pelvis_roll"]] -= 0.8 * inward
        channels[:, INDEX["pelvis_left"]] += 0.75 * np.sin(np.deg2rad(inward))
        channels[:, INDEX["head_yaw"]] += np.clip(
            0.28 * gaussian_filter1d(self.turn, 0.2 * self.rate), -25, 25
        )
        return channels

    def _gesture_channels(self, bout: Bout, times: Array) -> Array:
        """(F, C) standing pose plus the repetitions of the bout's gesture."""
        gesture = bout.gesture
        assert gesture is not None
        out = np.tile(STANDING, (len(times), 1))
        out[:, INDEX["balance"]] = 1.0
        out[:, INDEX["pelvis_up"]] -= 0.5 * self.style.crouch
        for start, tempo, amplitude in self._repetitions(bout, gesture):
            out += gesture.channels(times - start, self.rate, tempo, amplitude)
        return out

    def _repetitions(self, bout: Bout, gesture: Gesture) -> list[tuple[float, float, float]]:
        """Start, tempo and amplitude of each time the gesture is done in its bout."""
        pace = 1.0 if gesture.physical else self.style.tempo**0.8 * self.person.tempo
        once = (gesture.length + gesture.rest) / pace
        count = 1 if gesture.stays else max(1, round(bout.length / once))
        cell = bout.length / count
        if gesture.physical and gesture.length / cell > FASTEST_FLIGHT and bout.end < self.bouts[-1].end:
            return []  # no time to land before the next action: not begun
        result = []
        for number in range(count):
            jitter = np.exp(0.035 * np.clip(self.generator.standard_normal(2), -2, 2))
            usual, fastest = (1.0, FASTEST_FLIGHT) if gesture.physical else (pace * jitter[0], 1.5 * pace)
            tempo = min(max(usual, gesture.length / cell), fastest)
            spare = max(cell - gesture.length / tempo, 0.0)
            wait = min(self.generator.uniform(0.2, 0.6) * spare, 0.5)
            amplitude = np.clip(self.style.amplitude * self.person.amplitude * jitter[1], 0.6, 1.3)
            result.append((bout.start + number * cell + wait, float(tempo), float(amplitude)))
        return result

    def _drift(self) -> Array:
        """Breathing and slow swaying: nobody stands still."""
        out = np.zeros((len(self.times), len(CHANNELS)))
        breath = np.sin(2 * np.pi * (0.25 * self.style.tempo * self.times + self.generator.uniform()))
        for name, size in _BREATH.items():
            out[:, INDEX[name]] += size * breath
        noise = slow_noise(self.times, self.generator, len(_DRIFT), 0.08, 0.5)
        for column, (name, size) in enumerate(_DRIFT.items()):
            out[:, INDEX[name]] += self.style.restless * size * noise[:, column]
        return out


def _runs(flags: Array) -> list[tuple[int, int]]:
    """First and last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2])]


def _seed_words(seed: int) -> tuple[int, int]:
    """Any integer, also a negative one, as what numpy takes."""
    return int(seed < 0), abs(int(seed))
