"""Causal blocks and stacks fed piece by piece: what was computed for earlier tokens is kept, not repeated.

The numbers are those of `Block` and `Stack` on the whole sequence, to float tolerance, for any way of cutting
it into pieces. Inference only: no dropout, no masks.
"""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from contrapposto.nn.attention import Block, SelfAttention
from contrapposto.nn.positions import PositionTable
from contrapposto.nn.stacks import Stack, UpConv


class KeyValueCache:
    """Keys and values of one attention layer, in buffers of fixed size; also its joined projection.

    Args:
        capacity: the largest number of tokens.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self.length = capacity, 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None

    def project(self, attention: SelfAttention, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (B, heads, n, d) by one product: the three weights are joined once."""
        if self._weight is None:
            layers = (attention.query, attention.key, attention.value)
            self._weight = torch.cat([layer.weight for layer in layers])
            self._bias = torch.cat([layer.bias for layer in layers])
        joined = F.linear(tokens, self._weight, self._bias)
        query, key, value = rearrange(joined, "b n (part h d) -> part b h n d", part=3, h=attention.heads)
        return query, key, value

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, heads, n, d); returns all so far, (B, heads, length, d).

        Raises:
            ValueError: more tokens than the capacity.
        """
        stop = self.length + key.shape[2]
        if stop > self.capacity:
            raise ValueError(f"{stop} tokens do not fit a cache of {self.capacity}")
        if self._keys is None or self._values is None:
            size = (*key.shape[:2], self.capacity, key.shape[3])
            self._keys, self._values = key.new_empty(size), value.new_empty(size)
        self._keys[:, :, self.length : stop] = key
        self._values[:, :, self.length : stop] = value
        self.length = stop
        return self._keys[:, :, :stop], self._values[:, :, :stop]


def extend_attention(attention: SelfAttention, tokens: Tensor, cache: KeyValueCache) -> Tensor:
    """Attention of the next tokens (B, n, C) to all so far and themselves; (B, n, C).

    Raises:
        ValueError: the layer is not causal, so earlier tokens would have to be computed again.
    """
    if not attention.causal:
        raise ValueError("only causal attention can be fed piece by piece")
    query, key, value = cache.project(attention, tokens)
    seen, count = cache.length, tokens.shape[1]
    keys, values = cache.append(key, value)
    mask = None
    if count > 1:
        mask = torch.ones(count, seen + count, dtype=torch.bool, device=tokens.device).tril(seen)
    mixed = F.scaled_dot_product_attention(query, keys, values, mask)
    return attention.proj(mixed.transpose(1, 2).flatten(2))


def extend_block(block: Block, tokens: Tensor, cache: KeyValueCache) -> Tensor:
    """The next tokens (B, n, C) through a block."""
    tokens = tokens + extend_attention(block.attn, block.ln1(tokens), cache)
    return tokens + block.mlp[2](block.mlp[1](block.mlp[0](block.ln2(tokens))))


class StackStream:
    """A causal `Stack` without down-convolution, fed piece by piece.

    An up-convolution with look-ahead holds its last odd frame back until the next token or the end.

    Args:
        stack: in eval mode.
        capacity: the largest number of tokens; the size of the position tables where absent.

    Raises:
        ValueError: the stack is not causal, or it halves time.
    """

    def __init__(self, stack: Stack, capacity: int | None = None) -> None:
        self.blocks = [cast(Block, block) for block in stack.blocks]
        self.tables = [cast(PositionTable, table) for table in stack.pos]
        if stack.down_conv is not None or not all(block.attn.causal for block in self.blocks):
            raise ValueError("only a causal stack that does not halve time can be fed piece by piece")
        self.stack = stack
        limit = capacity or self.tables[0].pe.shape[1]
        self.caches = [KeyValueCache(limit) for _ in self.blocks]
        self._last: Tensor | None = None

    def push(self, tokens: Tensor) -> Tensor:
        """The next tokens (B, n, C), n at least 1; returns the frames that are final now, (B, m, C)."""
        position = self.caches[0].length
        for index, (block, cache) in enumerate(zip(self.blocks, self.caches)):
            if index < len(self.tables):
                tokens = _add_rows(self.tables[index], tokens, position)
            tokens = extend_block(block, tokens, cache)
        if self.stack.up_conv is not None:
            tokens = self._double(self.stack.up_conv, tokens)
        return self.stack.head(self.stack.ln_f(tokens))

    def finish(self) -> Tensor | None:
        """The frame held back, (B, 1, C), or None where there is none."""
        if self._last is None or self.stack.up_conv is None:
            return None
        frame = self.stack.up_conv.last(self._last)
        self._last = None
        return self.stack.head(self.stack.ln_f(frame))

    def _double(self, conv: UpConv, tokens: Tensor) -> Tensor:
        if not conv.look_ahead:
            doubled: Tensor = conv(tokens)[0]
            return doubled
        held = self._last
        self._last = tokens[:, -1:]
        # With the token before in front, all frames but that token's first and the new last one are final.
        joined = tokens if held is None else torch.cat([held, tokens], dim=1)
        frames: Tensor = conv(joined)[0][:, :-1]
        return frames if held is None else frames[:, 1:]


def _add_rows(table: PositionTable, tokens: Tensor, start: int) -> Tensor:
    stop = start + tokens.shape[1]
    if stop > table.pe.shape[1]:
        raise ValueError(f"{stop} tokens do not fit a position table of {table.pe.shape[1]} rows")
    return tokens if table.kind == "none" else tokens + table.pe[:, start:stop]
