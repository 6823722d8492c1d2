"""Pictures brought to the size of the pose video (fact sheet, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from contrapposto.errors import ConfigError, InputError

FITS = ("cover", "pad")


def target_size(height: int, width: int, resolution: Sequence[int] = (512, 896)) -> tuple[int, int]:
    """Height and width of the pose video of a clip: the resolution's (short, long) side, lying or upright like the clip.

    Raises:
        InputError: sides that a video cannot have.
    """
    short, long = (int(side) for side in resolution)
    if min(short, long) < 2 or max(short, long) > 4096 or short % 2 or long % 2:
        raise InputError(
            "A video of this resolution cannot be made.",
            found=f"{short} x {long}",
            expected="two even numbers from 2 to 4096 (multiples of 32 suit the video model)",
        )
    return (short, long) if height < width else (long, short)


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
    scale = min(height / image.shape[0], width / image.shape[1])
    size = [max(int(side * scale), 1) for side in image.shape[:2]]
    inner = cover(planes, size[0], size[1], fast=True)[0].permute(1, 2, 0).numpy()
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    result[top : top + size[0], left : left + size[1]] = inner
    return result


def cover(images: Tensor, height: int, width: int, *, fast: bool = False) -> Tensor:
    """Images (N, C, H0, W0) uint8 to (N, C, height, width) uint8: bicubic, anti-aliased, cropped at the centre.

    With `fast` the arithmetic is in 8 bits, ten times faster; edges differ by some grey levels.
    """
    old_height, old_width = images.shape[-2:]
    if old_width / old_height > width / height:
        size = (height, max(int(old_width * height / old_height), width))
    else:
        size = (max(int(old_height * width / old_width), height), width)
    resized = images
    if size != (old_height, old_width):
        given = images if fast else images.float()
        resized = functional.interpolate(given, size, mode="bicubic", antialias=True, align_corners=False)
        if not fast:
            resized = resized.round().clamp(0, 255).to(torch.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return resized[..., top : top + height, left : left + width]
