"""PSNR and SSIM of avatars by split, as torchmetrics over `contrapposto.metrics.image`.

Source: docs/specs/anerf.md, section 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from contrapposto.metrics.image import halo, psnr, ssim
from contrapposto.metrics.lpips import load_lpips, lpips
from contrapposto.metrics.mesh_error import GroupedMean

SPLITS = ("novel_view", "novel_pose", "val", "train", "all")
_MEASURES = {"psnr": psnr, "ssim": ssim}
_EVERY = "mean"
"""Name of the mean over all images, whatever splits a scene has: what checkpoints are chosen by."""


class SplitMean(GroupedMean):
    """Means by split, and `mean`, that over all images."""

    def __init__(self, groups: Sequence[str] = SPLITS, **kwargs: Any) -> None:
        super().__init__((*groups, _EVERY), **kwargs)

    def add(self, values: Tensor, group: str) -> None:
        """Add values (B,) of a split."""
        super().add(values, group)
        super().add(values, _EVERY)


class ImageQuality(SplitMean):
    """PSNR (dB) or SSIM of images in a region, by split.

    Images whose region is empty do not count; an exact image, whose PSNR is infinite, counts as 0, as published.

    Args:
        measure: "psnr" or "ssim".
        groups, kwargs: see `SplitMean`.

    Raises:
        ValueError: another measure.
    """

    higher_is_better = True

    def __init__(self, measure: str = "psnr", groups: Sequence[str] = SPLITS, **kwargs: Any) -> None:
        super().__init__(groups, **kwargs)
        if measure not in _MEASURES:
            raise ValueError(f"measure is {measure!r}; expected psnr or ssim")
        self.measure = measure

    def update(self, predicted: Tensor, truth: Tensor, region: Tensor, group: str) -> None:
        """Add images (B, H, W, 3) in [0, 1], judged inside a region (B, H, W) bool."""
        values = _MEASURES[self.measure](predicted, truth, region)
        values = values[region.flatten(1).any(1)]
        self.add(torch.where(values.isfinite(), values, torch.zeros_like(values)), group)


class Halo(SplitMean):
    """Opacity beside the person, in percent of the person's area, by split; see `contrapposto.metrics.image.halo`.

    Args:
        groups, kwargs: see `SplitMean`.
    """

    def __init__(self, groups: Sequence[str] = SPLITS, **kwargs: Any) -> None:
        super().__init__(groups, **kwargs)

    def update(self, opacity: Tensor, mask: Tensor, group: str) -> None:
        """Add opacities (B, H, W) with masks (B, H, W) bool."""
        self.add(halo(opacity, mask), group)


class PerceptualDistance(SplitMean):
    """LPIPS of images in the rectangle of a region, by split; see `contrapposto.metrics.lpips`.

    Args:
        network: file of the network, see `load_lpips`; None: nothing is computed.
        groups, kwargs: see `SplitMean`.

    Raises:
        MissingError, InputError: the file is not there, or holds something else.
    """

    higher_is_better = False

    def __init__(self, network: str | None = None, groups: Sequence[str] = SPLITS, **kwargs: Any) -> None:
        super().__init__(groups, **kwargs)
        self.network = network
        if network is not None:
            load_lpips(network)

    def update(self, predicted: Tensor, truth: Tensor, region: Tensor, group: str) -> None:
        """Add images (B, H, W, 3) in [0, 1], judged around a region (B, H, W) bool."""
        if self.network is not None:
            values = lpips(load_lpips(self.network), predicted, truth, region)
            self.add(values[values.isfinite()], group)
