"""From what an animator would say (lean, list, raise, bend, where the feet are) to joint rotations.

Angles are degrees, lengths metres. Figure frame: x to the figure's left, y up, z forward, turned by the heading.
Signs of turns: pitch is forward, yaw to the left, roll lifts the left side. Limbs: `left_*` and `right_*` mean the same
on both sides (forward, outward, inward twist, flexion, palm down), so mirroring is swapping names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic.curves import Array, capped, soft_minimum
from contrapposto.synthetic.turns import apply, euler, exp, frame, mirror, turn_x, turn_y, turn_z, wrap

T = TypeVar("T")

_TRUNK = (
    *("pelvis_left", "pelvis_up", "pelvis_forward", "pelvis_pitch", "pelvis_yaw", "pelvis_roll"),
    *("spine_pitch", "spine_yaw", "spine_roll", "head_pitch", "head_yaw", "head_roll", "balance", "support"),
)
_LIMB = (
    *("arm_forward", "arm_side", "arm_twist", "elbow", "forearm", "wrist", "wrist_side"),
    *("shrug", "reach", "curl", "index"),
    *("foot_forward", "foot_up", "foot_out", "foot_tilt", "foot_turn", "knee_out"),
)
CHANNELS: tuple[str, ...] = (
    *_TRUNK,
    *(f"{side}_{name}" for side in ("left", "right") for name in _LIMB),
)
INDEX: Mapping[str, int] = {name: index for index, name in enumerate(CHANNELS)}
SIDES = ("left", "right")

_REST = SMPLH52.rest_positions.astype(np.float64)
SOLE = -1.1438  # lowest point of the shipped figure in its rest pose, metres
ANKLE_HEIGHT = float(_REST[7, 1] - SOLE)
HEEL = np.array([0.0, -ANKLE_HEIGHT, -0.045])  # where the heel meets the ground, from the ankle
BALL = np.array([0.0, _REST[10, 1] - _REST[7, 1], _REST[10, 2] - _REST[7, 2]])
MINIMUM_KNEE = 6.0  # degrees; a straight knee would let the leg snap


def both_sides(values: Mapping[str, T]) -> dict[str, T]:
    """The same on both sides; names without a side as they are."""
    out: dict[str, T] = {}
    for name, value in values.items():
        for key in (f"left_{name}", f"right_{name}") if f"left_{name}" in INDEX else (name,):
            out[key] = value
    return out


def pose(values: Mapping[str, float]) -> Array:
    """(C,) channel vector with the named channels set, the others zero."""
    vector = np.zeros(len(CHANNELS))
    for name, value in values.items():
        vector[INDEX[name]] = value
    return vector


FEET_FIELDS = ("place", "yaw", "tilt", "heel", "lift", "toe", "air")


@dataclass(frozen=True)
class Feet:
    """Planned feet of F frames, left then right on the second axis.

    Args:
        place: (F, 2, 2) where the ankle stands on the ground plan when the foot is flat, world metres.
        yaw: (F, 2) heading of the foot, radians.
        tilt: (F, 2) degrees, toes up.
        heel: (F, 2) 1 where the tilt is about the heel, 0 where it is about the ball.
        lift: (F, 2) metres above the ground.
        toe: (F, 2) 1 where the toes lie flat on the ground, 0 where they follow the foot.
        air: (F, 2) 0 while the foot stands, rising to 1 in the middle of its swing.
    """

    place: Array
    yaw: Array
    tilt: Array
    heel: Array
    lift: Array
    toe: Array
    air: Array

    def __getitem__(self, frames: slice) -> Feet:
        """The same for some frames."""
        return Feet(*(getattr(self, name)[frames] for name in FEET_FIELDS))


def solve(
    channels: Array,
    path: Array,
    heading: Array,
    feet: Feet,
    rate: float,
    first: int = 0,
    count: int | None = None,
    every: int = 1,
) -> tuple[Array, Array]:
    """Joint rotations and root translation from channels.

    Args:
        channels: (F, C) in the order of `CHANNELS`.
        path: (F, 2) world ground position of the figure.
        heading: (F,) radians by which forward is turned from -y.
        feet: the planned feet.
        rate: frames per second.
        first, count, every: return `count` frames from `first` on, every n-th; all where not given.

    Returns:
        (F, 52, 3, 3) local rotations and (F, 3) root translation, both float64, z up.
    """
    chosen = slice(first, len(channels) if count is None else first + (count - 1) * every + 1, every)
    body = _Body(channels, path, heading, feet, rate, chosen)
    return body.local, body.pelvis - _REST[0]


def hip_height(knee: float = 8.0) -> float:
    """Height of the pelvis joint above the ground when standing with knees bent by `knee` degrees."""
    return ANKLE_HEIGHT + float(_leg_reach(np.deg2rad(knee))) * 0.9975 + float(_REST[0, 1] - _REST[1, 1])


class _Body:
    """One pass over all frames; kept as an object so that the steps can share what they compute."""

    def __init__(
        self, channels: Array, path: Array, heading: Array, feet: Feet, rate: float, chosen: slice
    ) -> None:
        self.c, self.path, self.heading, self.feet, self.rate = channels, path, heading, feet, rate
        self.upright = turn_z(heading) @ _UPRIGHT
        self.tilt = euler(self.get("pelvis_pitch"), self.get("pelvis_yaw"), self.get("pelvis_roll"))
        self.root = self.upright @ self.tilt
        ankles, foot_rotations, toes = self._ankles()
        # The height of the pelvis is smoothed over neighbouring frames; everything after it is frame by frame.
        self.pelvis = self._pelvis(ankles)[chosen]
        self.c, self.heading, self.feet = channels[chosen], heading[chosen], feet[chosen]
        self.tilt, self.root = self.tilt[chosen], self.root[chosen]
        self.local = np.tile(np.eye(3), (len(self.c), 52, 1, 1))
        self._trunk()
        for side in (0, 1):
            self._leg(side, ankles[chosen, side], foot_rotations[chosen, side])
            self.local[:, 10 + side] = turn_x(-toes[chosen, side])
            self._arm(side)

    def get(self, name: str) -> Array:
        return self.c[:, INDEX[name]]

    def _ankles(self) -> tuple[Array, Array, Array]:
        """(F, 2, 3) ankles, (F, 2, 3, 3) global foot rotations and (F, 2) degrees that the toes bend up."""
        ankles, rotations, toes = [], [], []
        flat = np.array([0.0, ANKLE_HEIGHT, 0.0])
        for side, name in enumerate(SIDES):
            sign = 1.0 - 2.0 * side
            extra = self.get(f"{name}_foot_tilt")
            tilt = self.feet.tilt[:, side] + extra
            yaw = self.feet.yaw[:, side] + sign * np.deg2rad(self.get(f"{name}_foot_turn"))
            planned, frame = turn_z(self.feet.yaw[:, side]) @ _UPRIGHT, turn_z(yaw) @ _UPRIGHT
            turn = turn_x(-tilt)
            heel = self.feet.heel[:, side, None]
            offset = heel * (HEEL - turn @ HEEL) + (1 - heel) * (BALL - turn @ BALL) + flat
            # Neither heel nor ball goes through the ground, whatever the tilt does in the air.
            lowest = np.minimum((turn @ HEEL)[:, 1], (turn @ BALL)[:, 1] - BALL[1] + HEEL[1])
            offset[:, 1] = np.maximum(offset[:, 1], -lowest) + self.feet.lift[:, side]
            shift = np.stack(
                [
                    sign * self.get(f"{name}_foot_out"),
                    self.get(f"{name}_foot_up"),
                    self.get(f"{name}_foot_forward"),
                ],
                1,
            )
            # A foot that turns where it stands turns about its ball.
            ankle = apply(frame, offset - BALL) + apply(planned, BALL) + apply(self.upright, shift)
            ankle[:, :2] += self.feet.place[:, side]
            ankles.append(ankle)
            rotations.append(frame @ turn)
            toes.append(np.clip(-tilt, 0.0, 55.0) * self.feet.toe[:, side])
        return np.stack(ankles, 1), np.stack(rotations, 1), np.stack(toes, 1)

    def _trunk(self) -> None:
        self.local[:, 0] = self.root
        bend = np.stack([self.get("spine_pitch"), self.get("spine_yaw"), self.get("spine_roll")], 1)
        chest = self.tilt
        for joint, share in ((3, 0.30), (6, 0.34), (9, 0.36)):
            self.local[:, joint] = exp(np.deg2rad(bend * share))
            chest = chest @ self.local[:, joint]
        head = euler(self.get("head_pitch"), self.get("head_yaw"), self.get("head_roll"))
        half = Rotation.from_matrix(np.swapaxes(chest, 1, 2) @ head).as_rotvec() / 2
        self.local[:, 12] = self.local[:, 15] = exp(half)

    def _pelvis(self, ankles: Array) -> Array:
        """(F, 3) world pelvis, lowered where a leg would not reach its foot."""
        offset = np.stack([self.get("pelvis_left"), np.zeros(len(self.c)), self.get("pelvis_forward")], 1)
        pelvis = apply(self.upright, offset)
        pelvis[:, :2] += self.path
        bound = np.full(len(self.c), np.inf)
        reach = float(_leg_reach(np.deg2rad(MINIMUM_KNEE)))
        for side in (0, 1):
            hip = apply(self.root, _REST[1 + side] - _REST[0])
            flat = ankles[:, side, :2] - pelvis[:, :2] - hip[:, :2]
            up = np.sqrt(np.maximum(reach**2 - (flat**2).sum(1), 0.25 * reach**2))
            # A foot high in the air does not hold the pelvis back: its knee bends anyway.
            free = 1.5 * (self.feet.lift[:, side] + np.maximum(self.get(f"{SIDES[side]}_foot_up"), 0.0))
            bound = np.minimum(bound, ankles[:, side, 2] + up - hip[:, 2] + free)
        pelvis[:, 2] = capped(hip_height() + self.get("pelvis_up"), bound, round(0.13 * self.rate))
        return pelvis

    def _leg(self, side: int, ankle: Array, foot: Array) -> None:
        name, sign = SIDES[side], 1.0 - 2.0 * side
        thigh, shank, hinge = _leg_rest(side)
        rest_bend = np.arctan2(np.dot(np.cross(thigh, shank), hinge), np.dot(thigh, shank))
        hip = self.pelvis + apply(self.root, _REST[1 + side] - _REST[0])
        way = ankle - hip
        a, b = np.linalg.norm(thigh), np.linalg.norm(shank)
        # A leg on its way through the air stays a little bent; one that stands reaches its foot exactly.
        air = np.maximum(self.feet.air[:, side], np.clip(self.get(f"{name}_foot_up") / 0.15, 0, 1))
        longest = float(_leg_reach(np.deg2rad(0.5 * MINIMUM_KNEE)))
        distance = soft_minimum(np.linalg.norm(way, axis=1), longest - 0.006 * air, 0.0004 + 0.016 * air)
        distance = np.maximum(distance, 0.3)
        bend = np.arccos(np.clip((distance**2 - a * a - b * b) / (2 * a * b), -1, 1))
        knee = exp(hinge * (bend - rest_bend)[:, None])
        outward = np.deg2rad(self.get(f"{name}_knee_out")) * sign
        turn = 0.5 * wrap(
            self.feet.yaw[:, side] + sign * np.deg2rad(self.get(f"{name}_foot_turn")) - self.heading
        )
        turn = turn - 0.5 * np.deg2rad(self.get("pelvis_yaw")) + outward
        lateral = apply(self.root, np.stack([np.cos(turn), np.zeros_like(turn), -np.sin(turn)], 1))
        rest_frame = frame(thigh + knee @ shank, np.broadcast_to(hinge, way.shape))
        hip_rotation = frame(way, lateral) @ np.swapaxes(rest_frame, 1, 2)
        self.local[:, 1 + side] = np.swapaxes(self.root, 1, 2) @ hip_rotation
        self.local[:, 4 + side] = knee
        self.local[:, 7 + side] = np.swapaxes(hip_rotation @ knee, 1, 2) @ foot

    def _arm(self, side: int) -> None:
        """All in the left arm's terms; the right one is its mirror image."""
        get = {key: self.get(f"{SIDES[side]}_{key}") for key in _LIMB}
        zero = np.zeros(len(self.c))
        swing = exp(np.deg2rad(np.stack([-get["arm_forward"], zero, get["arm_side"]], 1)))
        raised = np.hypot(get["arm_forward"], get["arm_side"])
        # The shoulder blade takes a share of every raise beyond 30 degrees (scapulohumeral rhythm).
        share = 0.27 * np.logaddexp(0.0, (raised - 30.0) / 8.0) * 8.0
        outward = get["arm_side"] / np.maximum(raised, 1e-6)
        forward = get["arm_forward"] / np.maximum(raised, 1e-6)
        collar = exp(
            np.deg2rad(
                np.stack(
                    [
                        zero,
                        -get["reach"] - 0.5 * share * np.maximum(forward, 0),
                        get["shrug"] + share * (0.4 + 0.5 * outward),
                    ],
                    1,
                )
            )
        )
        upper = swing @ turn_y(-get["arm_twist"]) @ _HANG
        elbow = turn_y(-get["elbow"])
        locals_ = {
            13 + side: collar,
            16 + side: np.swapaxes(collar, 1, 2) @ upper,
            18 + side: elbow @ turn_x(0.5 * get["forearm"]),
            20 + side: turn_x(0.5 * get["forearm"])
            @ turn_z(np.deg2rad(-get["wrist"]))
            @ turn_y(-get["wrist_side"]),
        }
        for joint, matrix in locals_.items():
            self.local[:, joint] = mirror(matrix) if side else matrix
        angles = get["curl"][:, None] * _FINGER_SHARES
        angles[:, :3] += get["index"][:, None]
        fingers = exp(np.deg2rad(angles)[..., None] * _FINGER_AXES)
        first = (22, 37)[side]
        self.local[:, first : first + 15] = mirror(fingers) if side else fingers


def _leg_rest(side: int) -> tuple[Array, Array, Array]:
    hip, knee, ankle = _REST[1 + side], _REST[4 + side], _REST[7 + side]
    hinge = np.cross(knee - hip, ankle - knee)
    return knee - hip, ankle - knee, hinge / np.linalg.norm(hinge)


def _leg_reach(bend: float | Array) -> Array:
    """Distance from hip to ankle with the knee bent by `bend` radians from straight; the shorter of both legs."""
    reaches = []
    for side in (0, 1):
        thigh, shank, _ = _leg_rest(side)
        a, b = np.linalg.norm(thigh), np.linalg.norm(shank)
        reaches.append(np.sqrt(a * a + b * b + 2 * a * b * np.cos(bend)))
    return np.minimum(*reaches)


def _finger_axes() -> tuple[Array, Array]:
    """(15, 3) axes and (15,) shares of the curl for the left hand: index, middle, pinky, ring, thumb."""
    axes: list[Array] = []
    shares: list[float] = []
    palm = np.array([0.0, -1.0, 0.0])
    across = np.array([0.55, -0.75, -0.35])  # the thumb closes towards the fingers and the palm
    scale = {0: 0.85, 1: 1.0, 2: 1.15, 3: 1.08, 4: 0.45}
    for finger in range(5):
        first, last = 22 + 3 * finger, 24 + 3 * finger
        bone = _REST[last] - _REST[first]
        axis = np.cross(bone, across if finger == 4 else palm)
        for part in (0.85, 1.1, 0.7):
            axes.append(axis / np.linalg.norm(axis))
            shares.append(scale[finger] * part)
    return np.array(axes), np.array(shares)


_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
_HANG = turn_z(np.array([-np.pi / 2]))[0]
_FINGER_AXES, _FINGER_SHARES = _finger_axes()
