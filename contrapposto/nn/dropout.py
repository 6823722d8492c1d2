"""Dropout that does not cost more than the layer before it on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(features: Tensor, rate: float, training: bool) -> Tensor:
    """Zero entries with probability `rate` and scale the rest by 1 / (1 - rate), in training.

    On a CPU torch draws one number of its generator per entry, which takes as long as a matrix product of
    these networks (5 to 10 ns each). Here each 64-bit draw serves four entries, 16 bits each: four times
    faster; the rate is exact to 2^-17. The global generator is used, so `torch.manual_seed` governs it. Other
    devices: torch's own.

    Raises:
        ValueError: a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    if not training or rate == 0:
        return features
    if features.device.type != "cpu":
        return F.dropout(features, rate, training)
    return features * _cpu_mask(features, rate)


class Dropout(nn.Module):
    """`dropout` as a layer."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.p = rate

    def forward(self, features: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return dropout(features, self.p, self.training)


def _cpu_mask(features: Tensor, rate: float) -> Tensor:
    """Contiguous factors, 0 or 1 / (1 - rate), in the shape and type of `features`."""
    count = features.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
    dropped = round(rate * 2**16)
    keep = bits[:count] >= dropped - 2**15
    return keep.to(features.dtype).mul_(2**16 / (2**16 - dropped)).view(features.shape)
