"""Images against images: PSNR and SSIM of torchmetrics, in regions (docs/specs/anerf.md, section 9)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

_WINDOW, _SIGMA = 11, 1.5


def psnr(predicted: Tensor, true: Tensor, region: Tensor | None = None) -> Tensor:
    """Peak signal to noise ratio (N,) in dB of images (N, H, W, C) in [0, 1].

    Args:
        predicted, true: images.
        region: (N, H, W) bool pixels that count; an image without any gives NaN, an exact one infinity.
    """
    rows = range(len(predicted))
    inside: list[Any] = [...] * len(predicted) if region is None else list(region.bool())
    values = [
        peak_signal_noise_ratio(predicted[row][inside[row]], true[row][inside[row]], data_range=1.0)
        for row in rows
    ]
    return torch.stack(values)


def ssim(predicted: Tensor, true: Tensor, region: Tensor | None = None) -> Tensor:
    """Structural similarity (N,) of images (N, H, W, C) in [0, 1]: the mean of `ssim_map` over the region."""
    return _region_mean(ssim_map(predicted, true).mean(-1), region)


def ssim_map(predicted: Tensor, true: Tensor) -> Tensor:
    """Structural similarity of every pixel and channel, (N, H, W, C) (Wang et al. 2004).

    Gaussian window, zero padding: pixels near the border count a frame of black around both images, as the original has
    it. torchmetrics mirrors its images there, so they get that frame first.
    """
    border = _WINDOW // 2
    framed = [F.pad(image.movedim(-1, 1), (border,) * 4) for image in (predicted, true)]
    maps = structural_similarity_index_measure(
        framed[0], framed[1], sigma=_SIGMA, data_range=1.0, reduction="none", return_full_image=True
    )
    inner: Tensor = maps[1][..., border:-border, border:-border]
    return inner.movedim(1, -1)


def halo(opacity: Tensor, mask: Tensor) -> Tensor:
    """Opacity beside the person (N,), in percent of the person's area.

    The mask is grown by one pixel first: pixels at the outline show the person in part.

    Args:
        opacity: (N, H, W) of renderings.
        mask: (N, H, W) bool, the person.
    """
    person = F.max_pool2d(mask[:, None].float(), 3, stride=1, padding=1)[:, 0]
    outside = (opacity * (1 - person)).flatten(1).sum(1)
    return 100 * outside / mask.flatten(1).sum(1).clamp_min(1)


def box_region(low: Tensor, high: Tensor, height: int, width: int) -> Tensor:
    """(N, H, W) bool of half-open boxes with corners (N, 2) as (x, y)."""
    rows = torch.arange(height, device=low.device)[:, None]
    columns = torch.arange(width, device=low.device)
    low, high = low[:, :, None, None], high[:, :, None, None]
    return (columns >= low[:, 0]) & (columns < high[:, 0]) & (rows >= low[:, 1]) & (rows < high[:, 1])


def _region_mean(values: Tensor, region: Tensor | None) -> Tensor:
    if region is None:
        return values.flatten(1).mean(1)
    inside = region.to(values)
    return (values * inside).flatten(1).sum(1) / inside.flatten(1).sum(1)
