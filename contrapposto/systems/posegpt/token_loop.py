"""From one token to the next with the same shapes at every position: on a CUDA device one graph makes all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.nn.replay import Replay
from contrapposto.systems.posegpt.gpt import TokenGPT
from contrapposto.systems.posegpt.prepared import PreparedGPT, TokenStream
from contrapposto.systems.posegpt.token_sampling import Draw

_MOST_LOOPS = 4


def choose_codes(
    gpt: TokenGPT, logits: Tensor, draw: Draw, noise: Tensor | None, may_end: Tensor | bool
) -> tuple[Tensor, Tensor]:
    """Codes (B, K), -1 for the end, and margins (B,) of logits (B, K, classes) whose codes are independent.

    Args:
        gpt: that gave the logits.
        logits: see above.
        draw, noise: see `Draw.choose`.
        may_end: whether the end may be drawn; a bool, or one on the device (1,).
    """
    if gpt.end_token:
        barred = torch.arange(logits.shape[-1], device=logits.device) == 0
        logits = logits.masked_fill(
            barred & (~may_end if isinstance(may_end, Tensor) else not may_end), -torch.inf
        )
    codes, margin = draw.choose(logits, noise)
    return codes - int(gpt.end_token), margin.amin(-1)


def draw_codes(gpt: TokenGPT, features: Tensor, draw: Draw, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Codes (B, K) and margins (B,) of features (B, C), each codebook knowing what was chosen before."""
    assert gpt.depth is not None
    codes, margin = gpt.depth.draw(
        features, lambda logits, book: draw.choose(logits, None if noise is None else noise[:, book])
    )
    return codes, margin.amin(-1)


class TokenLoop:
    """The steps of B motions after their first one.

    Args:
        prepared: the transformer.
        batch: B.
        draw: how codes are drawn.
    """

    def __init__(self, prepared: PreparedGPT, batch: int, draw: Draw) -> None:
        self.prepared, self.draw, self.busy = prepared, draw, False
        weights = prepared.tokens
        self.stream = TokenStream(
            prepared, weights.new_zeros(batch, prepared.gpt.block_size, weights.shape[1])
        )
        self.positions = torch.arange(prepared.gpt.block_size, device=weights.device)
        self.flags = torch.arange(2, device=weights.device).bool()
        self._step = Replay(self.step)

    def join(self, stream: TokenStream) -> None:
        """Continue a stream that has begun: what it keeps of its tokens is kept in this loop's memory from now on."""
        self.stream.conditions[:, : stream.conditions.shape[1]] = stream.conditions
        stream.caches = self.stream.caches

    def next(
        self, codes: Tensor, position: int, may_end: bool, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Codes (B, K) and margins (B,) of the token at a position from those (B, K) of the one before it."""
        inputs = [codes, self.positions[position : position + 1], self.flags[int(may_end) :][:1]]
        following, margin = self._step(*inputs, *([] if noise is None else [noise]))
        return following, margin

    def step(
        self, codes: Tensor, position: Tensor, may_end: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """`next` with everything on the device."""
        prepared = self.prepared
        rows = F.embedding(codes + prepared.starts, prepared.tokens).sum(1)
        rows = rows + self.stream.conditions.index_select(1, position)[:, 0]
        for block, cache in zip(prepared.blocks, self.stream.caches):
            rows = block.at(rows, cache, position)
        features = prepared.gpt.ln_f(rows)
        if prepared.gpt.depth is not None:
            return draw_codes(prepared.gpt, features, self.draw, noise)
        return choose_codes(prepared.gpt, prepared.logits(features), self.draw, noise, may_end)


class TokenLoops:
    """Loops that wait to be used again: to make a graph takes longer than a motion.

    Args:
        prepared: the transformer of all.
    """

    def __init__(self, prepared: PreparedGPT) -> None:
        self.prepared = prepared
        self._loops: dict[tuple[int, Draw], TokenLoop] = {}

    @contextmanager
    def joined(self, stream: TokenStream, draw: Draw) -> Iterator[TokenLoop | None]:
        """A loop that continues a stream; None where other motions are in the middle of theirs."""
        key = len(stream.conditions), draw
        loop = self._loops.pop(key, None) or TokenLoop(self.prepared, *key)
        self._loops[key] = loop  # the newest is the last
        if loop.busy:
            yield None
            return
        while len(self._loops) > _MOST_LOOPS:
            del self._loops[next(iter(self._loops))]
        loop.busy = True
        loop.join(stream)
        try:
            yield loop
        finally:
            loop.busy = False
