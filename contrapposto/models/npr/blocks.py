"""Vector attention among points, and set abstraction to fewer points (NPR sheet, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.neighbours import nearest
from contrapposto.models.npr.layers import (
    PairAttention,
    PointConv,
    PointNorm,
    homogeneous,
    mlp,
    offsets,
    over_points,
)


class AttentionBlock(nn.Module):
    """Each point attends to its nearest points: norm(attention + x). No scale, no heads, weights for each channel.

    Args:
        width: C.
        neighbours: K; None: all points.
        positions_only: no features come in: the weights and values are those of the positions, without a residual.
            The unused projections stay, as in the original's files.
    """

    def __init__(self, width: int, neighbours: int | None, *, positions_only: bool = False) -> None:
        super().__init__()
        self.bn = PointNorm(width)
        self.fc_delta, self.fc_gamma = mlp(3, width), mlp(width, width)
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.neighbours, self.positions_only = neighbours, positions_only
        if positions_only:
            for unused in (self.w_qs, self.w_ks, self.w_vs):
                unused.requires_grad_(False)

    def forward(self, positions: Tensor, features: Tensor | None = None) -> Tensor:
        """Positions (B, N, 3) and features (B, N, C), None with `positions_only`, to (B, N, C)."""
        attention = PairAttention(self.fc_delta, self.fc_gamma)
        index = None if self.neighbours is None else nearest(positions, positions, self.neighbours)
        samples = []
        for number, places in enumerate(positions):
            near = None if index is None else index[number]
            own = None if features is None else features[number]
            samples.append(self._attend(attention, places, own, near))
        mixed = torch.stack(samples)
        return self.bn(mixed if features is None else mixed + features)

    def _attend(
        self, attention: PairAttention, places: Tensor, features: Tensor | None, near: Tensor | None
    ) -> Tensor:
        # Centre minus neighbour; in the set abstraction it is the other way round.
        centres, around = homogeneous(places, 1), homogeneous(places, 0)
        if features is None:

            def part(chosen: slice) -> Tensor:
                hidden = offsets(self.fc_delta, centres[chosen][:, None] - _rows(around, near, chosen))
                return attention(hidden, attention.score_bias, None, attention.position_bias)
        else:
            query = attention.queries(self.w_qs, features)
            key, value = attention.keys(self.w_ks, features), attention.values(self.w_vs, features)

            def part(chosen: slice) -> Tensor:
                hidden = offsets(self.fc_delta, centres[chosen][:, None] - _rows(around, near, chosen))
                keys, values = _rows(key, near, chosen), _rows(value, near, chosen)
                return attention(hidden, query[chosen][:, None], keys, values)

        return over_points(part, len(places), len(places) if near is None else near.shape[1])


def _rows(table: Tensor, near: Tensor | None, chosen: slice) -> Tensor:
    """Neighbours' rows of (N, C): (P, K, C) for the chosen points; all rows, (1, N, C), where all are neighbours."""
    if near is None:
        return table[None]
    index = near[chosen]
    return table.index_select(0, index.reshape(-1)).view(*index.shape, -1)


class SetAbstraction(nn.Module):
    """Chosen points gather from their neighbours among all, twice, with the same position code.

    Args:
        width: C.
        neighbours: K.
    """

    def __init__(self, width: int, neighbours: int) -> None:
        super().__init__()
        self.bnorm0, self.bnorm1, self.bnorm2 = PointNorm(width), PointNorm(width), PointNorm(width)
        self.bn1 = PointNorm(width)
        self.conv1, self.conv2 = PointConv(width), PointConv(width)
        self.fc_delta1, self.fc_gamma1, self.fc_gamma2 = mlp(3, width), mlp(width, width), mlp(width, width)
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.w_qs2, self.w_ks2, self.w_vs2 = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.neighbours = neighbours

    def forward(self, positions: Tensor, features: Tensor, chosen: Tensor) -> Tensor:
        """Positions (B, N, 3), features (B, N, C) and chosen indices (B, M) to features (B, M, C)."""
        centres = take(positions, chosen)
        own = take(features, chosen)
        index = nearest(centres, positions, self.neighbours)
        differences = take(positions, index) - centres[:, :, None]  # neighbour minus centre
        hidden = offsets(self.fc_delta1, homogeneous(differences, 1))
        first = self._attend(hidden, features, index, own, (self.w_qs, self.w_ks, self.w_vs), self.fc_gamma1)
        first = self.bnorm0(first + self.conv2(F.relu(self.bn1(self.conv1(first)))))
        layers = (self.w_qs2, self.w_ks2, self.w_vs2)
        second = self._attend(hidden, features, index, first, layers, self.fc_gamma2)
        return self.bnorm2(self.bnorm1(first + second) + own)

    def _attend(
        self,
        hidden: Tensor,
        features: Tensor,
        index: Tensor,
        own: Tensor,
        layers: tuple[nn.Linear, nn.Linear, nn.Linear],
        gamma: nn.Sequential,
    ) -> Tensor:
        attention = PairAttention(self.fc_delta1, gamma)
        query, key, value = layers
        keys = take(attention.keys(key, features), index).flatten(0, 1)
        values = take(attention.values(value, features), index).flatten(0, 1)
        queries = attention.queries(query, own).flatten(0, 1)[:, None]
        return attention(hidden.flatten(0, 1), queries, keys, values).view_as(own)


def take(table: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) by (B, ...) int64 to (B, ..., C)."""
    flat = index.flatten(1)
    rows = table.gather(1, flat[..., None].expand(-1, -1, table.shape[-1]))
    return rows.view(*index.shape, table.shape[-1])
