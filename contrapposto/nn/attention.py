"""Self-attention and the pre-norm transformer block of the minGPT family (docs/specs/posegpt.md, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.dropout import Dropout
from contrapposto.nn.dropout import dropout as drop


class SelfAttention(nn.Module):
    """Multi-head self-attention with separate `key`, `query`, `value` and `proj` layers.

    Args:
        width: feature size C.
        heads: number of heads; the scale is 1 / sqrt(C / heads).
        causal: whether a token sees only itself and earlier ones. Original files then hold a lower-triangular
            `mask` of (1, 1, block, block) floats; it is accepted on loading and never stored (16 MB per
            block).
        dropout: rate on the attention weights and after `proj`.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be split into {heads} heads")
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)
        self.heads, self.causal, self.dropout = heads, causal, dropout

    def forward(self, tokens: Tensor, valid: Tensor | None = None, *, last_only: bool = False) -> Tensor:
        """Attend.

        Args:
            tokens: (B, T, C).
            valid: (B, T) bool, False for keys that nobody may see; a query without any valid key gives the
                average over no value, zero, before `proj` (the original gives NaN).
            last_only: compute the last token's output only.

        Returns:
            (B, T, C), or (B, 1, C) with `last_only`.
        """
        sources = tokens[:, -1:] if last_only else tokens
        query, key, value = (
            rearrange(layer(source), "b t (h d) -> b h t d", h=self.heads)
            for layer, source in ((self.query, sources), (self.key, tokens), (self.value, tokens))
        )
        mask = None if valid is None else self._mask(valid, last_only)
        causal = self.causal and mask is None and not last_only
        rate = self.dropout if self.training else 0.0
        if rate and mask is None and not causal and tokens.device.type == "cpu":
            mixed = _attend_with_dropout(query, key, value, rate)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout_p=rate, is_causal=causal)
        return drop(self.proj(rearrange(mixed, "b h t d -> b t (h d)")), self.dropout, self.training)

    def _mask(self, valid: Tensor, last_only: bool) -> Tensor:
        """(B, 1, T or 1, T) bool: who may be seen by whom."""
        keys = valid[:, None, None, :]
        if not self.causal or last_only:
            return keys
        length = valid.shape[1]
        return keys & torch.ones(length, length, dtype=torch.bool, device=valid.device).tril()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if self.causal:
            state_dict.pop(prefix + "mask", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


class Block(nn.Module):
    """Pre-norm transformer block: x + attn(ln1(x)), then x + mlp(ln2(x)) with an exact GELU.

    Args:
        width: feature size C; the hidden layer has 4 C.
        heads: attention heads.
        causal: see `SelfAttention`.
        dropout: rate on attention weights, after attention and after the MLP.
    """

    def __init__(self, width: int, heads: int, *, causal: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.ln2 = nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads, causal=causal, dropout=dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), Dropout(dropout)
        )

    def forward(self, tokens: Tensor, valid: Tensor | None = None, *, last_only: bool = False) -> Tensor:
        """(B, T, C) to (B, T, C), or (B, 1, C), the last token, with `last_only`; `valid` (B, T) masks
        keys.
        """
        mixed = self.attn(self.ln1(tokens), valid, last_only=last_only)
        tokens = (tokens[:, -1:] if last_only else tokens) + mixed
        return tokens + self.mlp(self.ln2(tokens))


def _attend_with_dropout(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
    """Plain attention of (B, heads, T, d) for a CPU, where torch's own is slow as soon as it has dropout."""
    scale = query.shape[-1] ** -0.5
    flat = [part.flatten(0, 1) for part in (query, key, value)]
    scores = torch.baddbmm(query.new_empty(1, 1, 1), flat[0], flat[1].transpose(1, 2), beta=0, alpha=scale)
    weights = drop(scores.softmax(-1), rate, True)
    return torch.bmm(weights, flat[2]).unflatten(0, query.shape[:2])
