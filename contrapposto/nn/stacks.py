"""Transformer stacks that halve or double time, with validity masks.

Sources: docs/specs/posegpt.md, section 3; docs/specs/sage.md, section 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.attention import Block
from contrapposto.nn.dropout import Dropout
from contrapposto.nn.positions import PositionKind, PositionTable


class DownConv(nn.Module):
    """Convolution over time, then a maximum over pairs of frames that ignores invalid ones.

    Causal: a zero frame is put in front and the kernel has 2 taps, so output t sees frames up to t. Otherwise
    the kernel has 3
    taps. The convolution itself is not masked: the last valid frame sees what follows it.

    Args:
        width: channels in and out.
        causal: see above.
    """

    def __init__(self, width: int, *, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.conv = nn.Conv1d(width, width, 2) if causal else nn.Conv1d(width, width, 3, padding=1)

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Halve time.

        Args:
            tokens: (B, T, C).
            valid: (B, T) bool or None.

        Returns:
            (B, T // 2, C) and the validity of the first frame of each pair (B, T // 2), or None. Of a pair
            with one
            valid frame that frame is taken, of one without any the larger.
        """
        pairs = tokens.shape[1] // 2
        features = self._convolve(tokens)[:, : 2 * pairs].unflatten(1, (pairs, 2))
        first, second = features.unbind(2)
        pooled = torch.maximum(first, second)
        if valid is None:
            return pooled, None
        here, there = valid[:, : 2 * pairs].unflatten(1, (pairs, 2)).unbind(2)
        pooled = torch.where((here & ~there)[..., None], first, pooled)
        return torch.where((there & ~here)[..., None], second, pooled), here

    def _convolve(self, tokens: Tensor) -> Tensor:
        # As one matrix product over the shifted copies side by side: faster than conv1d at these sizes, same
        # sums.
        taps = self.conv.weight.shape[2]
        padded = F.pad(tokens, (0, 0, 1, 0 if self.causal else 1))
        length = tokens.shape[1]
        columns = torch.cat([padded[:, tap : tap + length] for tap in range(taps)], dim=-1)
        return F.linear(columns, self.conv.weight.permute(0, 2, 1).flatten(1), self.conv.bias)


class UpConv(nn.Module):
    """Transposed convolution (3 taps, stride 2) without its first output: time doubles.

    y[2s] = W1 x[s] + b, y[2s + 1] = W2 x[s] + W0 x[s + 1] + b, where x is zero beyond the end: odd frames
    look one token ahead.

    Args:
        width: channels in and out.
        look_ahead: False leaves the W0 term out, which makes the layer causal (not in the originals).
    """

    def __init__(self, width: int, *, look_ahead: bool = True) -> None:
        super().__init__()
        self.look_ahead = look_ahead
        self.conv = nn.ConvTranspose1d(width, width, 3, stride=2)

    def last(self, tokens: Tensor) -> Tensor:
        """Frame 2 T - 1 alone, (B, 1, C): the last token (B, T, C) decides it."""
        return F.linear(tokens[:, -1:], self.conv.weight[..., 2].t(), self.conv.bias)

    def forward(self, tokens: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, T, C) and (B, T) to (B, 2 T, C) and (B, 2 T)."""
        width = tokens.shape[2]
        weight = self.conv.weight.permute(2, 1, 0).flatten(0, 1)  # (3 out, in), tap by tap
        before, even, odd = F.linear(tokens, weight).split(width, dim=-1)
        if self.look_ahead:
            odd = odd + F.pad(before[:, 1:], (0, 0, 0, 1))
        doubled = torch.stack([even, odd], dim=2).flatten(1, 2)
        if self.conv.bias is not None:
            doubled = doubled + self.conv.bias
        return doubled, None if valid is None else valid.repeat_interleave(2, dim=1)


class Stack(nn.Module):
    """Transformer blocks between an optional down-conv and an optional up-conv.

    Order: down-conv, dropout, position table and block in turn, up-conv, LayerNorm, linear head without bias.

    Args:
        num_layers: number of blocks.
        width: feature size C.
        heads: attention heads.
        causal: attention and down-conv see only the past.
        down: halve time before the blocks.
        up: double time after the blocks.
        positions: kind of the position tables.
        position_every_block: a table of its own before every block (PoseGPT), or one before block 0 (SAGE).
        entry_dropout: rate before the first block.
        dropout: rate inside the blocks (0.1 in the originals whatever their options say).
        block_size: rows of the position tables.
        persistent_positions: see `PositionTable`.
        look_ahead: see `UpConv`.
        position_scale: of the position tables.
    """

    def __init__(
        self,
        num_layers: int,
        width: int,
        heads: int,
        *,
        causal: bool = False,
        down: bool = False,
        up: bool = False,
        positions: PositionKind = "sine_frozen",
        position_every_block: bool = True,
        entry_dropout: float = 0.1,
        dropout: float = 0.1,
        block_size: int = 2048,
        persistent_positions: bool = True,
        look_ahead: bool = True,
        position_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.drop = Dropout(entry_dropout)
        self.blocks = nn.ModuleList(
            Block(width, heads, causal=causal, dropout=dropout) for _ in range(num_layers)
        )
        self.pos = nn.ModuleList(
            PositionTable(block_size, width, positions, persistent=persistent_positions, scale=position_scale)
            for _ in range(num_layers if position_every_block else 1)
        )
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, width, bias=False)
        self.apply(initialise)
        # Made after the initialisation above, as in the originals: the convolutions keep torch's own.
        self.down_conv = DownConv(width, causal=causal) if down else None
        self.up_conv = UpConv(width, look_ahead=look_ahead) if up else None

    def forward(
        self,
        tokens: Tensor,
        valid: Tensor | None = None,
        *,
        last_only: bool = False,
        hide_padding: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Features (B, T', C) and their validity (B, T') or None.

        Args:
            tokens: (B, T, C).
            valid: (B, T) bool, False for padding.
            last_only: give only the last frame (T' = 1), the same numbers for less work.
            hide_padding: the up-convolution sees zeros in place of padding, as it does beyond the end: the
                last valid frame then does not depend on how far the batch is padded (it does in the originals).
        """
        if self.down_conv is not None:
            tokens, valid = self.down_conv(tokens, valid)
        tokens = self.drop(tokens)
        for index, block in enumerate(self.blocks):
            if index < len(self.pos):
                tokens = self.pos[index](tokens)
            tokens = block(tokens, valid, last_only=last_only and index == len(self.blocks) - 1)
        if last_only:
            tokens = tokens[:, -1:] if self.up_conv is None else self.up_conv.last(tokens)
            valid = None if valid is None else valid[:, -1:]
        elif self.up_conv is not None:
            if hide_padding and valid is not None:
                tokens = tokens * valid[..., None]
            tokens, valid = self.up_conv(tokens, valid)
        return self.head(self.ln_f(tokens)), valid


def initialise(module: nn.Module) -> None:
    """Start a layer as GPT-2 does: N(0, 0.02) weights, no bias; call it by `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
