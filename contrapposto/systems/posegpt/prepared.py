"""PoseGPT's generator prepared for sampling: nothing is computed twice, and per token only what depends on it.

* Keys and values of earlier tokens are kept in buffers of their final size.
* Tables, conditions and the layer that mixes them are multiplied out: the entry is a sum of rows.
* Query, key and value are one product, the heads of all codebooks another; weights lie in memory as the products read them.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.errors import InputError
from contrapposto.nn.attention import Block
from contrapposto.systems.posegpt.gpt import Condition, TokenGPT


class _Linear(NamedTuple):
    """A linear layer's weight as (in, out), and its bias."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *layers: nn.Linear) -> _Linear:
        """Layers of the same input side by side."""
        weights: list[Tensor] = [layer.weight.detach() for layer in layers]
        biases = [w.new_zeros(len(w)) if x.bias is None else x.bias.detach() for w, x in zip(weights, layers)]
        return cls(torch.cat(weights).t().contiguous(), torch.cat(biases))

    def __call__(self, rows: Tensor) -> Tensor:
        return torch.addmm(self.bias, rows, self.weight)


class _PreparedBlock:
    def __init__(self, block: Block) -> None:
        self.block, self.heads = block, block.attn.heads
        self.project = _Linear.of(block.attn.query, block.attn.key, block.attn.value)
        self.proj = _Linear.of(block.attn.proj)
        self.widen = _Linear.of(cast(nn.Linear, block.mlp[0]))
        self.narrow = _Linear.of(cast(nn.Linear, block.mlp[2]))

    def __call__(self, rows: Tensor, cache: Tensor, start: int) -> Tensor:
        """The next n tokens of B motions (B n, C) through the block; their keys and values go to `cache`.

        It is (B, 2, heads, P, d).
        """
        batch = len(cache)
        count = len(rows) // batch
        projected = self.project(self.block.ln1(rows))
        joined = rearrange(projected, "(b n) (part h d) -> b part h n d", b=batch, part=3, h=self.heads)
        stop = start + count
        cache[:, :, :, start:stop] = joined[:, 1:]
        mask = None
        if count > 1:
            mask = torch.ones(count, stop, dtype=torch.bool, device=rows.device).tril(start)
        seen = cache[:, :, :, :stop]
        mixed = F.scaled_dot_product_attention(joined[:, 0], seen[:, 0], seen[:, 1], mask)
        return self._after(rows, mixed)

    def at(self, rows: Tensor, cache: Tensor, position: Tensor) -> Tensor:
        """The token (B, C) at a position (1,) that is on the device: the same shapes wherever it is."""
        joined = rearrange(
            self.project(self.block.ln1(rows)), "b (part h d) -> b part h 1 d", part=3, h=self.heads
        )
        cache.index_copy_(3, position, joined[:, 1:])
        before = torch.arange(cache.shape[3], device=rows.device) <= position
        mixed = F.scaled_dot_product_attention(joined[:, 0], cache[:, 0], cache[:, 1], before[None])
        return self._after(rows, mixed)

    def _after(self, rows: Tensor, mixed: Tensor) -> Tensor:
        """What follows the attention (B, heads, n, d)."""
        rows = torch.addmm(rows, rearrange(mixed, "b h n d -> (b n) (h d)"), self.proj.weight)
        rows += self.proj.bias
        hidden = F.gelu(self.widen(self.block.ln2(rows)))
        return torch.addmm(rows, hidden, self.narrow.weight).add_(self.narrow.bias)


class PreparedGPT:
    """A causal `TokenGPT` in eval mode, for inference; it takes over the weights as they are now.

    Args:
        gpt: the transformer.

    Raises:
        ValueError: it is not causal: earlier tokens would change with later ones.
    """

    @torch.no_grad()
    def __init__(self, gpt: TokenGPT) -> None:
        if not gpt.causal:
            raise ValueError("only a causal transformer can be sampled with a cache")
        self.gpt = gpt
        self.blocks = [_PreparedBlock(cast(Block, block)) for block in gpt.blocks]
        width = gpt.pos_emb.shape[2]
        eye = torch.eye(width, device=gpt.pos_emb.device, dtype=gpt.pos_emb.dtype)
        parts = gpt.fc_emb.weight.t().split(width) if gpt.concatenate else None
        # What token, position, action and length are multiplied with.
        self.mixes = list(parts) if parts is not None else [eye] * 4
        self.bias = gpt.fc_emb.bias if gpt.concatenate else gpt.pos_emb.new_zeros(width)
        share = width // gpt.num_books
        tables = []
        for book, offset in enumerate(gpt.offsets.tolist()):
            rows = gpt.tok_emb.weight[offset : offset + gpt.book_size + 1]
            tables.append(rows @ self.mixes[0][book * share : (book + 1) * share])
        self.tokens = torch.cat(tables)
        self.starts = torch.arange(gpt.num_books, device=self.tokens.device) * (gpt.book_size + 1) + 1
        simple = gpt.depth is None and all(isinstance(head, nn.Linear) for head in gpt.list_head)
        self.heads = _Linear.of(*cast(list[nn.Linear], list(gpt.list_head))) if simple else None

    def start(
        self, batch: int, capacity: int, condition: Condition, prepended: Tensor | None = None
    ) -> TokenStream:
        """Begin `batch` motions of at most `capacity` tokens; conditions as in `TokenGPT.forward`.

        Raises:
            InputError: more tokens than the generator has positions for.
        """
        if capacity > self.gpt.block_size:
            raise InputError(
                f"{capacity} tokens do not fit this generator.",
                expected=f"at most {self.gpt.block_size}",
                fix="ask for fewer frames, or generate by a sliding window",
            )
        conditions = self.gpt.pos_emb[:, :capacity] @ self.mixes[1] + self.bias
        extras = [extra for extra in (condition.action, condition.length) if extra is not None]
        for extra, mix in zip(extras, self.mixes[2:]):
            conditions = conditions + extra[:, :capacity] @ mix
        conditions = conditions.expand(batch, -1, -1).clone()
        if prepended is not None:
            conditions[:, :1] += prepended @ self.mixes[0]
        return TokenStream(self, conditions)

    def logits(self, rows: Tensor) -> Tensor:
        """(B, K, classes) of the last token's features (B, C), where its codes are independent."""
        if self.heads is not None:
            return self.heads(rows).unflatten(1, (self.gpt.num_books, -1))
        return torch.stack([head(rows) for head in self.gpt.list_head], dim=1)


class TokenStream:
    """Motions that are being written.

    Args:
        prepared: the transformer.
        conditions: (B, P, C) sum of what every position has beside its token.
    """

    def __init__(self, prepared: PreparedGPT, conditions: Tensor) -> None:
        self.prepared, self.conditions, self.length = prepared, conditions, 0
        heads = prepared.blocks[0].heads if prepared.blocks else 1
        shape = (len(conditions), 2, heads, conditions.shape[1], conditions.shape[2] // heads)
        self.caches = [conditions.new_zeros(shape) for _ in prepared.blocks]

    @torch.inference_mode()
    def extend(self, indices: Tensor) -> Tensor:
        """Logits (B, K, classes) of the next token, where its codes are independent; arguments of `advance`."""
        return self.prepared.logits(self.advance(indices))

    @torch.inference_mode()
    def advance(self, indices: Tensor) -> Tensor:
        """Features (B, C) of the next token, from which its logits are made.

        Args:
            indices: (B, n, K) the codes since the last call, n at least 1; in the first call a past or none.
        """
        prepared, batch = self.prepared, len(self.conditions)
        first = self.length == 0
        stop = self.length + indices.shape[1] + int(first)
        rows = F.embedding(indices + prepared.starts, prepared.tokens).sum(2)
        if first:  # its content is part of the conditions
            rows = torch.cat([rows.new_zeros(batch, 1, rows.shape[2]), rows], dim=1)
        rows = (rows + self.conditions[:, self.length : stop]).flatten(0, 1)
        for block, cache in zip(prepared.blocks, self.caches):
            rows = block(rows, cache, self.length)
        self.length = stop
        features: Tensor = prepared.gpt.ln_f(rows.view(batch, -1, rows.shape[1])[:, -1])
        return features
