"""Images brought to the size of the pose video (docs/specs/scail_pose.md, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from contrapposto.errors import ConfigError

FITS = ("cover", "pad")
KEEP = "video"
MAX_SIDE = 4096


def target_size(height: int, width: int, resolution: Sequence[int] | str = (512, 896)) -> tuple[int, int]:
    """Height and width of the pose video of a clip.

    Args:
        height, width: of the clip in pixels.
        resolution: (short, long) side: landscape or portrait like the clip. `video`: the clip's own size in even
            numbers, at most 4096.

    Raises:
        ConfigError: sides that a video cannot have.
    """
    if resolution == KEEP:
        scale = min(MAX_SIDE / max(height, width), 1.0)
        even = [max(2 * round(side * scale / 2), 2) for side in (height, width)]
        return even[0], even[1]
    sides: list[Any] = []
    if isinstance(resolution, Sequence) and not isinstance(resolution, str):
        sides = list(resolution)
    whole = all(isinstance(side, (int, float)) and side == int(side) for side in sides if side == side)
    if len(sides) != 2 or not whole or any(side < 2 or side > MAX_SIDE or side % 2 for side in sides):
        raise ConfigError(
            f"resolution={resolution} cannot be used.",
            expected=f"[512,896]: short and long side, even numbers from 2 to {MAX_SIDE}; or {KEEP}",
            fix=f"multiples of 32 suit the video model; {KEEP} keeps the size and the shape of the video",
        )
    short, long = (int(side) for side in sides)
    return (short, long) if height < width else (long, short)


def cut_share(height: int, width: int, target: Sequence[int]) -> float:
    """Share of the longer direction of an image that `cover` cuts off to fill (height, width) `target`."""
    shapes = width / height, target[1] / target[0]
    return 1 - min(shapes) / max(shapes)


def frame_image(image: np.ndarray, height: int, width: int, fit: str = "cover") -> np.ndarray:
    """Image (H0, W0, 3) uint8 to (height, width, 3) uint8.

    Args:
        image: to be resized.
        height, width: of the result in pixels.
        fit: `cover` fills the result and cuts off what is beyond; `pad` shows everything, with black beside it.
    """
    if fit not in FITS:
        raise ConfigError(f"There is no fit {fit!r}.", expected=", ".join(FITS))
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if fit == "cover":
        return cover(planes, height, width, fast=True)[0].permute(1, 2, 0).contiguous().numpy()
    inner_height, inner_width, top, left = _placed(image.shape[0], image.shape[1], height, width, fit)
    inner = cover(planes, inner_height, inner_width, fast=True)[0].permute(1, 2, 0).numpy()
    result = np.zeros((height, width, 3), np.uint8)
    result[top : top + inner_height, left : left + inner_width] = inner
    return result


def frame_transform(
    old_height: int, old_width: int, height: int, width: int, fit: str = "cover"
) -> tuple[np.ndarray, np.ndarray]:
    """Scale (2,) and shift (2,) along x and y from pixels of an image to those of `frame_image`."""
    inner_height, inner_width, top, left = _placed(old_height, old_width, height, width, fit)
    return np.array([inner_width / old_width, inner_height / old_height]), np.array([left, top], np.float64)


def _placed(old_height: int, old_width: int, height: int, width: int, fit: str) -> tuple[int, int, int, int]:
    """Height and width of the resized image, and where its top and left edges lie in the result."""
    if fit == "cover":
        inner = _cover_size(old_height, old_width, height, width)
        return *inner, -((inner[0] - height) // 2), -((inner[1] - width) // 2)
    scale = min(height / old_height, width / old_width)
    inner = max(int(old_height * scale), 1), max(int(old_width * scale), 1)
    return *inner, (height - inner[0]) // 2, (width - inner[1]) // 2


def _cover_size(old_height: int, old_width: int, height: int, width: int) -> tuple[int, int]:
    if old_width / old_height > width / height:
        return height, max(int(old_width * height / old_height), width)
    return max(int(old_height * width / old_width), height), width


def cover(images: Tensor, height: int, width: int, *, fast: bool = False) -> Tensor:
    """Images (N, C, H0, W0) uint8 to (N, C, height, width) uint8: bicubic, anti-aliased, cropped at the centre.

    With `fast` the arithmetic is in 8 bits, ten times faster; edges differ by some grey levels.
    """
    old_height, old_width = images.shape[-2:]
    size = _cover_size(old_height, old_width, height, width)
    resized = images
    if size != (old_height, old_width):
        source = images if fast else images.float()
        resized = functional.interpolate(source, size, mode="bicubic", antialias=True, align_corners=False)
        if not fast:
            resized = resized.round().clamp(0, 255).to(torch.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return resized[..., top : top + height, left : left + width]
