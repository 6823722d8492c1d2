"""Convolutional encoder and decoder of SAGE's auto-encoders (`autoencoder=conv`; ours, not in the paper)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.quantizer import Quantized


class ConvStack(nn.Module):
    """Residual convolutions over time, with the interface of `contrapposto.nn.stacks.Stack`.

    Args:
        layers: residual blocks of a convolution of three taps, with dilations 1, 2, 4, 1, ..., and one of a single tap.
        width: channels in and out.
        down: halve time before the blocks.
        up: double time after the blocks.
        dropout: rate in the blocks.
    """

    def __init__(
        self, layers: int, width: int, *, down: bool = False, up: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.down = nn.Conv1d(width, width, 4, stride=2, padding=1) if down else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=2 ** (index % 3), dilation=2 ** (index % 3)),
                nn.GELU(),
                nn.Conv1d(width, width, 1),
                nn.Dropout(dropout),
            )
            for index in range(layers)
        )
        self.up = nn.ConvTranspose1d(width, width, 4, stride=2, padding=1) if up else None

    def forward(self, tokens: Tensor, *, last_only: bool = False) -> tuple[Tensor, None]:
        """(B, T, C) to (B, T / 2 or T or 2 T, C), or the last frame (B, 1, C) alone; the second value is None."""
        features = tokens.transpose(1, 2)
        if self.down is not None:
            features = self.down(features)
        for block in self.blocks:
            features = features + block(F.gelu(features))
        if self.up is not None:
            features = self.up(features)
        return (features[..., -1:] if last_only else features).transpose(1, 2), None


class ContinuousLatents(nn.Module):
    """In place of a quantiser: latents of unit size per token, without codes (`latents=continuous`).

    Args:
        num_books: K of the quantiser that it replaces.
    """

    bypass = False

    def __init__(self, num_books: int) -> None:
        super().__init__()
        self.num_books = num_books

    def forward(self, z: Tensor) -> Quantized:
        """(B, L, D) to themselves, normalised; the loss is zero, the codes (B, L, K) are -1, which metrics leave out."""
        codes = torch.full((*z.shape[:2], self.num_books), -1, device=z.device)
        return Quantized(F.layer_norm(z, z.shape[-1:]), torch.zeros_like(z[..., 0]), codes, z.new_zeros(()))
