"""Pinhole cameras that see a motion, as PoseGPT places them (docs/specs/posegpt.md, section 2).

Pixels, metres, z forward.
"""

from __future__ import annotations

import torch
from torch import Tensor

FOCAL = 500.0
IMAGE = 224.0


def to_camera(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """World points (..., P, 3) in the frame of a camera (..., 3, 3), (..., 3): R X + t."""
    return points @ rotation.transpose(-1, -2) + translation[..., None, :]


def to_world(points: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Inverse of `to_camera`."""
    return (points - translation[..., None, :]) @ rotation


def project(points: Tensor, focal: float = FOCAL, centre: float = IMAGE / 2) -> Tensor:
    """Camera points (..., 3) to pixels (..., 2)."""
    return focal * points[..., :2] / points[..., 2:] + centre


def unproject(pixels: Tensor, depth: Tensor, focal: float = FOCAL, centre: float = IMAGE / 2) -> Tensor:
    """Pixels (..., 2) and their depths (...) to camera points (..., 3)."""
    return torch.cat([(pixels - centre) / focal, torch.ones_like(pixels[..., :1])], dim=-1) * depth[..., None]


def fit_translation(
    points: Tensor,
    pixels: Tensor,
    weights: Tensor | None = None,
    *,
    focal: float = FOCAL,
    centre: float = IMAGE / 2,
) -> Tensor:
    """(..., 3) translation t of an unturned camera that sees points X (..., P, 3) at pixels u (..., P, 2).

    Least squares of f t_x - (u_x - c) t_z = (u_x - c) Z - f X and of the same in y, weighted by (..., P).
    """
    offset = pixels - centre
    zero, one = torch.zeros_like(offset[..., 0]), torch.full_like(offset[..., 0], focal)
    rows_x = torch.stack([one, zero, -offset[..., 0]], dim=-1)
    rows_y = torch.stack([zero, one, -offset[..., 1]], dim=-1)
    right = offset * points[..., 2:] - focal * points[..., :2]
    scale = torch.ones_like(zero) if weights is None else weights.sqrt()
    matrix = torch.cat([rows_x * scale[..., None], rows_y * scale[..., None]], dim=-2).double()
    target = torch.cat([right[..., 0] * scale, right[..., 1] * scale], dim=-1).double()
    normal = matrix.transpose(-1, -2) @ matrix
    moment = matrix.transpose(-1, -2) @ target[..., None]
    return torch.linalg.solve(normal, moment).squeeze(-1).to(points.dtype)


def frame_points(
    points: Tensor,
    factor: float = 1.1,
    *,
    distance: float = 1.0,
    chosen: Tensor | None = None,
    focal: float = FOCAL,
    image: float = IMAGE,
    original: bool = False,
) -> Tensor:
    """(..., 3) translation of a camera in whose image the points (..., P, 3) fill a square box.

    The points are seen from 2 f / image metres times `distance`, then their box, centre and size in whole
    pixels, is stretched to the image.

    Args:
        points: world.
        factor: size of the box over the larger extent of the points.
        distance: see above; the original takes 5 for a video.
        chosen: (N,) int64, which points the camera is solved with, all where absent.
        focal: pixels.
        image: pixels, side of the image.
        original: solve as if the box's centre were the principal point, as the original does: the points
            come to lie off the middle.
    """
    start = points.new_tensor([0.0, 0.0, distance * 2 * focal / image])
    pixels = project(points + start, focal, image / 2)
    low, high = pixels.amin(-2, keepdim=True), pixels.amax(-2, keepdim=True)
    middle = ((low + high) / 2).trunc()
    size = (factor * (high - low).amax(-1, keepdim=True)).trunc()
    stretched = (pixels - (middle - size / 2).trunc()) * (image / size)
    if original:
        stretched = stretched - middle + image / 2
    if chosen is not None:
        points, stretched = points[..., chosen, :], stretched[..., chosen, :]
    return fit_translation(points, stretched, focal=focal, centre=image / 2)
