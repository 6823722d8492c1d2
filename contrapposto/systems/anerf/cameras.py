"""A-NeRF's cameras: NeRF camera-to-world matrices, pixel rays, image boxes, orbits.

See docs/specs/anerf.md, sections 1, 2, 10.

A NeRF camera looks along its -z with y up; pixel coordinates are whole numbers without a half-pixel shift.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from contrapposto.devices import full_precision


class Box(NamedTuple):
    """Half-open image boxes: corners (..., 2) int64 as (x, y)."""

    low: Tensor
    high: Tensor


def swap_axes(camera_to_world: Tensor) -> Tensor:
    """Between NeRF's and OpenCV's camera axes, (..., 4, 4); its own inverse."""
    return camera_to_world * camera_to_world.new_tensor([1.0, -1.0, -1.0, 1.0])


def extrinsic(camera_to_world: Tensor) -> Tensor:
    """World-to-camera (..., 4, 4) with OpenCV axes of a NeRF camera-to-world."""
    return torch.linalg.inv(swap_axes(camera_to_world))


def project(points: Tensor, camera_to_world: Tensor, focal: Tensor, centre: Tensor | None = None) -> Tensor:
    """Pixels (..., P, 2) of world points (..., P, 3).

    Args:
        points: world units.
        camera_to_world: (..., 4, 4), NeRF axes.
        focal: (...) or (..., 2) pixels.
        centre: (..., 2) principal point; the origin of the pixels where absent.
    """
    matrix = extrinsic(camera_to_world.double())
    local = points.double() @ matrix[..., :3, :3].transpose(-1, -2) + matrix[..., None, :3, 3]
    pixels = local[..., :2] / local[..., 2:] * _both(focal, local)[..., None, :]
    return pixels if centre is None else pixels + centre.double()[..., None, :]


def cylinder_box(
    cylinder: Tensor,
    camera_to_world: Tensor,
    focal: Tensor,
    height: int,
    width: int,
    *,
    centre: Tensor | None = None,
    scale: float = 1.0,
) -> Box:
    """Image boxes of cylinders (..., 5); the last row and column of an image are never inside, as published."""
    angle = torch.linspace(0, 2 * math.pi, 50, dtype=torch.float64, device=cylinder.device)
    x, z, radius, top, bottom = cylinder.double()[..., None].unbind(-2)
    ring_x, ring_z = x + radius * angle.cos(), z + radius * angle.sin()
    rings = [torch.stack([ring_x, y.expand_as(ring_x), ring_z], dim=-1) for y in (top, bottom)]
    pixels = project(torch.cat(rings, dim=-2), camera_to_world, focal)
    middle = torch.tensor([int(width * 0.5), int(height * 0.5)]) if centre is None else centre.long()
    low = pixels.amin(-2).floor().long() + middle.to(cylinder.device)
    high = pixels.amax(-2).ceil().long() + middle.to(cylinder.device)
    if scale != 1.0:
        half, mid = (high - low).double() * scale / 2, (low + high).double() / 2
        low, high = (mid - half).long(), (mid + half).long()
    limit = torch.tensor([width - 1, height - 1], device=cylinder.device)
    zero = torch.zeros_like(limit)
    return Box(low.clamp(zero, limit), high.clamp(zero, limit))


def box_pixels(low: Tensor, high: Tensor, width: int) -> Tensor:
    """Flat indices (N,) of the pixels of one box, row by row."""
    rows = torch.arange(int(low[1]), int(high[1]), device=low.device)
    columns = torch.arange(int(low[0]), int(high[0]), device=low.device)
    return (rows[:, None] * width + columns).reshape(-1)


def pixel_rays(
    pixels: Tensor,
    width: int,
    height: int,
    focal: Tensor,
    camera_to_world: Tensor,
    centre: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Origins and directions (N, 3) of flat pixel indices (N,); directions have depth 1 and are not unit vectors.

    Args:
        pixels: row * width + column.
        width, height: of the image.
        focal: () or (2,) pixels, or one per pixel.
        camera_to_world: (4, 4) or (N, 4, 4), NeRF axes.
        centre: (2,) or (N, 2) principal point (x, y); the middle of the image where absent.
    """
    matrix = camera_to_world.float()
    grid = torch.stack([pixels % width, pixels.div(width, rounding_mode="floor")], dim=-1).float()
    middle = grid.new_tensor([width * 0.5, height * 0.5]) if centre is None else centre.float()
    plane = (grid - middle) / _both(focal, grid)
    local = torch.stack([plane[:, 0], -plane[:, 1], -torch.ones_like(plane[:, 0])], dim=-1)
    with full_precision(local):
        directions = (matrix[..., :3, :3] @ local[..., None]).squeeze(-1)
    return matrix[..., :3, 3].expand_as(directions), directions


def rotation_about(axis: str, angle: float | Tensor) -> Tensor:
    """(..., 4, 4) float64 turn about world x, y or z; y turns the other way, as in the original.

    See docs/specs/anerf.md, section 2.
    """
    angle = torch.as_tensor(angle, dtype=torch.float64)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    table = {
        "x": [one, zero, zero, zero, c, -s, zero, s, c],
        "y": [c, zero, -s, zero, one, zero, s, zero, c],
        "z": [c, -s, zero, s, c, zero, zero, zero, one],
    }
    matrix = torch.zeros(*angle.shape, 4, 4, dtype=torch.float64)
    matrix[..., :3, :3] = torch.stack(table[axis], dim=-1).reshape(*angle.shape, 3, 3)
    matrix[..., 3, 3] = 1
    return matrix


def orbit(camera_to_world: Tensor, count: int, axis: str = "y") -> Tensor:
    """(count, ..., 4, 4): cameras (..., 4, 4) turned about a world axis in equal steps over a full turn."""
    steps = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    turns = rotation_about(axis, steps)
    turns = turns.reshape(count, *[1] * (camera_to_world.ndim - 2), 4, 4)
    return (turns @ camera_to_world.double()).to(camera_to_world.dtype)


def weak_perspective_camera(
    camera: np.ndarray, box: np.ndarray, width: int, height: int, *, focal: float | None = None
) -> np.ndarray:
    """Full-image cameras of SPIN's weak-perspective crops (docs/specs/anerf.md, section 8.4).

    Args:
        camera: (N, 3) s, tx, ty of the 224-pixel crop with focal length 5000.
        box: (N, 3) centre x, centre y and size of the crop in pixels.
        width, height: of the image.
        focal: impose this focal length by rescaling the depth.

    Returns:
        (N, 4) focal length, tx, ty, depth.
    """
    camera, box = np.asarray(camera, np.float64), np.asarray(box, np.float64)
    depth = 2 * 5000.0 / (224 * camera[:, 0])
    own = 5000.0 * box[:, 2] / 224
    scale = camera[:, 0] * box[:, 2] / np.array([[width], [height]])
    half = np.array([[width], [height]]) / 2
    shift = camera[:, 1:].T + (box[:, :2].T - half) / half / scale
    if focal is not None:
        own, depth = np.full_like(own, focal), depth * focal / own
    return np.stack([own, *shift, depth], axis=1)


def camera_from_translation(translation: np.ndarray, pose_scale: float) -> np.ndarray:
    """(N, 4, 4) NeRF cameras of translations (N, 3) tx, ty, depth of the figure before an unturned camera."""
    matrix = np.tile(np.eye(4), (len(translation), 1, 1))
    matrix[:, :3, 3] = -np.asarray(translation, np.float64) * pose_scale
    return swap_axes(torch.from_numpy(matrix)).numpy()


def _both(focal: Tensor | float, like: Tensor) -> Tensor:
    """Focal lengths as (..., 2)."""
    value = torch.as_tensor(focal).to(like)
    return (
        value
        if value.ndim and value.shape[-1] == 2 and value.ndim != like.ndim - 2
        else value[..., None].expand(*value.shape, 2)
    )
