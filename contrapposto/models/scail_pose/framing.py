"""Resize that covers the target, then the centre of it (fact sheet, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cover(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, C, H0, W0) uint8 to (N, C, height, width) uint8: bicubic, anti-aliased, cropped at the centre."""
    old_height, old_width = images.shape[-2:]
    if old_width / old_height > width / height:
        size = (height, int(old_width * height / old_height))
    else:
        size = (int(old_height * width / old_width), width)
    resized = images
    if size != (old_height, old_width):
        smooth = functional.interpolate(
            images.float(), size, mode="bicubic", antialias=True, align_corners=False
        )
        resized = smooth.round().clamp(0, 255).to(torch.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return resized[..., top : top + height, left : left + width]
