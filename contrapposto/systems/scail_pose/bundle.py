"""Cameras and points in space that fit what the cameras saw: bundle adjustment (Triggs and others, 2000)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

_STEPS = 15
_HUBER = 1.5  # errors above so many times the expected one count less


@dataclass(frozen=True, eq=False)
class Bundle:
    """Cameras, points, and observations of the points by the cameras.

    Attributes:
        turns, shifts: (C, 3, 3) and (C, 3): a point X is at turns X + shifts before a camera.
        points: (P, 3).
        camera, point: (n,) of each observation.
        seen: (n, 2) pixels less the principal point, over the focal length.
    """

    turns: np.ndarray
    shifts: np.ndarray
    points: np.ndarray
    camera: np.ndarray
    point: np.ndarray
    seen: np.ndarray

    def places(self) -> np.ndarray:
        """(n, 3) each observation's point before its camera."""
        turned = np.einsum("nij,nj->ni", self.turns[self.camera], self.points[self.point])
        return np.asarray(turned + self.shifts[self.camera])

    def errors(self) -> np.ndarray:
        """(n, 2) where points should be seen less where they are."""
        places = self.places()
        return np.asarray(places[:, :2] / np.maximum(places[:, 2:], 1e-6) - self.seen)


def adjust(bundle: Bundle, expected: float, *, free_points: bool = True, steps: int = _STEPS) -> Bundle:
    """The bundle with the least errors (Levenberg-Marquardt); the first camera stays.

    Args:
        bundle: near the solution.
        expected: error of an observation, in the unit of `seen`.
        free_points: whether points move as well as cameras.
        steps: at most.
    """
    damping, cost = 1e-3, _cost(bundle, expected)
    for _ in range(steps):
        moved = _step(bundle, expected, damping, free_points)
        new = _cost(moved, expected)
        if new < cost:
            done = cost - new < 1e-5 * cost
            bundle, cost, damping = moved, new, max(damping / 5, 1e-8)
            if done:
                break
        else:
            damping *= 8
            if damping > 1e4:
                break
    return bundle


def _cost(bundle: Bundle, expected: float) -> float:
    size = np.linalg.norm(bundle.errors(), axis=1) / expected
    cost = np.where(size < _HUBER, size**2, 2 * _HUBER * size - _HUBER**2).sum()
    return float(cost) if (bundle.places()[:, 2] > 0).mean() > 0.9 else float("inf")


def _step(bundle: Bundle, expected: float, damping: float, free_points: bool) -> Bundle:
    """One step of the normal equations, points eliminated first (Schur complement)."""
    to_camera, to_point, errors = _derivatives(bundle)
    size = np.linalg.norm(errors, axis=1) / expected
    weights = np.where(bundle.places()[:, 2] > 0, np.minimum(1, _HUBER / np.maximum(size, 1e-9)), 0.0)
    cameras, count = len(bundle.turns), len(bundle.points)
    weighted = to_camera * weights[:, None, None]
    own = np.zeros((cameras, 6, 6))
    np.add.at(own, bundle.camera, np.einsum("nki,nkj->nij", weighted, to_camera))
    pull = np.zeros((cameras, 6))
    np.add.at(pull, bundle.camera, -np.einsum("nki,nk->ni", weighted, errors))
    system = np.zeros((cameras, 6, cameras, 6))
    system[np.arange(cameras), :, np.arange(cameras)] = own * (1 + damping * np.eye(6)) + 1e-9 * np.eye(6)
    if free_points:
        block = np.zeros((count, 3, 3))
        np.add.at(block, bundle.point, np.einsum("nki,nkj,n->nij", to_point, to_point, weights))
        block = block * (1 + damping * np.eye(3)) + 1e-9 * np.eye(3)
        inverse = np.linalg.inv(block)
        push = np.zeros((count, 3))
        np.add.at(push, bundle.point, -np.einsum("nki,nk,n->ni", to_point, errors, weights))
        cross = np.zeros((count, cameras, 6, 3))
        np.add.at(cross, (bundle.point, bundle.camera), np.einsum("nki,nkj->nij", weighted, to_point))
        carried = cross @ inverse[:, None]
        flat = carried.transpose(1, 2, 0, 3).reshape(cameras * 6, -1)
        other = cross.transpose(1, 2, 0, 3).reshape(cameras * 6, -1)
        system -= (flat @ other.T).reshape(system.shape)
        pull -= (flat @ push.ravel()).reshape(pull.shape)
    change = np.zeros((cameras, 6))
    if cameras > 1:
        flat_system = system[1:, :, 1:].reshape(6 * (cameras - 1), -1)
        change[1:] = np.linalg.solve(flat_system, pull[1:].ravel()).reshape(-1, 6)
    points = bundle.points
    if free_points:
        rest = push - np.einsum("pcij,ci->pj", cross, change)
        points = points + np.einsum("pij,pj->pi", inverse, rest)
    turns = Rotation.from_rotvec(change[:, :3]).as_matrix() @ bundle.turns
    return replace(bundle, turns=turns, shifts=bundle.shifts + change[:, 3:], points=points)


def _derivatives(bundle: Bundle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the errors: by the camera's turn and shift (n, 2, 6), by the point (n, 2, 3); and the errors (n, 2)."""
    places = bundle.places()
    turned = places - bundle.shifts[bundle.camera]
    depth = np.maximum(places[:, 2], 1e-6)
    by_place = np.zeros((len(places), 2, 3))
    by_place[:, [0, 1], [0, 1]] = 1 / depth[:, None]
    by_place[:, :, 2] = -places[:, :2] / depth[:, None] ** 2
    by_turn = by_place @ -cross_matrix(turned)
    by_point = by_place @ bundle.turns[bundle.camera]
    return np.concatenate([by_turn, by_place], axis=-1), by_point, bundle.errors()


def cross_matrix(vectors: np.ndarray) -> np.ndarray:
    """(n, 3, 3) that multiply by vectors (n, 3) from the left."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
