"""How a camera moves, out of points of the background: turns alone where nothing else shows, else places as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from contrapposto.systems.scail_pose.background import Tracks
from contrapposto.systems.scail_pose.bundle import Bundle, adjust

_STILL = 0.4  # pixels by which points move before a camera that stands still, at most
_STRIDE = 14.0  # pixels from one key frame to the next
_FEW = 30  # points that two frames must share
_PARALLAX = 3.0  # pixels that turns leave unexplained where a camera goes somewhere
_SURE = 1.0  # pixels of an error of a point that is followed well
_WORST = 3.0  # pixels: beyond, it is no point of the background
_ANGLE = 0.02  # radians between rays of a point whose place is known
_FIRST = 12  # key frames among which the second camera is chosen
_SPAN = 3  # key frames whose turn is compared with what is seen

Pose = tuple[np.ndarray, np.ndarray]  # turn (3, 3) and shift (3,) from the first frame's axes to a camera's

Pose = tuple[np.ndarray, np.ndarray]  # turn (3, 3) and shift (3,) from the first frame's axes to a camera's


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
    bundle = _solved(seen, keys, turns, focal)
    if bundle is None:
        return _turning(seen, keys, turns, count, focal)
    return _between(bundle, seen, keys, count, focal)


def key_frames(seen: Tracks, count: int, stride: float) -> list[int]:
    """Frames from one of which to the next points move by `stride` on average, or go out of sight."""
    keys = [0]
    for frame in range(1, count):
        numbers, at, there = seen.shared(keys[-1], frame)
        far = len(numbers) < _FEW or np.median(np.linalg.norm(there - at, axis=1)) > stride
        if far and frame - 1 > keys[-1] and len(numbers) < _FEW:
            keys.append(frame - 1)
        elif far:
            keys.append(frame)
    if keys[-1] != count - 1:
        keys.append(count - 1)
    return keys


def turn_between(first: np.ndarray, second: np.ndarray, expected: float) -> np.ndarray:
    """(3, 3) rotation from rays (n, 2) of one frame to those of another, most of which it explains."""
    a, b = (_directions(rays) for rays in (first, second))
    weights, turn = np.ones(len(a)), np.eye(3)
    for _ in range(10 if len(a) >= 3 else 0):
        u, _, vt = np.linalg.svd(np.einsum("n,ni,nj->ij", weights, b, a))
        turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        errors = np.linalg.norm(b - a @ turn.T, axis=1)
        weights = 1 / (1 + (errors / (2 * expected)) ** 2) ** 2
    return turn


def _directions(rays: np.ndarray) -> np.ndarray:
    whole = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True))


def _chained(seen: Tracks, frames: list[int], focal: float) -> np.ndarray:
    """(n, 3, 3) turns of some frames against the first, one after the other."""
    turns = [np.eye(3)]
    for last, frame in pairwise(frames):
        _, at, there = seen.shared(last, frame)
        turns.append(turn_between(at, there, _SURE / focal) @ turns[-1])
    return np.array(turns)


def _goes(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> bool:
    """Whether turns leave more unexplained than errors of points are large."""
    left = []
    for row in range(len(keys)):
        other = min(row + _SPAN, len(keys) - 1)
        _, at, there = seen.shared(keys[row], keys[other])
        if other > row and len(at) >= _FEW:
            turned = _directions(at) @ turn_between(at, there, _SURE / focal).T
            left.append(np.percentile(np.linalg.norm(turned[:, :2] / turned[:, 2:] - there, axis=1), 75))
    return bool(left) and float(np.median(left)) * focal > _PARALLAX


def _turning(seen: Tracks, keys: list[int], turns: np.ndarray, count: int, focal: float) -> CameraPath:
    every = np.zeros((count, 3, 3))
    for row, key in enumerate(keys):
        stop = keys[row + 1] if row + 1 < len(keys) else count
        for frame in range(key, stop):
            _, at, there = seen.shared(key, frame)
            moved = len(at) >= 3 and np.median(np.linalg.norm(there - at, axis=1)) * focal > _STILL
            every[frame] = (turn_between(at, there, _SURE / focal) if moved else np.eye(3)) @ turns[row]
    return CameraPath(every, np.zeros((count, 3)), np.zeros((0, 3)))


def _solved(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> Bundle | None:
    """Key frames and points that explain the most; None where no two frames show what is near and what is far."""
    best: Bundle | None = None
    for second, pair in _first_pairs(seen, keys, turns, focal):
        bundle = _grown(seen, keys, turns, second, pair, focal)
        if bundle is not None and (best is None or len(bundle.seen) > len(best.seen)):
            best = bundle
    return best


def _grown(
    seen: Tracks, keys: list[int], turns: np.ndarray, second: int, pair: Pose, focal: float
) -> Bundle | None:
    """Key frames and points, one frame after the other, from the camera of one of the frames."""
    poses: dict[int, Pose] = {0: (np.eye(3), np.zeros(3)), second: pair}
    order = [*range(1, second), *range(second + 1, len(keys))]
    points = _triangulated(seen, keys, poses)
    for done, row in enumerate(order):
        near = min(poses, key=lambda other: (abs(other - row), other))
        guess = (turns[row] @ turns[near].T @ poses[near][0], poses[near][1])
        found = _placed(seen, keys[row], points, guess, focal)
        if found is None:
            continue
        poses[row] = found
        points = {**_triangulated(seen, keys, poses), **points}
        if done % 3 == 2:
            poses, points = _refined(seen, keys, poses, points, focal, steps=4)
            points = {**_triangulated(seen, keys, poses), **points}
    if len(poses) < len(keys):
        return None
    for _ in range(2):
        poses, points = _refined(seen, keys, poses, points, focal, steps=12)
        points = {**_triangulated(seen, keys, poses), **points}
    return _bundle(seen, keys, poses, points, focal)


def _first_pairs(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> list[tuple[int, Pose]]:
    """The key frame that shares most with the first and has moved most, and where its camera may be.

    The points may lie in a plane or not: both are tried (Hartley and Zisserman 2004, chapters 9 and 13).
    """
    import cv2

    best, chosen = 0.0, 0
    for row in range(1, min(len(keys), _FIRST)):
        _, at, there = seen.shared(keys[0], keys[row])
        if len(at) < _FEW:
            break
        turned = _directions(at) @ turns[row].T
        parallax = float(np.percentile(np.linalg.norm(turned[:, :2] / turned[:, 2:] - there, axis=1), 75))
        value = min(parallax * focal, 25.0) * min(len(at), 100)
        best, chosen = max((best, chosen), (value, row))
    if not chosen:
        return []
    _, at, there = seen.shared(keys[0], keys[chosen])
    pairs = []
    matrix, inside = cv2.findEssentialMat(at, there, np.eye(3), cv2.RANSAC, 0.999, _SURE / focal)
    if matrix is not None and matrix.shape == (3, 3):
        _, turn, shift, _ = cv2.recoverPose(matrix, at, there, np.eye(3), mask=inside.copy())
        pairs.append((turn, shift.ravel()))
    plane, inside = cv2.findHomography(at, there, cv2.RANSAC, 2 * _SURE / focal)
    if plane is not None and inside.sum() >= _FEW // 2:
        _, some_turns, some_shifts, normals = cv2.decomposeHomographyMat(plane, np.eye(3))
        front = _directions(at[inside.ravel() > 0])
        for turn, shift, normal in zip(some_turns, some_shifts, normals):
            if np.median(front @ normal) > 0 and np.linalg.norm(shift) > 1e-6:
                pairs.append((turn, shift.ravel() / np.linalg.norm(shift)))
    return [(chosen, pair) for pair in pairs]


def _triangulated(seen: Tracks, keys: list[int], poses: dict[int, Pose]) -> dict[int, np.ndarray]:
    """Points that cameras see from places far enough apart, by number."""
    rows = sorted(poses)
    numbers, rays, cameras = [], [], []
    for row in rows:
        here, at = seen.of(keys[row])
        numbers.append(here)
        rays.append(at)
        cameras.append(np.full(len(here), row))
    number, ray, camera = (np.concatenate(part) for part in (numbers, rays, cameras))
    unique, inverse = np.unique(number, return_inverse=True)
    turns = np.zeros((max(rows) + 1, 3, 3))
    shifts = np.zeros((max(rows) + 1, 3))
    for row in rows:
        turns[row], shifts[row] = poses[row]
    away = np.einsum("nji,nj->ni", turns[camera], _directions(ray))
    places = -np.einsum("nji,nj->ni", turns[camera], shifts[camera])
    # The point nearest to all rays: sum over rays of (I - d d^T)(X - c) = 0.
    across = np.eye(3) - away[:, :, None] * away[:, None]
    total, right = np.zeros((len(unique), 3, 3)), np.zeros((len(unique), 3))
    np.add.at(total, inverse, across)
    np.add.at(right, inverse, np.einsum("nij,nj->ni", across, places))
    count = np.bincount(inverse, minlength=len(unique))
    # The smallest eigenvalue of the mean is about half the squared angle between two rays.
    spread = np.linalg.eigvalsh(total / count[:, None, None])[:, 0]
    known = (count >= 2) & (spread > _ANGLE**2 / 4)
    solved = np.linalg.solve(total[known], right[known][..., None])[..., 0]
    found = dict(zip(unique[known].tolist(), solved))
    behind = np.einsum(
        "nij,nj->ni", turns[camera], np.stack([found.get(n, np.zeros(3)) for n in number.tolist()])
    )
    wrong = set(number[(behind + shifts[camera])[:, 2] <= 0].tolist())
    return {n: place for n, place in found.items() if n not in wrong}


def _placed(
    seen: Tracks,
    frame: int,
    points: dict[int, np.ndarray],
    guess: Pose,
    focal: float,
) -> Pose | None:
    """The camera of a frame that sees points whose places are known."""
    import cv2

    numbers, at = seen.of(frame)
    known = np.array([n in points for n in numbers.tolist()], bool)
    if known.sum() < 8:
        return None
    places = np.stack([points[n] for n in numbers[known].tolist()])
    turn, shift = cv2.Rodrigues(guess[0])[0], guess[1].reshape(3, 1).copy()
    good, turn, shift, inside = cv2.solvePnPRansac(
        places, at[known], np.eye(3), None, turn, shift, True, 200, 2 * _SURE / focal
    )
    if not good or inside is None or len(inside) < 8:
        return None
    chosen = inside.ravel()
    numbers = np.arange(len(chosen))
    start = Bundle(
        np.stack([np.eye(3), cv2.Rodrigues(turn)[0]]),
        np.stack([np.zeros(3), shift.ravel()]),
        places[chosen],
        np.ones(len(chosen), int),
        numbers,
        at[known][chosen],
    )
    refined = adjust(start, _SURE / focal, free_points=False, steps=5)
    return refined.turns[1], refined.shifts[1]


def _bundle(
    seen: Tracks,
    keys: list[int],
    poses: dict[int, Pose],
    points: dict[int, np.ndarray],
    focal: float,
) -> Bundle:
    """What is known, without observations that fit badly and points that are seen once."""
    rows, numbers = sorted(poses), sorted(points)
    place = {n: i for i, n in enumerate(numbers)}
    cameras, which, rays = [], [], []
    for i, row in enumerate(rows):
        here, at = seen.of(keys[row])
        known = [k for k, n in enumerate(here.tolist()) if n in place]
        cameras.append(np.full(len(known), i))
        which.append(np.array([place[n] for n in here[known].tolist()], int))
        rays.append(at[known])
    bundle = Bundle(
        np.stack([poses[row][0] for row in rows]),
        np.stack([poses[row][1] for row in rows]),
        np.stack([points[n] for n in numbers]),
        *(np.concatenate(part) for part in (cameras, which, rays)),
    )
    good = np.linalg.norm(bundle.errors(), axis=1) < _WORST / focal
    good &= bundle.places()[:, 2] > 0
    often = np.bincount(bundle.point[good], minlength=len(numbers)) >= 2
    good &= often[bundle.point]
    renumbered = np.cumsum(often) - 1
    return replace(
        bundle,
        points=bundle.points[often],
        camera=bundle.camera[good],
        point=renumbered[bundle.point[good]],
        seen=bundle.seen[good],
    )


def _refined(
    seen: Tracks,
    keys: list[int],
    poses: dict[int, Pose],
    points: dict[int, np.ndarray],
    focal: float,
    steps: int,
) -> tuple[dict[int, Pose], dict[int, np.ndarray]]:
    rows = sorted(poses)
    bundle = adjust(_bundle(seen, keys, poses, points, focal), _SURE / focal, steps=steps)
    moved = {row: (bundle.turns[i], bundle.shifts[i]) for i, row in enumerate(rows)}
    return moved, _triangulated(seen, keys, moved)


def _between(bundle: Bundle, seen: Tracks, keys: list[int], count: int, focal: float) -> CameraPath:
    """All frames: those between key frames from the points that are known."""
    poses = {row: (bundle.turns[row], bundle.shifts[row]) for row in range(len(keys))}
    points = _triangulated(seen, keys, poses)
    turns, places = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for row, key in enumerate(keys):
        stop = keys[row + 1] if row + 1 < len(keys) else count
        pose = poses[row]
        for frame in range(key, stop):
            if frame > key:
                pose = _placed(seen, frame, points, pose, focal) or pose
            turns[frame], places[frame] = pose[0], -pose[0].T @ pose[1]
    return CameraPath(turns, places, bundle.points)
