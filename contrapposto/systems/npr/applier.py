"""Pose applier h': the Jacobian of a pose at any point of any template (docs/specs/npr.md, section 4)."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.neighbours import nearest
from contrapposto.systems.npr.attention import PairAttention, attend, homogeneous, over_points
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.layers import mlp, parameters

_CONTEXTS = 2**16  # of all poses at a time, so that memory does not grow with the faces


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
        """Query points (B, Q, 3) to (B, Q, C). Points and keypoints may be (1, ...) for all poses: faster."""
        attention = PairAttention(self.fc_delta, self.fc_gamma)
        queries = queries.expand(max(len(queries), len(pose.keypoints)), -1, -1)
        near = nearest(queries, pose.keypoints.expand(len(queries), -1, -1), self.neighbours)
        query = self.w_qs(pose.code)  # B, C
        # The global token has no position, hence one logit and one value for all queries.
        lone = F.relu(F.linear(query - self.w_k_global(pose.code), *parameters(self.fc_gamma[0])))
        return attend(
            attention,
            homogeneous(queries, 1),
            homogeneous(pose.keypoints, 0),
            near,
            F.linear(query, attention.first, attention.score_bias)[:, None],
            attention.keys(self.w_ks, pose.features),
            attention.values(self.w_vs, pose.features),
            (attention.logits(lone), self.w_v_global(pose.code)),
        )


class ResidualBlock(nn.Module):
    """x + linear(relu(linear(relu x))); the last weight starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc_0, self.fc_1 = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.fc_1.weight)

    def forward(self, points: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return points + self.fc_1(F.relu(self.fc_0(F.relu(points))))


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
        """Query points (B, Q, 3), or (1, Q, 3) for all poses, to (B, Q, outputs).

        The pose's keypoints may be (1, K, 3) where they are the same in all poses: faster.
        """
        if torch.is_grad_enabled():
            return self._decode(self.ct1(queries, pose))
        weight, bias = self._conditions()
        decode = partial(self._decode_in_place, weight=weight, bias=bias)
        parts = []
        for part in queries.split(max(_CONTEXTS // len(pose.code), 1), dim=1):
            context = self.ct1(part, pose)
            parts.append(over_points(decode, context.flatten(0, 1), 4).view(*context.shape[:2], -1))
        return torch.cat(parts, dim=1)

    def _decode(self, context: Tensor) -> Tensor:
        points = self.init_enc(context)
        for block, condition in zip(self.blocks, self.fc_c):
            points = block(points + condition(context))
        return self.fc_out(F.relu(points))

    def _residuals(self) -> list[ResidualBlock]:
        return cast(list[ResidualBlock], list(self.blocks))

    def _conditions(self) -> tuple[Tensor, Tensor]:
        """All layers that see the context as one; the last bias of a block goes into the next one."""
        layers = [parameters(layer) for layer in (self.init_enc, *self.fc_c)]
        biases = [bias for _, bias in layers]
        for number, block in enumerate(self._residuals()[:-1]):
            biases[number + 2] = biases[number + 2] + parameters(block.fc_1)[1]
        return torch.cat([weight for weight, _ in layers]), torch.cat(biases)

    def _decode_in_place(self, context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """As `_decode` of (P, C), for inference: sums are made by the products that they follow."""
        points, *conditions = F.linear(context, weight, bias).chunk(len(self.blocks) + 1, dim=-1)
        points = points.contiguous()
        for block, condition in zip(self._residuals(), conditions):
            points += condition
            inner = F.linear(F.relu(points), *parameters(block.fc_0)).relu_()
            points.addmm_(inner, parameters(block.fc_1)[0].t())
        for block in self._residuals()[-1:]:
            points += parameters(block.fc_1)[1]
        return self.fc_out(points.relu_())
