"""SAGE's full-body decoder (docs/specs/sage.md, section 2.4) and refiner (section 2.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto.nn.stacks import Stack
from contrapposto.systems.sage.condition import NUM_SLOTS, embed_sparse


class FullBodyDecoder(nn.Module):
    """Local rotations of all joints from the two latents and the device features.

    Args:
        window: frames, even.
        latent: size D of a token.
        hidden, heads, layers: of the transformer.
        dropout: rate in the blocks and at their entry.
    """

    def __init__(
        self,
        window: int = 20,
        latent: int = 384,
        hidden: int = 256,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.cond_encoder = nn.Conv1d(3, NUM_SLOTS, 1)
        self.cond_encoder2 = nn.Linear(NUM_SLOTS * 18, latent)
        self.sparse_up_conv = nn.Conv1d(window, window // 2, 1)
        self.post_quant_emb = nn.Linear(3 * latent, hidden)
        stack = Stack(
            layers, hidden, heads, up=True, position_every_block=False, dropout=dropout, entry_dropout=dropout
        )
        self.decoder_stacks = nn.ModuleList([stack])
        self.reg_body = _head(hidden, 126)
        self.reg_root = _head(hidden, 6)

    def condition(self, sparse: Tensor) -> Tensor:
        """(B, T, 3, 18) device features to (B, T, D)."""
        return embed_sparse(self.cond_encoder, self.cond_encoder2, sparse)

    def forward(self, upper: Tensor, lower: Tensor, sparse: Tensor, *, last_only: bool = False) -> Tensor:
        """6D rotations of the 22 joints, columns layout.

        Args:
            upper: (B, T / 2, D).
            lower: (B, T / 2, D).
            sparse: (B, T, 3, 18).
            last_only: the last frame alone.

        Returns:
            (B, T, 132), or (B, 1, 132).
        """
        condition = self.sparse_up_conv(self.condition(sparse))
        tokens = self.post_quant_emb(torch.cat([condition, upper, lower], dim=-1))
        features, _ = self.decoder_stacks[0](tokens, last_only=last_only)
        return torch.cat([self.reg_root(features), self.reg_body(features)], dim=-1)


class Refiner(nn.Module):
    """Recurrent network that smooths the sequence of decoded frames: gives a correction to add.

    It sees the past only, so it can be fed frame by frame with the hidden state carried along.

    Args:
        layers: of the GRU; 3 in the original's Setting 3.
        hidden: its width.
    """

    def __init__(self, layers: int = 2, hidden: int = 512) -> None:
        super().__init__()
        self.refine_net = nn.GRU(132, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, 132)

    def forward(self, coarse: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, N, 132) coarse 6D and the state (layers, B, hidden), zero where absent.

        Returns:
            The correction (B, N, 132) and the state after the last frame.
        """
        features, state = self.refine_net(coarse, state)
        return self.linear(features), state


def _head(hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out))
