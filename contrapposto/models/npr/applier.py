"""Pose applier h': the Jacobian of a pose at any point of any template (NPR sheet, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.neighbours import nearest
from contrapposto.models.npr.extractor import PoseCode
from contrapposto.models.npr.layers import (
    PairAttention,
    add,
    homogeneous,
    mix,
    mlp,
    offsets,
    over_points,
    parameters,
    relu,
)


class CrossAttention(nn.Module):
    """A query point attends to its nearest keypoints and to the pose as a whole.

    The attention query is the same everywhere: it comes from the pose's code. The position code of the global token is
    exactly zero.

    Args:
        inputs: size D of features and code.
        width: C of the result.
        neighbours: K nearest keypoints.
    """

    def __init__(self, inputs: int, width: int, neighbours: int) -> None:
        super().__init__()
        self.fc_delta, self.fc_gamma = mlp(3, width), mlp(width, width)
        self.w_k_global, self.w_v_global = (nn.Linear(inputs, width, bias=False) for _ in range(2))
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(inputs, width, bias=False) for _ in range(3))
        self.neighbours = neighbours

    def forward(self, queries: Tensor, pose: PoseCode) -> Tensor:
        """Query points (B, Q, 3) to (B, Q, C)."""
        index = nearest(queries, pose.keypoints, self.neighbours)
        attend = self.prepare(pose)
        samples = [
            over_points(
                lambda chosen, b=b: attend(b, queries[b, chosen], index[b, chosen]),  # type: ignore[misc]
                queries.shape[1],
                self.neighbours + 1,
            )
            for b in range(len(queries))
        ]
        return torch.stack(samples)

    def prepare(self, pose: PoseCode) -> _Attend:
        """What depends on the pose alone, computed for its K keypoints, not for every query."""
        return _Attend(self, pose)


class _Attend:
    def __init__(self, block: CrossAttention, pose: PoseCode) -> None:
        self.attention = attention = PairAttention(block.fc_delta, block.fc_gamma)
        self.delta, self.keypoints = block.fc_delta, homogeneous(pose.keypoints, 0)
        query = block.w_qs(pose.code)  # B, C
        self.query = F.linear(query, attention.first, attention.score_bias)
        self.key = attention.keys(block.w_ks, pose.features)
        self.value = attention.values(block.w_vs, pose.features)
        # The global token has no position, hence one score and one value for all queries.
        lone = F.relu(F.linear(query - block.w_k_global(pose.code), *parameters(block.fc_gamma[0])))
        self.lone_logit = F.linear(
            lone, attention.last, attention.last_bias if torch.is_grad_enabled() else None
        )
        self.lone_value = block.w_v_global(pose.code)

    def __call__(self, sample: int, queries: Tensor, index: Tensor) -> Tensor:
        places, key, value = (
            table[sample].index_select(0, index.reshape(-1)).view(*index.shape, -1)
            for table in (self.keypoints, self.key, self.value)
        )
        hidden = offsets(self.delta, homogeneous(queries, 1)[:, None] - places)
        logits = self.attention.logits(hidden, self.query[sample], key)
        values = add(F.linear(hidden, self.attention.position), value)
        return mix(logits, values, self.lone_logit[sample], self.lone_value[sample])


class ResidualBlock(nn.Module):
    """x + linear(relu(linear(relu x))); the last weight starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_0, self.fc_1 = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, points: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return points + self.fc_1(relu(self.fc_0(F.relu(points))))


class PoseApplier(nn.Module):
    """Pose and query points to Jacobians. The state dict has the original's names.

    Args:
        inputs: size D of the pose's features.
        width: of the attention.
        neighbours: keypoints that a query sees.
        hidden: width of the residual blocks.
        blocks: their number.
        outputs: 9 (Jacobians, row by row) or 3 (positions).
    """

    def __init__(
        self,
        inputs: int = 256,
        width: int = 200,
        neighbours: int = 7,
        hidden: int = 128,
        blocks: int = 5,
        outputs: int = 9,
    ) -> None:
        super().__init__()
        self.ct1 = CrossAttention(inputs, width, neighbours)
        self.init_enc = nn.Linear(width, hidden)
        self.blocks = nn.ModuleList(ResidualBlock(hidden) for _ in range(blocks))
        self.fc_c = nn.ModuleList(nn.Linear(width, hidden) for _ in range(blocks))
        self.fc_out = nn.Linear(hidden, outputs)

    def forward(self, queries: Tensor, pose: PoseCode) -> Tensor:
        """Query points (B, Q, 3), or (1, Q, 3) for all poses, to (B, Q, outputs)."""
        queries = queries.expand(len(pose), -1, -1)
        context = self.ct1(queries, pose)
        if torch.is_grad_enabled():
            return self._decode(context)
        flat = context.flatten(0, 1)
        parts = over_points(lambda chosen: self._decode(flat[chosen]), len(flat), 4)
        return parts.view(*context.shape[:2], -1)

    def _decode(self, context: Tensor) -> Tensor:
        points = self.init_enc(context)
        for block, condition in zip(self.blocks, self.fc_c):
            points = block(points + condition(context))
        return self.fc_out(F.relu(points))
