"""Key frames and points in space, one frame after the other, out of what is followed in the images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.background import Tracks
from contrapposto.systems.scail_pose.bundle import Bundle, adjust

FEW = 30  # points that two frames must share
SURE = 1.0  # pixels of an error of a point that is followed well
_WORST = 3.0  # pixels: beyond, it is no point of the background
_ANGLE = 0.02  # radians between rays of a point whose place is known
_FIRST = 12  # key frames among which the second camera is chosen

Pose = tuple[np.ndarray, np.ndarray]  # turn (3, 3) and shift (3,) from the first frame's axes to a camera's


def solve(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> Bundle | None:
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
    points = triangulated(seen, keys, poses)
    for done, row in enumerate(order):
        near = min(poses, key=lambda other: (abs(other - row), other))
        guess = (turns[row] @ turns[near].T @ poses[near][0], poses[near][1])
        pose = placed(seen, keys[row], points, guess, focal)
        if pose is None:
            continue
        poses[row] = pose
        points = {**triangulated(seen, keys, poses), **points}
        if done % 3 == 2:
            poses, points = _refined(seen, keys, poses, points, focal, steps=4)
            points = {**triangulated(seen, keys, poses), **points}
    if len(poses) < len(keys):
        return None
    for _ in range(2):
        poses, points = _refined(seen, keys, poses, points, focal, steps=12)
        points = {**triangulated(seen, keys, poses), **points}
    return _bundle(seen, keys, poses, points, focal)


def _first_pairs(seen: Tracks, keys: list[int], turns: np.ndarray, focal: float) -> list[tuple[int, Pose]]:
    """The key frame that shares most with the first and has moved most, and where its camera may be.

    The points may lie in a plane or not: both are tried (Hartley and Zisserman 2004, chapters 9 and 13).
    """
    import cv2

    best, chosen = 0.0, 0
    for row in range(1, min(len(keys), _FIRST)):
        _, at, there = seen.shared(keys[0], keys[row])
        if len(at) < FEW:
            break
        turned = directions(at) @ turns[row].T
        parallax = float(np.percentile(np.linalg.norm(turned[:, :2] / turned[:, 2:] - there, axis=1), 75))
        value = min(parallax * focal, 25.0) * min(len(at), 100)
        best, chosen = max((best, chosen), (value, row))
    if not chosen:
        return []
    _, at, there = seen.shared(keys[0], keys[chosen])
    pairs = []
    matrix, inside = cv2.findEssentialMat(at, there, np.eye(3), cv2.RANSAC, 0.999, SURE / focal)
    if matrix is not None and matrix.shape == (3, 3):
        _, turn, shift, _ = cv2.recoverPose(matrix, at, there, np.eye(3), mask=inside.copy())
        pairs.append((turn, shift.ravel()))
    plane, inside = cv2.findHomography(at, there, cv2.RANSAC, 2 * SURE / focal)
    if plane is not None and inside.sum() >= FEW // 2:
        _, some_turns, some_shifts, normals = cv2.decomposeHomographyMat(plane, np.eye(3))
        front = directions(at[inside.ravel() > 0])
        for turn, shift, normal in zip(some_turns, some_shifts, normals):
            if np.median(front @ normal) > 0 and np.linalg.norm(shift) > 1e-6:
                pairs.append((turn, shift.ravel() / np.linalg.norm(shift)))
    return [(chosen, pair) for pair in pairs]


def triangulated(seen: Tracks, keys: list[int], poses: dict[int, Pose]) -> dict[int, np.ndarray]:
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
    away = np.einsum("nji,nj->ni", turns[camera], directions(ray))
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
    places_of = dict(zip(unique[known].tolist(), solved))
    behind = np.einsum(
        "nij,nj->ni", turns[camera], np.stack([places_of.get(n, np.zeros(3)) for n in number.tolist()])
    )
    wrong = set(number[(behind + shifts[camera])[:, 2] <= 0].tolist())
    return {n: place for n, place in places_of.items() if n not in wrong}


def placed(
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
        places, at[known], np.eye(3), None, turn, shift, True, 200, 2 * SURE / focal
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
    refined = adjust(start, SURE / focal, free_points=False, steps=5)
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
    bundle = adjust(_bundle(seen, keys, poses, points, focal), SURE / focal, steps=steps)
    moved = {row: (bundle.turns[i], bundle.shifts[i]) for i, row in enumerate(rows)}
    return moved, triangulated(seen, keys, moved)


def directions(rays: np.ndarray) -> np.ndarray:
    """(n, 3) unit vectors of rays (n, 2)."""
    whole = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True))
