"""Vector attention over pairs of points: a softmax over neighbours for each channel (docs/specs/npr.md, sections 3 and 4).

Where a gradient is asked for, all pairs are there at once. Else they are worked through in chunks that stay in the
processor's cache, in buffers that are used again, so memory does not grow with the number of points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.systems.npr.layers import parameters

_CHUNK_PAIRS = 1024
_CHUNK_PAIRS_GPU = 2**17


def homogeneous(points: Tensor, last: float) -> Tensor:
    """(..., 3) points with a fourth coordinate, so that a layer's bias is part of the product."""
    return F.pad(points, (0, 1), value=last)


def take(table: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) by (B, ...) int64, or (1, ...) for all alike, to (B, ..., C)."""
    flat = index.flatten(1)
    if len(index) == 1:
        rows = table.index_select(1, flat[0])
    else:
        rows = table.gather(1, flat[..., None].expand(-1, -1, table.shape[-1]))
    return rows.view(len(rows), *index.shape[1:], table.shape[-1])


def chunk(points: Tensor, pairs: int) -> int:
    """How many points to work on at a time where each has that many pairs."""
    return max(1, (_CHUNK_PAIRS_GPU if points.is_cuda else _CHUNK_PAIRS) // pairs)


def over_points(function: Callable[[Tensor], Tensor], points: Tensor, pairs: int) -> Tensor:
    """`function` of points (P, C), in chunks; each has as much work as that many pairs."""
    return torch.cat([function(part) for part in points.split(chunk(points, pairs))])


@dataclass(frozen=True)
class _Sample:
    """What a sample has beside its places: arguments of `PairAttention` without the leading dimension."""

    query: Tensor | None
    key: Tensor | None
    value: Tensor
    lone: tuple[Tensor, Tensor] | None

    def with_query_in_key(self) -> _Sample:
        """The same numbers, with a query that all points share added to the keys once."""
        if self.key is None or self.query is None or len(self.query) > 1:
            return self
        return _Sample(None, self.key + self.query, self.value, self.lone)


class PairAttention:
    """Softmax over neighbours, for each channel, of gamma(query - key + position); the mixed values + positions.

    The last layer of the position network and the first of gamma are linear with nothing between, so their product is
    formed once. Gamma's first layer goes into the weights of queries and keys, and biases into what belongs to a point,
    before anything is spread over pairs.

    Args:
        delta: position network, `mlp(3, C)`.
        gamma: weight network, `mlp(C, C)`.
    """

    def __init__(self, delta: nn.Sequential, gamma: nn.Sequential) -> None:
        weight, bias = parameters(delta[0])
        self.hidden = torch.cat([weight, bias[:, None]], dim=1)
        self.position, self.position_bias = parameters(delta[2])
        self.first, first_bias = parameters(gamma[0])
        self.last, self.last_bias = parameters(gamma[2])
        self.score = self.first @ self.position
        self.score_bias = F.linear(self.position_bias, self.first, first_bias)

    def queries(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what the scores want of the points that ask."""
        return F.linear(features, self.first @ layer.weight, self.score_bias)

    def keys(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what the scores want of the points that are asked; the minus is in it."""
        return F.linear(features, -(self.first @ layer.weight))

    def values(self, layer: nn.Linear, features: Tensor) -> Tensor:
        """(..., C) features to what is mixed of them."""
        return F.linear(features, layer.weight, self.position_bias)

    def logits(self, score: Tensor) -> Tensor:
        """(..., C) scores, ReLU done, to logits.

        The last bias is the same for all neighbours: the softmax does not see it. Training keeps it all the same, so
        that every parameter has a gradient.
        """
        return F.linear(score, self.last, self.last_bias if torch.is_grad_enabled() else None)

    def __call__(
        self,
        centres: Tensor,
        around: Tensor,
        near: Tensor | None,
        query: Tensor,
        key: Tensor | None,
        value: Tensor,
        lone: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attend, for S samples whose points lie at the same places: what depends on places is computed once.

        Args:
            centres: (P, 4) places of the points that ask, 1 in the last place.
            around: (N, 4) places of the points that are asked, 0 in the last place.
            near: (P, K) int64 which of them each one asks; None: all.
            query: (S, P, C), or (S, 1, C) where all ask the same. Here and below S may be 1 for all alike.
            key: (S, N, C); None: the score has only queries and positions.
            value: (S, N, C), or (S, 1, C).
            lone: logits and values (S, C) of one more token, without a place, that all points see.

        Returns:
            (S, P, C).
        """
        samples = [
            _Sample(
                _row(query, number),
                None if key is None else _row(key, number),
                _row(value, number),
                None if lone is None else (_row(lone[0], number), _row(lone[1], number)),
            )
            for number in range(max(map(len, (query, value, *(() if key is None else (key,))))))
        ]
        if torch.is_grad_enabled():
            return self._at_once(centres, around, near, samples)
        return self._in_chunks(centres, around, near, samples)

    def _at_once(
        self, centres: Tensor, around: Tensor, near: Tensor | None, samples: Sequence[_Sample]
    ) -> Tensor:
        hidden = F.relu(F.linear(centres[:, None] - _rows(around, near), self.hidden))
        place_scores, place_values = F.linear(hidden, self.score), F.linear(hidden, self.position)
        return torch.stack([self._mixed(place_scores, place_values, near, one) for one in samples])

    def _mixed(
        self, place_scores: Tensor, place_values: Tensor, near: Tensor | None, sample: _Sample
    ) -> Tensor:
        """(P, C) of one sample, from what places alone give: (P, K, C) twice."""
        value, score = sample.value, place_scores
        if sample.query is not None:
            score = score + sample.query[:, None]
        if sample.key is not None:
            score = score + _rows(sample.key, near)
        logits = self.logits(F.relu(score))
        values = place_values + (value if len(value) == 1 else _rows(value, near))
        top = logits.detach().amax(dim=1)
        if sample.lone is not None:
            top = torch.maximum(top, sample.lone[0].detach())
        weights = torch.exp(logits - top[:, None])
        total, mixed = weights.sum(dim=1), (values * weights).sum(dim=1)
        if sample.lone is not None:
            weight = torch.exp(sample.lone[0] - top)
            total, mixed = total + weight, torch.addcmul(mixed, weight, sample.lone[1])
        return mixed / total

    def _in_chunks(
        self, centres: Tensor, around: Tensor, near: Tensor | None, samples: Sequence[_Sample]
    ) -> Tensor:
        """As `_at_once`; neighbours come first in the buffers, so that a sum over them is one over whole rows."""
        count, pairs, width = len(centres), len(around) if near is None else near.shape[1], len(self.last)
        step, shared = min(chunk(centres, pairs), count), len(samples) > 1
        samples = [sample.with_query_in_key() for sample in samples]
        buffers = centres.new_empty(6 if shared else 4, step * pairs, width)
        result = centres.new_empty(len(samples), count, width)
        for start in range(0, count, step):
            part = slice(start, min(start + step, count))
            size = part.stop - start
            hidden, score, logits, values, *places = (flat[: size * pairs] for flat in buffers)
            index = None if near is None else near[part].t().reshape(-1)
            _difference(hidden, centres[part], around, index, self.hidden)
            for weight, out in zip((self.score, self.position), places):
                torch.mm(hidden, weight.t(), out=out)
            for number, sample in enumerate(samples):
                own = sample.query
                own = own[part] if own is not None and len(own) > 1 else own
                _spread(score, sample.key, own, index, size)
                score.add_(places[0]) if shared else score.addmm_(hidden, self.score.t())
                torch.mm(score.relu_(), self.last.t(), out=logits)
                _spread(values, sample.value, None, index, size)
                values.add_(places[1]) if shared else values.addmm_(hidden, self.position.t())
                shape = (pairs, size, width)
                result[number, part] = _mix_in_place(logits.view(shape), values.view(shape), sample.lone)
        return result


def attend(
    attention: PairAttention,
    centres: Tensor,
    around: Tensor,
    near: Tensor | None,
    query: Tensor,
    key: Tensor | None,
    value: Tensor,
    lone: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """`PairAttention` of B samples: every argument with a leading dimension B, or 1 for all alike."""
    if len(centres) == len(around) == 1:
        return attention(centres[0], around[0], None if near is None else near[0], query, key, value, lone)
    results = []
    for number in range(max(len(centres), len(around))):
        results.append(
            attention(
                _row(centres, number),
                _row(around, number),
                None if near is None else _row(near, number),
                _row(query, number)[None],
                None if key is None else _row(key, number)[None],
                _row(value, number)[None],
                None if lone is None else (_row(lone[0], number)[None], _row(lone[1], number)[None]),
            )
        )
    return torch.cat(results)


def _row(table: Tensor, number: int) -> Tensor:
    """What a sample has of a table with a leading dimension, which may be 1 for all alike."""
    return table[number if len(table) > 1 else 0]


def _rows(table: Tensor, near: Tensor | None) -> Tensor:
    """Neighbours' rows of (N, C): (P, K, C); all rows, (1, N, C), where all are neighbours."""
    if near is None:
        return table[None]
    return table.index_select(0, near.reshape(-1)).view(*near.shape, -1)


def _difference(out: Tensor, centres: Tensor, around: Tensor, index: Tensor | None, weight: Tensor) -> None:
    """(K * P, C) hidden layer of the position network."""
    others = around if index is None else around.index_select(0, index)
    places = centres - others.view(-1, 1 if index is None else len(centres), 4)
    torch.mm(places.view(-1, 4), weight.t(), out=out).relu_()


def _spread(out: Tensor, table: Tensor | None, own: Tensor | None, index: Tensor | None, size: int) -> None:
    """Fill (K * P, C) with the neighbours' rows of a table and the points' own rows (P, C) or (1, C)."""
    view = out.view(-1, size, out.shape[-1])
    if table is None:
        assert own is not None
        view.copy_(own)
    elif own is None and len(table) == 1:
        view.copy_(table)
    elif index is None:
        view.copy_(table[:, None]) if own is None else torch.add(table[:, None], own, out=view)
    else:
        torch.index_select(table, 0, index, out=out)
        if own is not None:
            view += own


def _mix_in_place(logits: Tensor, values: Tensor, lone: tuple[Tensor, Tensor] | None) -> Tensor:
    """(K, P, C) twice, both spent, to (P, C)."""
    top = logits.amax(dim=0)
    if lone is not None:
        torch.maximum(top, lone[0], out=top)
    weights = logits.sub_(top).exp_()
    total, mixed = weights.sum(dim=0), values.mul_(weights).sum(dim=0)
    if lone is not None:
        weight = torch.exp(lone[0] - top)
        total.add_(weight)
        mixed.addcmul_(weight, lone[1])
    return mixed.div_(total)
