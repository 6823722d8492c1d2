"""The device features as SAGE's networks embed them (docs/specs/sage.md, sections 2.3 and 2.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_SLOTS = 22


def embed_sparse(
    spread: nn.Conv1d, project: nn.Linear, sparse: Tensor, hidden_slots: Tensor | None = None
) -> Tensor:
    """Devices spread over 22 slots by a 1x1 convolution (3 -> 22), then all slots mapped to one vector per
    frame.

    Both are linear, so without hidden slots the product of the two weights does the same with an eighth of
    the work.

    Args:
        spread: the convolution.
        project: the map (22 * 18 -> C).
        sparse: (B, T, 3, 18).
        hidden_slots: (B, K) int64, slots whose 18 values are set to 0.01 in all frames (train-time masking).

    Returns:
        (B, T, C).
    """
    if hidden_slots is None:
        return F.linear(sparse.flatten(2), *combined_embedding(spread, project))
    # (B, T, 22, 18)
    slots = F.linear(sparse.transpose(2, 3), spread.weight[..., 0], spread.bias).transpose(2, 3)
    hidden = F.one_hot(hidden_slots, NUM_SLOTS).any(1)
    return project(torch.where(hidden[:, None, :, None], 0.01, slots).flatten(2))


def combined_embedding(spread: nn.Conv1d, project: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight (C, 54) and bias (C,) of the product of the two maps of `embed_sparse`."""
    bias = spread.bias if spread.bias is not None else project.bias.new_zeros(NUM_SLOTS)
    weight = project.weight.unflatten(1, (NUM_SLOTS, -1))
    combined = torch.einsum("osf,sd->odf", weight, spread.weight[..., 0]).flatten(1)
    return combined, project.bias + torch.einsum("osf,s->o", weight, bias)
