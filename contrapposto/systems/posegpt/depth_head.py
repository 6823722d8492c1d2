"""The codes of one token one after the other: a code of a residual codebook means little without those before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Choose = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Logits (B, V) and the codebook to codes (B,) and margins (B,)."""


class DepthHead(nn.Module):
    """Logits of a token's K codes from the transformer's features and the codes of the codebooks before.

    The state of codebook k is the features plus an embedding of each earlier code; one residual MLP for each codebook
    makes its logits of it.

    Args:
        num_books: K.
        book_size: V.
        width: C of the features.
    """

    def __init__(self, num_books: int, book_size: int, width: int) -> None:
        super().__init__()
        self.num_books = num_books
        self.codes = nn.ModuleList(nn.Embedding(book_size, width) for _ in range(num_books - 1))
        self.mixers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
            )
            for _ in range(num_books)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, book_size, bias=False))
            for _ in range(num_books)
        )

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        """Logits (..., K, V) of features (..., C), where the codes (..., K) stand; those below 0 count as 0."""
        state, logits = features, []
        for book in range(self.num_books):
            logits.append(self._logits(state, book))
            if book < self.num_books - 1:
                state = state + self.codes[book](codes[..., book].clamp_min(0))
        return torch.stack(logits, dim=-2)

    def draw(self, features: Tensor, choose: Choose) -> tuple[Tensor, Tensor]:
        """Codes (B, K) and margins (B, K) of features (B, C), each codebook knowing what was chosen before."""
        state, codes, margins = features, [], []
        for book in range(self.num_books):
            code, margin = choose(self._logits(state, book), book)
            codes.append(code)
            margins.append(margin)
            if book < self.num_books - 1:
                state = state + self.codes[book](code)
        return torch.stack(codes, dim=-1), torch.stack(margins, dim=-1)

    def _logits(self, state: Tensor, book: int) -> Tensor:
        logits: Tensor = self.heads[book](state + self.mixers[book](state))
        return logits
