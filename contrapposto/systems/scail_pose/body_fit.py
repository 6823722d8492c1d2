"""People of a video as motions of the figure: joints before the camera to rotations of the SMPL-H skeleton.

The figure takes a person's directions and keeps its own lengths; so what it does looks like what was seen, whatever the
person's size, and feeds everything else in the suite. The vertical comes from people who stand straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.ik import InverseKinematics
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPLH52
from contrapposto.systems.scail_pose.clean import Track
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.smoothing import fill_gaps

# The 24 joints in the figure's: the last two are where the fingers begin.
_IN_FIGURE = (*range(22), 25, 40)
_CAMERA_TO_WORLD = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
_HIPS, _SHOULDERS, _NECK, _HEAD = [1, 2], [16, 17], 12, 15
_TARGETS = (1, 2, 4, 5, 7, 8, 10, 11, 15, 16, 17, 18, 19, 20, 21, 22, 23)
_CHAINS = ((1, 4, 7, 10), (2, 5, 8, 11), (16, 18, 20, 22), (17, 19, 21, 23))
# Radians by which a joint turns easily. Spine and collars turn little; ankles, wrists and the head a bit.
_FREEDOM = {0: 3.0, 1: 1.5, 2: 1.5, 4: 1.5, 5: 1.5, 16: 1.5, 17: 1.5, 18: 1.5, 19: 1.5}
_STIFF = {3: 0.3, 6: 0.3, 9: 0.3, 13: 0.25, 14: 0.25, 12: 0.5, 15: 0.3, 7: 0.7, 8: 0.7, 20: 0.7, 21: 0.7}
_FOOT_TO_SOLE = 0.02  # metres from the joint of the toes to the floor, about
_STRAIGHT, _LEAST_TILT, _STEEPEST = 0.97, 6.0, 35.0
_LEVEL = 0.15  # metres by which one foot may seem higher than the other and both stand
_STANDING, _LIFTED = 0.03, 0.09  # metres of an ankle above its place on the floor
_CHUNK = 512


def clip_motions(clip: ClipPoses) -> dict[int, Motion]:
    """A motion for each person of a clip by their number, from their first frame to their last.

    All share one world: z up, metres, the camera above the origin and looking along +y. Everybody stands on the floor
    at 0 and is taken to be of the figure's size. `metadata["start"]` is the time in seconds at which a motion begins
    in the clip. People whose shoulders are never known are left out.
    """
    seen = {}
    for person in (person for frame in clip.frames for person in frame):
        if np.shape(person.joints) != (24, 3):
            shape = str(np.shape(person.joints))
            raise InputError("People with other joints cannot be motion.", found=shape, expected="(24, 3)")
    for number in clip.ids:
        track = Track.of(clip.frames, number)
        frames = np.flatnonzero(track.seen)
        joints = track.joints[frames[0] : frames[-1] + 1]
        if np.isfinite(joints[:, _SHOULDERS]).all(axis=(1, 2)).any():
            seen[number] = frames[0] / clip.fps, joints
    world = camera_to_world([joints for _, joints in seen.values()])
    return {
        number: fit_figure(
            joints, clip.fps, world=world, metadata={"person": str(number), "start": f"{start:.3f}"}
        )
        for number, (start, joints) in seen.items()
    }


def camera_to_world(people: Sequence[np.ndarray]) -> np.ndarray:
    """Rotation (3, 3) from camera space to z up, y away from the camera.

    Up is where the necks of people are above their feet, on average over the frames in which a person is as long as
    they ever are; where that is near the camera's own up (people lean a little when they walk) or far from it (they
    lie), or nobody's feet are seen, it is the camera's.

    Args:
        people: (T, 24, 3) joints of each person in camera space.
    """
    ups = []
    for joints in people:
        away = joints[:, _NECK] - joints[:, [7, 8]].mean(axis=1)
        length = np.linalg.norm(away, axis=-1)
        known = np.isfinite(length)
        if known.any():
            straight = known & (length >= _STRAIGHT * np.nanpercentile(length[known], 95))
            ups.append((away[straight] / length[straight, None]) @ _CAMERA_TO_WORLD.T)
    up = np.concatenate(ups).mean(axis=0) if ups else np.array([0.0, 0, 1])
    up /= max(np.linalg.norm(up), 1e-9)
    if not np.cos(np.radians(_STEEPEST)) <= up[2] <= np.cos(np.radians(_LEAST_TILT)):
        return _CAMERA_TO_WORLD
    # The shortest turn that takes `up` to z.
    cross = np.array([up[1], -up[0], 0.0])
    skew = np.array([[0, 0, cross[1]], [0, 0, -cross[0]], [-cross[1], cross[0], 0]])
    return (np.eye(3) + skew + skew @ skew / (1 + up[2])) @ _CAMERA_TO_WORLD


@torch.no_grad()
def fit_figure(
    joints: np.ndarray,
    fps: float,
    *,
    world: np.ndarray | None = None,
    metadata: dict[str, str] | None = None,
) -> Motion:
    """Motion of the SMPL-H figure that goes in the directions of a person's bones.

    Feet that are near the floor stand on it, flat. The floor is where the feet are when they are low, at height 0.

    Args:
        joints: (T, 24, 3) millimetres in camera space, NaN where unknown. Gaps are bridged; what is never known hangs
            as it does at rest.
        fps: frames per second.
        world: (3, 3) rotation from the camera's axes; `camera_to_world` of these joints if absent.
        metadata: of the motion.

    Raises:
        InputError: the shoulders are never known.
    """
    if joints.ndim != 3 or joints.shape[1:] != (24, 3):
        raise InputError("Joints", found=f"shape {joints.shape}", expected="(T, 24, 3)")
    world = camera_to_world([joints]) if world is None else world
    person = _whole(joints @ world.T / 1000)
    person *= _size(person)
    turn = _trunk(person)
    targets = _on_floor(_targets(person, turn))
    turns, shift = _solve(turn, targets)
    motion = Motion(turns, shift, fps, metadata={"source": "video", **(metadata or {})})
    return motion.transform(np.eye(3), (0, 0, -_floor(motion)))


def _solve(turn: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angles (T, 52, 3) and root translation (T, 3) for targets (T, 24, 3), the pelvis turned about so."""
    rest = torch.from_numpy(SMPLH52.rest_positions)
    prior = torch.eye(3).repeat(len(turn), SMPLH52.num_joints, 1, 1)
    prior[:, 0] = torch.from_numpy(turn).float()
    pelvis = torch.from_numpy(targets[:, 0]).float() - rest[0]
    goal = torch.from_numpy(targets[:, list(_TARGETS)]).float()
    parts = zip(prior.split(_CHUNK), pelvis.split(_CHUNK), goal.split(_CHUNK))
    turns, shift = (torch.cat(solved) for solved in zip(*(_solver()(*part) for part in parts)))
    return rot.matrix_to_axis_angle(turns).numpy(), shift.numpy()


def _whole(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 24, 3), z up, metres, with all gaps bridged and what is never known put where it is at rest."""
    count = len(joints)
    known = np.isfinite(joints).all(axis=-1)
    if not known[:, _SHOULDERS].all(axis=1).any():
        raise InputError("The shoulders of a person are never known.", fix="take a clip that shows them")
    whole = fill_gaps(joints, count)
    for joint in range(24):
        there = np.flatnonzero(np.isfinite(whole[:, joint, 0]))
        if len(there):
            whole[: there[0], joint], whole[there[-1] :, joint] = (
                whole[there[0], joint],
                whole[there[-1], joint],
            )
    rest = _rest()
    width = np.linalg.norm(whole[:, 16] - whole[:, 17], axis=-1).max() / np.linalg.norm(rest[16] - rest[17])
    across = _unit((whole[:, 16] - whole[:, 17]) * [1, 1, 0], np.array([1.0, 0, 0]))
    up = np.broadcast_to(np.array([0.0, 0, 1]), across.shape)
    standing = np.stack([across, up, np.cross(across, up)], axis=-1)
    middle = whole[:, _SHOULDERS].mean(axis=1)
    for joint in range(24):
        if not np.isfinite(whole[:, joint]).all():
            away = (rest[joint] - rest[_SHOULDERS].mean(axis=0)) * width
            whole[:, joint] = middle + standing @ away
    return whole


def _size(person: np.ndarray) -> float:
    """The figure's size over the person's, by legs, arms and trunk."""
    rest = _rest()
    ends = np.array([pair for chain in _CHAINS for pair in pairwise(chain[:3])])
    lengths = np.linalg.norm(person[:, ends[:, 0]] - person[:, ends[:, 1]], axis=-1)
    trunk = np.linalg.norm(person[:, _HIPS].mean(axis=1) - person[:, _SHOULDERS].mean(axis=1), axis=-1)
    own = np.linalg.norm(rest[ends[:, 0]] - rest[ends[:, 1]], axis=-1).sum()
    own += np.linalg.norm(rest[_HIPS].mean(axis=0) - rest[_SHOULDERS].mean(axis=0))
    return float(own / np.median(lengths.sum(axis=1) + trunk))


def _trunk(person: np.ndarray) -> np.ndarray:
    """(T, 3, 3) rotation of the pelvis: its x along the hips, its y as far as can be along the back."""
    across = _unit(person[:, 1] - person[:, 2], np.array([1.0, 0, 0]))
    back = person[:, _SHOULDERS].mean(axis=1) - person[:, _HIPS].mean(axis=1)
    up = _unit(back - (back * across).sum(-1, keepdims=True) * across, np.array([0.0, 0, 1]))
    return np.stack([across, up, np.cross(across, up)], axis=-1)


def _targets(person: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(T, 24, 3) where the figure's joints should be: the person's directions, the figure's lengths."""
    rest = _rest()
    goal = np.zeros_like(person)
    hips = person[:, _HIPS].mean(axis=1)
    for joint in (0, *_HIPS):
        goal[:, joint] = hips + turn @ (rest[joint] - rest[_HIPS].mean(axis=0))
    # Bent backs are shorter: the person's own length of the back, in the figure's size, up to the figure's.
    back = person[:, _SHOULDERS].mean(axis=1) - hips
    own = np.linalg.norm(rest[_SHOULDERS].mean(axis=0) - rest[_HIPS].mean(axis=0))
    middle = hips + own * _unit(back, np.array([0.0, 0, 1]))
    across = _unit(person[:, 16] - person[:, 17], np.array([1.0, 0, 0]))
    half = np.linalg.norm(rest[16] - rest[17]) / 2
    goal[:, 16], goal[:, 17] = middle + half * across, middle - half * across
    head = person[:, _HEAD] - person[:, _SHOULDERS].mean(axis=1)
    goal[:, _HEAD] = middle + np.linalg.norm(rest[_HEAD] - rest[_SHOULDERS].mean(axis=0)) * _unit(
        head, np.array([0.0, 0, 1])
    )
    for chain in _CHAINS:
        for above, joint in pairwise(chain):
            way = _unit(person[:, joint] - person[:, above], np.array([0.0, 0, -1]))
            goal[:, joint] = goal[:, above] + np.linalg.norm(rest[joint] - rest[above]) * way
    return goal


def _on_floor(goal: np.ndarray) -> np.ndarray:
    """Targets (T, 24, 3) with feet that are low level with each other and flat.

    Heights of feet are the worst that a single camera sees: one foot may seem lower than the other for a whole clip.
    """
    goal, rest = goal.copy(), _rest()
    low = {ankle: float(np.percentile(goal[:, ankle, 2], 10)) for ankle in (7, 8)}
    floor = min(low.values())
    for ankle, toe in ((7, 10), (8, 11)):
        if low[ankle] - floor < _LEVEL:
            goal[:, [ankle, toe], 2] -= low[ankle] - floor
        planted = np.clip((_LIFTED - (goal[:, ankle, 2] - floor)) / (_LIFTED - _STANDING), 0, 1)[:, None]
        goal[:, ankle, 2:] += planted * (floor - goal[:, ankle, 2:])
        foot = rest[toe] - rest[ankle]
        ahead = _unit((goal[:, toe] - goal[:, ankle]) * [1, 1, 0], np.array([0.0, -1, 0]))
        flat = np.hypot(foot[0], foot[2]) * ahead + np.array([0, 0, foot[1]])
        way = (1 - planted) * (goal[:, toe] - goal[:, ankle]) + planted * flat
        goal[:, toe] = goal[:, ankle] + np.linalg.norm(foot) * _unit(way, flat)
    return goal


def _floor(motion: Motion) -> float:
    """Height of the lowest feet, metres: that of the toes in the lowest twentieth of the frames."""
    lowest = motion.joint_positions()[:, [10, 11], 2].min(axis=1)
    return float(np.percentile(lowest, 5)) - _FOOT_TO_SOLE


@cache
def _solver() -> InverseKinematics:
    freedom = torch.zeros(SMPLH52.num_joints)
    for joint, angle in {**_FREEDOM, **_STIFF}.items():
        freedom[joint] = angle
    offsets = torch.from_numpy(SMPLH52.offsets)
    targets = [_IN_FIGURE[joint] for joint in _TARGETS]
    return InverseKinematics(
        SMPLH52.parents, offsets, targets, freedom, position_tolerance=0.01, iterations=12
    )


def _rest() -> np.ndarray:
    return SMPLH52.rest_positions[list(_IN_FIGURE)].astype(np.float64)


def _unit(vectors: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) of length 1; those of no length are replaced."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), otherwise)
