"""Vector attention among points, and set abstraction to fewer points (docs/specs/npr.md, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.neighbours import nearest
from contrapposto.systems.npr.attention import PairAttention, attend, homogeneous, take
from contrapposto.systems.npr.layers import PointConv, PointNorm, mlp


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
        self.neighbours = neighbours
        if positions_only:
            for unused in (self.w_qs, self.w_ks, self.w_vs):
                unused.requires_grad_(False)

    def forward(
        self, positions: Tensor, features: Tensor | None = None, near: Tensor | None = None
    ) -> Tensor:
        """Positions (B, N, 3) and features (B, N, C), None with `positions_only`, to (B, N, C).

        `near` (B, N, K): the nearest points where somebody knows them already.
        """
        attention = PairAttention(self.fc_delta, self.fc_gamma)
        if near is None and self.neighbours is not None:
            near = nearest(positions, positions, self.neighbours)
        # Centre minus neighbour; in the set abstraction it is the other way round.
        centres, around = homogeneous(positions, 1), homogeneous(positions, 0)
        if features is None:
            query, key, value = attention.score_bias[None, None], None, attention.position_bias[None, None]
        else:
            query, key = attention.queries(self.w_qs, features), attention.keys(self.w_ks, features)
            value = attention.values(self.w_vs, features)
        mixed = attend(attention, centres, around, near, query, key, value)
        return self.bn(mixed if features is None else mixed + features)


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
        centres, own = take(positions, chosen), take(features, chosen)
        near = nearest(centres, positions, self.neighbours)
        if near[0].numel() < positions.shape[1]:  # most points are nobody's neighbours: leave them out
            positions, features = (take(table, near.flatten(1)) for table in (positions, features))
            near = torch.arange(near[0].numel(), device=near.device).view(1, *near.shape[1:]).expand_as(near)
        # Neighbour minus centre; in the attention block it is the other way round.
        places = homogeneous(-centres, 1), homogeneous(-positions, 0), near
        attention = PairAttention(self.fc_delta1, self.fc_gamma1)
        query, key = attention.queries(self.w_qs, own), attention.keys(self.w_ks, features)
        first = attend(attention, *places, query, key, attention.values(self.w_vs, features))
        first = self.bnorm0(first + self.conv2(F.relu(self.bn1(self.conv1(first)))))
        attention = PairAttention(self.fc_delta1, self.fc_gamma2)
        query, key = attention.queries(self.w_qs2, first), attention.keys(self.w_ks2, features)
        second = attend(attention, *places, query, key, attention.values(self.w_vs2, features))
        return self.bnorm2(self.bnorm1(first + second) + own)
