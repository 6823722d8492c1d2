"""Images against images: PSNR and SSIM in regions (docs/specs/anerf.md, section 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def psnr(predicted: Tensor, true: Tensor, region: Tensor | None = None) -> Tensor:
    """Peak signal to noise ratio (N,) in dB of images (N, H, W, C) in [0, 1].

    Args:
        predicted, true: images.
        region: (N, H, W) bool pixels that count; an image without any gives NaN, an exact one infinity.
    """
    error = (predicted - true).square().mean(-1)
    return -10 * torch.log10(_region_mean(error, region))


def ssim(predicted: Tensor, true: Tensor, region: Tensor | None = None) -> Tensor:
    """Structural similarity (N,) of images (N, H, W, C) in [0, 1]: the mean of `ssim_map` over the region."""
    return _region_mean(ssim_map(predicted, true).mean(-1), region)


def ssim_map(predicted: Tensor, true: Tensor, *, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity of every pixel and channel, (N, H, W, C) (Wang et al. 2004).

    Gaussian window, zero padding: pixels near the border count a frame of black around both images.
    """
    x, y = predicted.movedim(-1, 1), true.movedim(-1, 1)
    offsets = torch.arange(window, dtype=x.dtype, device=x.device) - window // 2
    line = torch.exp(-offsets.square() / (2 * sigma**2))
    line = line / line.sum()
    channels = x.shape[1]

    def blur(image: Tensor) -> Tensor:
        down = F.conv2d(
            image,
            line.view(1, 1, -1, 1).expand(channels, 1, -1, 1),
            padding=(window // 2, 0),
            groups=channels,
        )
        return F.conv2d(
            down, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), padding=(0, window // 2), groups=channels
        )

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).movedim(1, -1)


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
