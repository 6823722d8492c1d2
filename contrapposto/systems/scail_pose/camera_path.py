"""How a camera moves, out of points of the background: turns alone where nothing else shows, else places as well."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from contrapposto.systems.scail_pose.background import Tracks
from contrapposto.systems.scail_pose.bundle import Bundle
from contrapposto.systems.scail_pose.structure import FEW, SURE, directions, placed, solve, triangulated

_STILL = 0.4  # pixels by which points move before a camera that stands still, at most
_STRIDE = 14.0  # pixels from one key frame to the next
_PARALLAX = 3.0  # pixels that turns leave unexplained where a camera goes somewhere
_SPAN = 3  # key frames whose turn is compared with what is seen


@dataclass(frozen=True, eq=False)
class CameraPath:
    """A camera over T frames, its first frame at the origin.

    Attributes:
        turns: (T, 3, 3) from the first frame's axes to those of each frame.
        places: (T, 3) in the first frame's axes; their unit is unknown.
        points: (P, 3) of the background whose places are known, in the same unit.
    """

    turns: np.ndarray
    places: np.ndarray
    points: np.ndarray

    @property
    def moves(self) -> bool:
        """Whether the camera goes somewhere, and not only turns."""
        return len(self.points) > 0

    @property
    def turned(self) -> float:
        """The largest angle between the first frame and another, degrees."""
        cosines = (np.trace(self.turns, axis1=1, axis2=2) - 1) / 2
        return float(np.degrees(np.arccos(cosines.clip(-1, 1)).max()))


def camera_path(tracks: Tracks, count: int, intrinsics: np.ndarray) -> CameraPath:
    """The path over `count` frames.

    Args:
        tracks: of the background, mostly.
        count: frames.
        intrinsics: (3, 3) of the camera.
    """
    rays = (tracks.pixels - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    focal = float(intrinsics[0, 0])
    seen = Tracks(tracks.frames, tracks.points, rays)
    keys = key_frames(seen, count, _STRIDE / focal)
    turns = _chained(seen, keys, focal)
    if len(keys) < 3 or not _goes(seen, keys, turns, focal):
        return _turning(seen, keys, turns, count, focal)
    bundle = solve(seen, keys, turns, focal)
    if bundle is None:
        return _turning(seen, keys, turns, count, focal)
    return _between(bundle, seen, keys, count, focal)


def key_frames(seen: Tracks, count: int, stride: float) -> list[int]:
    """Frames from one of which to the next points move by `stride` on average, or go out of sight."""
    keys = [0]
    for frame in range(1, count):
        numbers, at, there = seen.shared(keys[-1], frame)
        far = len(numbers) < FEW or np.median(np.linalg.norm(there - at, axis=1)) > stride
        if far and frame - 1 > keys[-1] and len(numbers) < FEW:
            keys.append(frame - 1)
        elif far:
            keys.append(frame)
    if keys[-1] != count - 1:
        keys.append(count - 1)
    return keys


def turn_between(first: np.ndarray, second: np.ndarray, expected: float) -> np.ndarray:
    """(3, 3) rotation from rays (n, 2) of one frame to those of another, most of which it explains."""
    a, b = (directions(rays) for rays in (first, second))
    weights, turn = np.ones(len(a)), np.eye(3)
    for _ in range(10 if len(a) >= 3 else 0):
        u, _, vt = np.linalg.svd(np.einsum("n,ni,nj->ij", weights, b, a))
        turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        errors = np.linalg.norm(b - a @ turn.T, axis=1)
        weights = 1 / (1 + (errors / (2 * expected)) ** 2) ** 2
    return turn


def _chained(seen: Tracks, frames: list[int], focal: float) -> np.ndarray:
    """(n, 3, 3) turns of some frames against the first, one after the other."""
    turns = [np.eye(3)]
    for last, frame in pairwise(frames):
        _, at, there = seen.shared(last, frame)
        turns.append(turn_between(at, there, SURE / focal) @ turns[-1])
    return np.array(turns)


def _goes(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> bool:
    """Whether turns leave more unexplained than errors of points are large."""
    left = []
    for row in range(len(keys)):
        other = min(row + _SPAN, len(keys) - 1)
        _, at, there = seen.shared(keys[row], keys[other])
        if other > row and len(at) >= FEW:
            turned = directions(at) @ turn_between(at, there, SURE / focal).T
            left.append(np.percentile(np.linalg.norm(turned[:, :2] / turned[:, 2:] - there, axis=1), 75))
    return bool(left) and float(np.median(left)) * focal > _PARALLAX


def _turning(seen: Tracks, keys: list[int], turns: np.ndarray, count: int, focal: float) -> CameraPath:
    every = np.zeros((count, 3, 3))
    for row, key in enumerate(keys):
        stop = keys[row + 1] if row + 1 < len(keys) else count
        for frame in range(key, stop):
            _, at, there = seen.shared(key, frame)
            moved = len(at) >= 3 and np.median(np.linalg.norm(there - at, axis=1)) * focal > _STILL
            every[frame] = (turn_between(at, there, SURE / focal) if moved else np.eye(3)) @ turns[row]
    return CameraPath(every, np.zeros((count, 3)), np.zeros((0, 3)))


def _between(bundle: Bundle, seen: Tracks, keys: list[int], count: int, focal: float) -> CameraPath:
    """All frames: those between key frames from the points that are known."""
    poses = {row: (bundle.turns[row], bundle.shifts[row]) for row in range(len(keys))}
    points = triangulated(seen, keys, poses)
    turns, places = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for row, key in enumerate(keys):
        stop = keys[row + 1] if row + 1 < len(keys) else count
        pose = poses[row]
        for frame in range(key, stop):
            if frame > key:
                pose = placed(seen, frame, points, pose, focal) or pose
            turns[frame], places[frame] = pose[0], -pose[0].T @ pose[1]
    return CameraPath(turns, places, bundle.points)
