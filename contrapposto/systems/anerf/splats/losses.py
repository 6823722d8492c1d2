"""What a splat avatar is trained with: differences of images, and of the opacity from the mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto.systems.anerf.view import View


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms.

    Args:
        l1, mse: of the colours.
        ssim: of one minus the structural similarity.
        mask: of the squared difference of opacity and mask: against halos and holes.
        offset: of the squared offsets, in spacings of the Gaussians.
        smooth: of the squared differences of neighbours: colours, offsets (in spacings) and logarithms of sizes. For
            videos that show a person from few sides.
        light: of the squared coefficients of the light beyond its mean, and of its hue: one camera tells little of them.
    """

    l1: float = 1.0
    mse: float = 2.0
    ssim: float = 0.2
    mask: float = 0.1
    offset: float = 0.002
    smooth: float = 0.0
    light: float = 0.0


@dataclass(frozen=True)
class Target:
    """An image to learn: (h, w, 3) colours and background in [0, 1], (h, w) mask in [0, 1], and its camera."""

    image: Tensor
    background: Tensor
    mask: Tensor
    view: View

    def smaller(self, factor: int) -> Target:
        """The mean of blocks of `factor` x `factor` pixels."""
        if factor == 1:
            return self

        def pooled(image: Tensor) -> Tensor:
            return F.avg_pool2d(image.movedim(-1, 0)[None], factor)[0].movedim(0, -1)

        view, mask = self.view, pooled(self.mask[..., None])[..., 0]
        centre = view.centre
        centre = None if centre is None else (centre + 0.5) / factor - 0.5
        height, width = mask.shape
        smaller = View(view.camera_to_world, view.focal / factor, height, width, centre)
        return Target(pooled(self.image), pooled(self.background), mask, smaller)


def target_of(batch: dict[str, Tensor]) -> Target:
    """The target of a batch of `ImageSampler`."""
    mask = batch["mask"].float()
    height, width = mask.shape
    view = View(batch["camera_to_world"], batch["focal"], height, width, batch["centre"])
    return Target(batch["image"].float() / 255, batch["background"].float() / 255, mask, view)


def image_terms(
    colour: Tensor, transmittance: Tensor, target: Target, weights: LossWeights
) -> dict[str, Tensor]:
    """Weighted terms of an image.

    Args:
        colour: (h, w, 3), premultiplied by the opacity.
        transmittance: (h, w).
        target: what it should be.
        weights: of the terms.
    """
    shown = colour + transmittance[..., None] * target.background
    difference = shown - target.image
    terms = {
        "l1": weights.l1 * difference.abs().mean(),
        "mse": weights.mse * difference.square().mean(),
        "mask": weights.mask * (1 - transmittance - target.mask).square().mean(),
    }
    if weights.ssim:
        terms["ssim"] = weights.ssim * (1 - structural_similarity(shown, target.image))
    return terms


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity of images (h, w, 3) with a window of 11 pixels and zeros outside (Wang et al. 2004).

    The blur is two products with band matrices: on a CPU their gradients cost a tenth of a convolution's.
    """
    x, y = a.movedim(-1, 0), b.movedim(-1, 0)
    stacked = torch.cat([x, y, x * x, y * y, x * y])
    blurred = _band(a.shape[0]).to(a) @ stacked @ _band(a.shape[1]).to(a)
    mean_x, mean_y, xx, yy, xy = blurred.split(x.shape[0])
    c1, c2 = 0.01**2, 0.03**2
    product = mean_x * mean_y
    squares = mean_x.square() + mean_y.square()
    top = (2 * product + c1) * (2 * (xy - product) + c2)
    return (top / ((squares + c1) * (xx + yy - squares + c2))).mean()


@lru_cache(64)
def _band(size: int, window: int = 11, sigma: float = 1.5) -> Tensor:
    """(size, size) symmetric matrix that blurs along an axis."""
    place = torch.arange(size)
    distance = (place[:, None] - place).abs()
    weight = torch.exp(-distance.float().square() / (2 * sigma**2))
    line = torch.exp(-(torch.arange(window) - window // 2).float().square() / (2 * sigma**2))
    return torch.where(distance <= window // 2, weight / line.sum(), 0.0)
