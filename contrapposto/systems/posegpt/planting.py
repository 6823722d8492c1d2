"""Feet that stand stay where they stand: contacts of heels and balls, the root moved with them, legs that reach them.

1. A heel or ball touches the floor where it is low and slow for some frames.
2. While both feet touch, the root moves with them: what they slide in common, the whole figure slid.
3. What is left is taken from each foot: the point that touches is held, and a foot that stands flat keeps its orientation.
   Between two contacts the correction changes smoothly, so that steps stay steps.
4. A foot that goes from one place to another does so in the air: it is raised by up to `SWING` in the middle of the way.
5. Hips and knees are solved for the ankles in closed form (two bones); the bend of the knee keeps its plane.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import binary_closing, binary_opening

from contrapposto import rotations as rot
from contrapposto.motion import Motion
from contrapposto.retarget.ground import sole_places
from contrapposto.systems.posegpt.cleanup import gaussian, runs

LOW = 0.045
"""Metres above the floor below which a point of a sole may touch it."""

SLOW = 0.6
"""Metres per second below which it may."""

DRIFT = 0.3
"""Metres per second up to which a slide of both feet is taken from the root: a figure that glides faster goes somewhere."""

SHORTEST = 4
"""Frames of a contact, and of a gap between two contacts that does not count."""

BLEND = 4
"""Frames over which a foot turns flat before it stands and turns away after it."""

SWING = 0.04
"""Metres that a foot is raised to, halfway from one contact to the next, where it shuffles over the floor."""

STRIDE = 0.25
"""Metres from one contact to the next above which it is raised that far; over shorter ways less, in proportion."""

ROOM = 0.995
"""Share of a leg's length up to which it is stretched: a knee that snaps straight jerks."""


def planted(clip: Motion, num_past: int = 0) -> Motion:
    """A clip whose standing feet do not slide.

    Args:
        clip: on a skeleton of the SMPL family; its floor is z = 0.
        num_past: frames at the start that stay.
    """
    if clip.num_frames <= max(num_past, 2 * SHORTEST):
        return clip
    places = sole_places(clip).reshape(-1, 2, 2, 3)
    touches = contacts(places, clip.fps)
    root = _root_shift(places, touches, num_past, clip.fps)
    clip = replace(clip, root_translation=(clip.root_translation + root).astype(np.float32))
    places = places + root[:, None, None]
    turns, joints = (value.numpy().astype(np.float64) for value in clip.kinematics())
    local = clip.local_matrices().numpy().astype(np.float64)
    for side, name in enumerate(("left", "right")):
        hip, knee, ankle = clip.skeleton.index(f"{name}_hip", f"{name}_knee", f"{name}_ankle")
        points = places[:, side] - joints[:, None, ankle]  # from the ankle
        flat = np.all(touches[:, side], axis=-1)
        flat[:num_past] = False
        foot = _held_turn(turns[:, ankle], flat)
        points = np.einsum("fij,fkj->fki", foot @ turns[:, ankle].transpose(0, 2, 1), points)
        target = joints[:, ankle] + _held_place(joints[:, None, ankle] + points, touches[:, side], num_past)
        # No point of the sole goes below the floor, and one that touches is on it.
        lowest = (target[:, None] + points)[..., 2].min(1)
        lift = np.where(touches[:, side].any(-1), -lowest, np.maximum(-lowest, 0))
        lift[:num_past] = 0
        target[:, 2] += np.maximum(
            gaussian(lift[:, None], 1.0)[:, 0], -lowest * (np.arange(len(lift)) >= num_past)
        )
        standing = np.any(touches, axis=-1)
        target[:, 2] += _swing_lift(
            target[:, None] + points, standing[:, side], standing[:, 1 - side], num_past
        )
        thigh, shin = _leg(turns[:, [hip, knee]], joints[:, [hip, knee, ankle]], target)
        above = turns[:, clip.skeleton.parents[hip]]
        for joint, own, parent in ((hip, thigh, above), (knee, shin, thigh), (ankle, foot, shin)):
            local[num_past:, joint] = (parent.transpose(0, 2, 1) @ own)[num_past:]
    rotations = rot.matrix_to_axis_angle(torch.from_numpy(local)).numpy().astype(np.float32)
    rotations[:num_past] = clip.rotations[:num_past]
    return replace(clip, rotations=rotations)


def contacts(places: np.ndarray, fps: float) -> np.ndarray:
    """(F, 2, 2) bool: which points (F, 2, 2, 3) of the soles touch the floor z = 0."""
    speed = np.linalg.norm(np.gradient(places, axis=0), axis=-1) * fps
    touches = (places[..., 2] < LOW) & (speed < SLOW)
    shape = np.ones((SHORTEST, 1, 1), bool)
    # Both ends continue as they are: a clip may begin and end on its feet.
    wide = np.pad(touches, ((SHORTEST, SHORTEST), (0, 0), (0, 0)), mode="edge")
    cleaned: np.ndarray = binary_opening(binary_closing(wide, shape), shape)[SHORTEST:-SHORTEST]
    return cleaned


def _steps(places: np.ndarray, touches: np.ndarray) -> np.ndarray:
    """(F, 2) horizontal step of a foot since the frame before: of the slower of its points (F, 2, 3) that touch in both."""
    steps = np.diff(places[..., :2], axis=0, prepend=places[:1, ..., :2])
    both = touches & np.concatenate([touches[:1], touches[:-1]])
    size = np.where(both, np.linalg.norm(steps, axis=-1), np.inf)
    chosen = np.take_along_axis(steps, size.argmin(1)[:, None, None], axis=1)[:, 0]
    return np.where(both.any(1)[:, None], chosen, 0.0)


def _root_shift(places: np.ndarray, touches: np.ndarray, num_past: int, fps: float) -> np.ndarray:
    """(F, 3) horizontal shift of the root that takes away what both feet slide in common."""
    steps = np.stack([_steps(places[:, side], touches[:, side]) for side in (0, 1)], axis=1).mean(1)
    both = touches.any(-1).all(-1) & (np.linalg.norm(steps, axis=-1) * fps < DRIFT)
    both[: num_past + 1] = False
    shift = np.zeros((len(places), 3))
    shift[:, :2] = -np.cumsum(gaussian(steps * both[:, None], 1.0), axis=0)
    shift[:num_past] = 0
    return shift


def _held_place(places: np.ndarray, touches: np.ndarray, num_past: int) -> np.ndarray:
    """(F, 3) horizontal correction of a foot whose points are (F, 2, 3): it stands still while one of them touches."""
    frames = np.arange(len(places))
    slid = np.cumsum(_steps(places, touches), axis=0)
    known = np.zeros(len(places), bool)
    known[:num_past] = True
    values = np.zeros((len(places), 2))
    for start, end in runs(np.any(touches, axis=-1)):
        if end <= num_past:
            continue
        own = slid[start:end]
        # As near as possible to where it was; a contact of the past goes on where that stood.
        centre = own[num_past - 1 - start] if start < num_past else own.mean(0)
        values[start:end], known[start:end] = centre - own, True
    values[:num_past] = 0
    result = np.zeros_like(places[:, 0])
    if known.any():
        for axis in (0, 1):
            result[:, axis] = _eased(frames, frames[known], values[known, axis])
    return result


def _swing_lift(places: np.ndarray, touches: np.ndarray, other: np.ndarray, num_past: int) -> np.ndarray:
    """(F,) height by which a foot with points (F, 2, 3) is raised on its way between two contacts (F,).

    The other foot (F,) has to stand most of that time, or the figure would hover.
    """
    lowest, lift = places[..., 2].min(1), np.zeros(len(places))
    for start, end in runs(~touches):
        if start <= num_past or end == len(places) or other[start:end].mean() < 0.5:
            continue
        way = np.linalg.norm((places[end] - places[start - 1]).mean(0)[:2])
        phase = np.arange(1, end - start + 1) / (end - start + 1)
        arc = SWING * np.minimum(way / STRIDE, 1.0) * np.sin(np.pi * phase)
        lift[start:end] = np.maximum(arc - lowest[start:end], 0)
    return lift


def _eased(frames: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values between known frames along half a cosine; constant before the first and after the last."""
    after = np.searchsorted(known, frames).clip(0, len(known) - 1)
    before = (after - (known[after] > frames)).clip(0)
    gap = np.maximum(known[after] - known[before], 1)
    share = np.clip((frames - known[before]) / gap, 0, 1)
    share = 0.5 - 0.5 * np.cos(np.pi * share)
    result: np.ndarray = values[before] + share * (values[after] - values[before])
    return result


def _held_turn(turns: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations of a foot that keeps its mean rotation while it stands flat."""
    result = turns.copy()
    weight = np.zeros(len(turns))
    frames = np.arange(len(turns))
    for start, end in runs(flat):
        u, _, v = np.linalg.svd(turns[start:end].mean(0))
        mean = u @ np.diag([1, 1, np.linalg.det(u @ v)]) @ v
        outside = np.maximum(np.maximum(start - frames, frames - end + 1), 0)
        share = 0.5 + 0.5 * np.cos(np.pi * np.minimum(outside / (BLEND + 1), 1))
        better = share > weight
        way = rot.matrix_to_axis_angle(torch.from_numpy(mean.T @ turns[better]))
        # From the mean towards the foot's own rotation.
        part = rot.axis_angle_to_matrix(way * torch.from_numpy(1 - share[better])[:, None]).numpy()
        result[better], weight[better] = mean @ part, share[better]
    return result


def _leg(turns: np.ndarray, joints: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global rotations (F, 3, 3) of thigh and shin that bring the ankle to the target (F, 3).

    Args:
        turns: (F, 2, 3, 3) of thigh and shin as they are.
        joints: (F, 3, 3) of hip, knee and ankle as they are.
        target: of the ankle; out of reach it is approached.
    """
    hip, knee, ankle = joints[:, 0], joints[:, 1], joints[:, 2]
    upper, lower = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(ankle - knee, axis=-1)
    now, wanted = np.linalg.norm(ankle - hip, axis=-1), np.linalg.norm(target - hip, axis=-1)
    # A leg that is stretched further than ROOM already may stay so.
    wanted = np.clip(wanted, np.abs(upper - lower) + 1e-3, np.maximum(ROOM * (upper + lower), now))
    axis = np.cross(knee - hip, ankle - knee)
    size = np.linalg.norm(axis, axis=-1, keepdims=True)
    side = turns[:, 0, :, 0]  # the thigh's own left, about which a knee bends
    axis = np.where(size > 1e-3, axis / np.maximum(size, 1e-9), side)
    bend_hip = _angle(upper, wanted, lower) - _angle(upper, now, lower)
    bend_knee = _angle(upper, lower, wanted) - _angle(upper, lower, now)
    # The knee opens by the change of the inner angle; the thigh turns back by that of the angle at the hip.
    thigh = _turn(axis, -bend_hip)
    shin = thigh @ _turn(axis, -bend_knee)
    new_knee = hip + np.einsum("fij,fj->fi", thigh, knee - hip)
    new_ankle = new_knee + np.einsum("fij,fj->fi", shin, ankle - knee)
    swing = _between(new_ankle - hip, target - hip)
    return swing @ thigh @ turns[:, 0], swing @ shin @ turns[:, 1]


def _angle(first: np.ndarray, second: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """Angle between two sides of a triangle, by the law of cosines."""
    cosine = (first**2 + second**2 - opposite**2) / (2 * first * second)
    result: np.ndarray = np.arccos(np.clip(cosine, -1, 1))
    return result


def _turn(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations about unit axes (F, 3)."""
    return rot.axis_angle_to_matrix(torch.from_numpy(axis * angle[:, None])).numpy()


def _between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(F, 3, 3) the shortest rotation from one direction (F, 3) to another."""
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    axis = np.cross(first, second)
    size = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(size, (first * second).sum(-1))
    return _turn(axis / np.maximum(size, 1e-9)[:, None], angle)
