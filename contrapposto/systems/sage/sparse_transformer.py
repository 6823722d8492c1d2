"""Baseline: from the three devices to the whole body by one transformer encoder, without latents or diffusion.

The idea of AvatarPoser (Jiang et al., ECCV 2022): a window of device features in, the pose of its last frame out, the
root's orientation by a head of its own. Differences from that paper: blocks are pre-norm with a sine position table,
and its final refinement of the arms by inverse kinematics is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto.nn.stacks import Stack


class SparseTransformer(nn.Module):
    """6D rotations of the last frame of a window.

    Args:
        window: frames.
        width, heads, layers: of the encoder. 256, 8, 3 are the paper's; 1024, 16, 10 have as many weights (129 M) as
            SAGE's networks at inference (123 M).
        dropout: rate in the blocks and at their entry.
    """

    def __init__(
        self, window: int = 40, width: int = 256, heads: int = 8, layers: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(54, width)
        self.encoder = Stack(
            layers,
            width,
            heads,
            position_every_block=False,
            dropout=dropout,
            entry_dropout=dropout,
            block_size=window,
            persistent_positions=False,
        )
        self.root, self.body = _head(width, 6), _head(width, 126)

    def forward(self, sparse: Tensor) -> Tensor:
        """Device features (B, T, 3, 18), T at most `window`, to 6D (B, 132), columns layout."""
        features, _ = self.encoder(self.embed(sparse.flatten(2)), last_only=True)
        last = features[:, -1]
        return torch.cat([self.root(last), self.body(last)], dim=-1)


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
