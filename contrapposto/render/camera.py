"""Pinhole cameras, framing, and a camera that follows a figure smoothly.

Axes of a camera are OpenCV's: x to the right, y down, z forward. The world is z up, in metres. Pixel (column i, row j)
covers the square from (i, j) to (i + 1, j + 1) of the image plane; its centre is (i + 0.5, j + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from contrapposto.errors import InputError

MAX_PIXELS = 64_000_000
"""Largest image, in pixels after supersampling: about 2 GB of working memory."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera without distortion.

    Args:
        fx, fy: focal lengths in pixels.
        cx, cy: principal point in pixels.
        world_to_camera: (4, 4) rigid transform from world to camera axes.
        width, height: size of the image in pixels.

    Raises:
        InputError: values that are not finite, a focal length that is not positive, an empty or too large image, or
            a transform that is not rigid.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    world_to_camera: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "world_to_camera", np.array(self.world_to_camera, dtype=np.float64))
        check_size(self.width, self.height)
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() or min(self.fx, self.fy) <= 0:
            raise InputError(
                "A camera has intrinsics that cannot be used.",
                found=f"fx {self.fx}, fy {self.fy}, cx {self.cx}, cy {self.cy}",
                expected="finite numbers, focal lengths above zero",
            )
        _check_rigid(self.world_to_camera)

    @classmethod
    def look_at(
        cls,
        position: Sequence[float],
        target: Sequence[float],
        up: Sequence[float] = (0, 0, 1),
        *,
        fov_degrees: float = 40.0,
        size: tuple[int, int] = (512, 512),
    ) -> Camera:
        """A camera at `position` that looks at `target`.

        Args:
            position, target: points of the world in metres.
            up: direction that is upwards in the image.
            fov_degrees: field of view across the longer side of the image.
            size: width and height in pixels.

        Raises:
            InputError: position and target coincide, values are not finite, or the field of view is not in (0, 180).
        """
        eye, centre, above = (np.asarray(x, dtype=np.float64).reshape(3) for x in (position, target, up))
        forward = centre - eye
        if not np.isfinite([eye, centre, above]).all() or np.linalg.norm(forward) < 1e-9:
            raise InputError(
                "A camera needs a place and another place to look at.", found=f"{eye} and {centre}"
            )
        rotation = _look_rotation(forward, above)
        transform = np.eye(4)
        transform[:3, :3] = rotation
        transform[:3, 3] = -rotation @ eye
        focal = _focal(fov_degrees, size)
        return cls(focal, focal, size[0] / 2, size[1] / 2, transform, *size)

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) rotation from world to camera axes; its rows are the camera's right, down and forward."""
        return self.world_to_camera[:3, :3]

    @property
    def position(self) -> np.ndarray:
        """(3,) centre of projection in the world, metres."""
        return -self.rotation.T @ self.world_to_camera[:3, 3]

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in camera axes, metres."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.world_to_camera[:3, 3]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates (..., 2) and depths (...) of world points (..., 3).

        Depth is the distance along the viewing axis, metres; points at or behind the camera get NaN coordinates.
        """
        local = self.to_camera(points)
        depth = local[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = local[..., :2] / depth[..., None] * [self.fx, self.fy] + [self.cx, self.cy]
        return np.where(depth[..., None] > 0, pixels, np.nan), depth

    def rays(self, pixels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rays of pixel coordinates (..., 2), or of all pixel centres (height, width, 2).

        Returns:
            Origins and unit directions in the world, both (..., 3).
        """
        if pixels is None:
            pixels = np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), axis=-1) + 0.5
        plane = (np.asarray(pixels, np.float64) - [self.cx, self.cy]) / [self.fx, self.fy]
        local = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
        directions = local @ self.rotation
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return np.broadcast_to(self.position, directions.shape), directions

    def resized(self, factor: float) -> Camera:
        """The same view in an image `factor` times as wide and as high."""
        return replace(
            self,
            fx=self.fx * factor,
            fy=self.fy * factor,
            cx=self.cx * factor,
            cy=self.cy * factor,
            width=round(self.width * factor),
            height=round(self.height * factor),
        )

    def moved(self, shift: Sequence[float]) -> Camera:
        """The same camera carried along by a vector of the world, metres."""
        transform = self.world_to_camera.copy()
        transform[:3, 3] -= self.rotation @ np.asarray(shift, np.float64)
        return replace(self, world_to_camera=transform)


_STAYS = 0.4  # metres within which the smoothed path of figures that stay in their place lies


def enclose(
    points: np.ndarray,
    direction: Sequence[float],
    *,
    fov_degrees: float = 28.0,
    size: tuple[int, int] = (512, 512),
    margin: float | tuple[float, float] = 0.08,
) -> Camera:
    """The nearest camera of a given viewing direction that has all points in its image.

    The problem is solved exactly: with axes fixed, every point bounds the camera's place by its distance to the four
    sides of the viewing pyramid, which gives one sideways place and one distance for each image axis.

    Args:
        points: (N, 3) world points, metres.
        direction: from the camera to the points.
        fov_degrees: field of view across the longer side.
        size: width and height in pixels.
        margin: part of the image kept free at each side, at most 0.45; or one part for the sides and another for top
            and bottom.

    Raises:
        InputError: no points, or points that are not finite.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if not len(points) or not np.isfinite(points).all():
        raise InputError(
            "A camera cannot frame these points.", found=f"{len(points)} points, or some not finite"
        )
    rotation = _look_rotation(np.asarray(direction, np.float64), np.array([0.0, 0.0, 1.0]))
    local = points @ rotation.T
    focal = _focal(fov_degrees, size)
    centre, distances = np.zeros(3), []
    margins = margin if isinstance(margin, tuple) else (margin, margin)
    for axis in (0, 1):
        slope = size[axis] / 2 / focal * (1 - 2 * min(margins[axis], 0.45))
        high = np.max(local[:, axis] - slope * local[:, 2])
        low = np.max(-local[:, axis] - slope * local[:, 2])
        centre[axis] = (high - low) / 2
        distances.append((high + low) / 2 / slope)
    centre[2] = -max(*distances, 0.2 - float(local[:, 2].min()))  # never nearer than 0.2 m to a point
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, -centre
    return Camera(focal, focal, size[0] / 2, size[1] / 2, transform, *size)


def follow(
    positions: np.ndarray,
    fps: float,
    *,
    facing: float = 0.0,
    azimuth_degrees: float = 35.0,
    elevation_degrees: float = 12.0,
    fov_degrees: float = 28.0,
    size: tuple[int, int] = (512, 512),
    margin: float | tuple[float, float] = 0.1,
    smoothing: float = 0.6,
) -> list[Camera]:
    """One camera for each frame that moves with the figures and neither jumps, turns nor zooms.

    The path is the mean joint position, smoothed in time; figures that stay in their place are seen by a camera that
    stays in its own. The distance is the smallest that keeps every joint of every frame in the image.

    Args:
        positions: (F, N, 3) joint positions of all figures that must be seen, metres.
        fps: frames per second.
        facing: heading of the figure in radians from -y about the vertical, as `Motion.headings` gives it.
        azimuth_degrees: how far the camera stands to the figure's left of straight ahead.
        elevation_degrees: how far the camera looks down.
        fov_degrees, size, margin: as in `enclose`.
        smoothing: standard deviation of the smoothing in seconds; height is smoothed twice as much.

    Raises:
        InputError: no frames, or positions that are not finite.
    """
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 3 or 0 in positions.shape or not np.isfinite(positions).all():
        raise InputError(
            "A camera cannot follow these positions.", found=f"shape {positions.shape}, or not finite"
        )
    centre = positions.mean(axis=1)
    path = np.concatenate(
        [_smooth(centre[:, :2], smoothing * fps), _smooth(centre[:, 2:], 2 * smoothing * fps)], axis=1
    )
    azimuth, elevation = facing + np.radians(azimuth_degrees), np.radians(elevation_degrees)
    towards = np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
    )
    still = bool((np.ptp(path, axis=0) < _STAYS).all())
    if still:
        path = np.broadcast_to((path.min(axis=0) + path.max(axis=0)) / 2, path.shape)
    relative = (positions - path[:, None]).reshape(-1, 3)
    camera = enclose(relative, (-towards).tolist(), fov_degrees=fov_degrees, size=size, margin=margin)
    return [camera.moved(path[0])] * len(path) if still else [camera.moved(place) for place in path]


def _smooth(values: np.ndarray, deviation: float) -> np.ndarray:
    """Gaussian smoothing over time (F, N); the ends are continued by point reflection, so a steady walk stays steady."""
    reach = int(np.ceil(4 * deviation))
    steps = np.arange(-reach, len(values) + reach)
    if len(values) == 1 or reach == 0:
        return values
    period = 2 * (len(values) - 1)  # reflected again and again when the clip is shorter than the filter
    laps, place = np.divmod(steps, period)
    back = place >= len(values)
    mirrored = values[np.where(back, period - place, place)]
    span = values[-1] - values[0]
    continued = np.where(back[:, None], 2 * values[-1] - mirrored, mirrored) + 2 * laps[:, None] * span
    return gaussian_filter1d(continued, deviation, axis=0)[reach : reach + len(values)]


def check_size(width: int, height: int, samples: int = 1) -> None:
    """Refuse images that are empty or too large.

    Raises:
        InputError: a side below 1, or more than `MAX_PIXELS` pixels with the samples of each counted.
    """
    if int(width) != width or int(height) != height or width < 1 or height < 1:
        raise InputError(
            "An image needs a size.", found=f"{width} x {height}", expected="whole numbers above zero"
        )
    if width * height * samples > MAX_PIXELS:
        raise InputError(
            f"An image of {width} x {height} pixels with {samples} samples each is too large.",
            expected=f"at most {MAX_PIXELS:,} pixels times samples",
            fix="render a smaller image, or parts of it",
        )


def _focal(fov_degrees: float, size: tuple[int, int]) -> float:
    if not 0 < fov_degrees < 180:
        raise InputError(
            f"A field of view of {fov_degrees} degrees cannot be used.", expected="between 0 and 180"
        )
    check_size(*size)
    return float(max(size) / 2 / np.tan(np.radians(fov_degrees) / 2))


def _look_rotation(forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    if np.linalg.norm(right) < 1e-6 * max(float(np.linalg.norm(up)), 1e-12):
        right = np.cross(forward, [0.0, 1.0, 0.0] if abs(forward[1]) < 0.9 else [1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def _check_rigid(transform: np.ndarray) -> None:
    if transform.shape != (4, 4) or not np.isfinite(transform).all():
        raise InputError(
            "world_to_camera must be a finite (4, 4) matrix.",
            found=f"shape {transform.shape}, values {transform}",
        )
    rotation = transform[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise InputError("world_to_camera does not hold a rotation.", found=str(rotation.round(4).tolist()))
