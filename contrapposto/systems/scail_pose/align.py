"""Camera re-fit: the camera that lays a 3D skeleton over 2D keypoints (docs/specs/scail_pose.md, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.errors import InputError


@dataclass(frozen=True)
class CameraFit:
    """Intrinsics (3, 3) in pixels, zoom `scale` (m) and vertical stretch `aspect` (s) against the old camera."""

    intrinsics: np.ndarray
    scale: float
    aspect: float


def fit_camera(
    points: np.ndarray,
    target: np.ndarray,
    intrinsics: np.ndarray,
    weights: np.ndarray,
    *,
    scale_bounds: tuple[float, float] = (0.7, 1.4),
    aspect_bounds: tuple[float, float] = (0.8, 1.15),
) -> CameraFit:
    """Weighted least squares over u = f m X/Z + cx + p, v = f m s Y/Z + cy + q, solved in closed form.

    Args:
        points: (n, 3) camera space.
        target: (n, 2) pixels.
        intrinsics: (3, 3) the camera that saw the points.
        weights: (n,).
        scale_bounds: of m. aspect_bounds: of s; equal ends fix it.

    Raises:
        InputError: no point, or points behind the camera.
    """
    if len(points) == 0 or not (points[:, 2] > 0).all():
        raise InputError(
            "points of the alignment", found=f"{len(points)}", expected="some, all before the camera"
        )
    rays = points[:, :2].astype(np.float64) / points[:, 2:3] * intrinsics[[0, 1], [0, 1]]
    total = weights.sum()
    ray_mean, target_mean = weights @ rays / total, weights @ target / total
    rays, offsets = rays - ray_mean, target - target_mean
    quadratic, linear = weights @ rays**2, weights @ (rays * offsets)
    zoom = _best_zoom(quadratic, linear, scale_bounds, aspect_bounds)
    fitted = np.array(intrinsics, np.float64)
    fitted[[0, 1], [0, 1]] *= zoom
    fitted[:2, 2] = target_mean - zoom * ray_mean
    return CameraFit(fitted, float(zoom[0]), float(zoom[1] / zoom[0]))


def _best_zoom(
    quadratic: np.ndarray, linear: np.ndarray, scales: tuple[float, float], aspects: tuple[float, float]
) -> np.ndarray:
    """(a, b) that minimises sum(quadratic z^2 - 2 linear z) in the wedge a in scales, b in a * aspects."""
    tiny = np.finfo(np.float64).tiny
    free = linear / np.maximum(quadratic, tiny)
    edges = []
    for s in aspects:
        a = (linear[0] + s * linear[1]) / max(quadratic[0] + s * s * quadratic[1], tiny)
        a = float(np.clip(a, *scales))
        edges.append(np.array([a, s * a]))
    edges += [np.array([a, np.clip(free[1], a * aspects[0], a * aspects[1])]) for a in scales]
    if scales[0] <= free[0] <= scales[1] and aspects[0] * free[0] <= free[1] <= aspects[1] * free[0]:
        return free
    return min(edges, key=lambda zoom: float(quadratic @ zoom**2 - 2 * linear @ zoom))
