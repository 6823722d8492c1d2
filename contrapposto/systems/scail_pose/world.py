"""People before a camera that moves, put where they are in a world that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.camera_path import CameraPath
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, Person
from contrapposto.systems.scail_pose.people import ClipPoses

_TRIALS = 400  # planes that are tried
_NEAR = 0.02  # distance of a point of the floor from it, of the camera's height
_STEEPEST = np.cos(np.radians(40))  # of the floor against the first frame
_LEAST_FLOOR = 0.15  # share of the points
# Joints and their heights above that of the toes, millimetres.
_FEET = ((10, 0.0), (11, 0.0), (7, 55.0), (8, 55.0))
_SOLE = 25.0  # from the joint of the toes to the floor
_LARGEST_CHANGE = 0.25  # of a person's distance
_CALM = 1.0  # seconds over which distances change


def in_world(clip: ClipPoses, path: CameraPath) -> tuple[ClipPoses, dict[str, object]]:
    """The clip with joints as the first frame's camera would see them, levelled, and what is known of the camera.

    The scale of the way comes from people's feet on the floor that the background shows; where there is no floor, from
    feet that stand still. With a floor, each person is as far away as their feet are seen on it.

    Args:
        clip: people before the camera, millimetres.
        path: of the camera, for each frame of the clip.
    """
    known = [[np.shape(person.joints) == (NUM_JOINTS, 3) for person in frame] for frame in clip.frames]
    if not all(all(frame) for frame in known):
        return clip, {"camera": "not known: people have other joints"}
    floor = find_floor(path) if path.moves else None
    scale = 0.0
    if floor is not None:
        scale = _scale_of_floor(clip, path, *floor)
    elif path.moves:
        scale = _scale_of_feet(clip, path)
    level = np.eye(3) if floor is None else _levelling(floor[0])
    frames = []
    for t, frame in enumerate(clip.frames):
        back, place = level @ path.turns[t].T, level @ (scale * path.places[t])
        frames.append([_moved(person, back, place) for person in frame])
    world = replace(clip, frames=frames)
    if floor is not None and scale > 0:
        world = _on_floor(world, level @ (scale * path.places).T, scale * floor[1])
    way = scale * np.linalg.norm(np.diff(path.places, axis=0), axis=1).sum() / 1000
    return world, {
        "turned_degrees": round(path.turned, 1),
        "way_metres": round(float(way), 2),
        "scale_from": "floor" if floor is not None else "feet" if scale > 0 else None,
    }


def find_floor(path: CameraPath) -> tuple[np.ndarray, float] | None:
    """Up (3,) and the height of the first camera above the floor, in the path's unit; None where no floor is seen."""
    points, generator = path.points, np.random.default_rng(0)
    best, on_it = 0, None
    for _ in range(_TRIALS if len(points) >= 20 else 0):
        a, b, c = points[generator.choice(len(points), 3, replace=False)]
        plane = _plane(np.cross(b - a, c - a), a)
        if plane is None:
            continue
        inside = np.abs(points @ plane[0] + plane[1]) < _NEAR * plane[1]
        if inside.sum() > best:
            best, on_it = int(inside.sum()), inside
    if on_it is None or best < _LEAST_FLOOR * len(points):
        return None
    middle = points[on_it].mean(axis=0)
    normal = np.linalg.svd(points[on_it] - middle)[2][2]
    return _plane(normal, middle)


def _plane(normal: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Up and the origin's height above a plane, if it can be a floor."""
    length = np.linalg.norm(normal)
    if length < 1e-9:
        return None
    up = normal / length * (-1 if normal[1] > 0 else 1)
    height = float(-up @ point)
    return (up, height) if -up[1] > _STEEPEST and height > 0 else None


def _scale_of_floor(clip: ClipPoses, path: CameraPath, up: np.ndarray, height: float) -> float:
    """Millimetres of the path's unit: the height of the camera above feet, over that above the floor."""
    ratios = []
    for t, frame in enumerate(clip.frames):
        above = height + up @ path.places[t]
        below = [_lowest(person.joints @ path.turns[t], up) for person in frame]
        ratios += [depth / above for depth in below if np.isfinite(depth) and depth > 0 and above > 0]
    return float(np.median(ratios)) if ratios else 0.0


def _lowest(joints: np.ndarray, up: np.ndarray) -> float:
    """How far the sole of the lowest foot is below the camera."""
    depths = [-up @ joints[joint] + more + _SOLE for joint, more in _FEET if np.isfinite(joints[joint]).all()]
    return max(depths, default=np.nan)


def _scale_of_feet(clip: ClipPoses, path: CameraPath) -> float:
    """Millimetres of the path's unit with which the slower foot of everybody moves least."""
    steps, ways = [], []
    for t in range(1, len(clip.frames)):
        before = {person.id: person for person in clip.frames[t - 1]}
        for person in clip.frames[t]:
            if person.id in before:
                now, last = (
                    p.joints[[7, 8]] @ path.turns[k] for p, k in ((person, t), (before[person.id], t - 1))
                )
                steps.append(now - last)
                ways.append(path.places[t] - path.places[t - 1])
    step, way = np.array(steps), np.array(ways)
    if not len(step) or not np.isfinite(step).all(axis=(1, 2)).any():
        return 0.0
    whole = np.isfinite(step).all(axis=(1, 2))
    step, way = step[whole], way[whole]
    scale = float(np.nanmedian([person.joints[0, 2] for frame in clip.frames for person in frame]))
    scale /= float(np.median(np.linalg.norm(path.points, axis=1)))
    for _ in range(20):
        left = step + scale * way[:, None]
        still = left[np.arange(len(left)), np.linalg.norm(left, axis=2).argmin(axis=1)] - scale * way
        weights = 1 / np.maximum(np.linalg.norm(still + scale * way, axis=1), 5.0)
        if not (weights * (way**2).sum(axis=1)).sum() > 0:
            return 0.0
        scale = -float((weights * (still * way).sum(axis=1)).sum() / (weights * (way**2).sum(axis=1)).sum())
    return max(scale, 0.0)


def _levelling(up: np.ndarray) -> np.ndarray:
    """(3, 3) the shortest turn that takes `up` to -y."""
    cross = np.cross(up, [0.0, -1, 0])
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 - up[1]))


def _moved(person: Person, turn: np.ndarray, place: np.ndarray) -> Person:
    return replace(person, joints=(person.joints @ turn.T + place).astype(np.float32))


def _on_floor(clip: ClipPoses, places: np.ndarray, height: float) -> ClipPoses:
    """People as far from the camera as their lowest foot is seen on the floor.

    Args:
        clip: in the levelled world.
        places: (3, T) of the camera.
        height: of its first place above the floor.
    """
    from scipy.ndimage import median_filter, uniform_filter1d

    frames: list[list[Person]] = [list(frame) for frame in clip.frames]
    window = 2 * round(_CALM * clip.fps / 2) + 1
    up = np.array([0.0, -1, 0])
    for number in clip.ids:
        rows = [(t, i) for t, frame in enumerate(frames) for i, p in enumerate(frame) if p.id == number]
        factors = []
        for t, i in rows:
            below = _lowest(frames[t][i].joints - places[:, t], up)
            factors.append((height - places[1, t]) / below if below > 0 else np.nan)
        factor = np.array(factors)
        known = np.isfinite(factor)
        if not known.any():
            continue
        factor = np.interp(np.arange(len(factor)), np.flatnonzero(known), factor[known])
        factor = factor.clip(1 - _LARGEST_CHANGE, 1 + _LARGEST_CHANGE)
        factor = uniform_filter1d(median_filter(factor, window, mode="nearest"), window, mode="nearest")
        for (t, i), one in zip(rows, factor):
            person = frames[t][i]
            shift = (one - 1) * (person.joints[0] - places[:, t])
            frames[t][i] = replace(person, joints=(person.joints + shift).astype(np.float32))
    return replace(clip, frames=frames)


def at_times(path: CameraPath, times: Sequence[float] | np.ndarray, wanted: np.ndarray) -> CameraPath:
    """The path at other times than its frames'."""
    from scipy.spatial.transform import Rotation, Slerp

    times = np.asarray(times, np.float64)
    if len(times) < 2:
        rows = np.zeros(len(wanted), int)
        return CameraPath(path.turns[rows], path.places[rows], path.points)
    inside = np.clip(wanted, times[0], times[-1])
    turns = Slerp(times, Rotation.from_matrix(path.turns))(inside).as_matrix()
    places = np.stack([np.interp(inside, times, path.places[:, axis]) for axis in range(3)], axis=1)
    return CameraPath(turns, places, path.points)
