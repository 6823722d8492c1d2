"""The action classifier that evaluates PoseGPT, and the features of its FID (docs/specs/posegpt.md, section 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto.nn.stacks import Stack


class PoseClassifier(nn.Module):
    """A transformer over raw poses; the state dict has the original's names.

    A frame of ones is put in front as class token; the down-convolution mixes it with frame 0.

    Args:
        num_actions: A.
        num_joints: J of the pose vectors (3 J + 3 numbers, axis-angles and translation, not 6D).
        width: C, also the number of features.
        num_layers, heads: of the stack.
        dropout: rate everywhere.
        block_size: rows of the position table.
    """

    def __init__(
        self,
        num_actions: int = 60,
        num_joints: int = 52,
        width: int = 256,
        num_layers: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
        block_size: int = 2048,
    ) -> None:
        super().__init__()
        self.num_features = width
        self.emb = nn.Linear(3 * num_joints + 3, width)
        self.stack = Stack(
            num_layers,
            width,
            heads,
            down=True,
            position_every_block=False,
            entry_dropout=dropout,
            dropout=dropout,
            block_size=block_size,
            persistent_positions=False,
        )
        self.proj = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, num_actions))

    def features(self, pose: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, C) features of pose vectors (B, T, 3 J + 3), with the validity (B, T) of the frames."""
        frames = torch.cat([torch.ones_like(pose[:, :1]), pose], dim=1)
        if valid is not None:
            valid = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1).bool()
        tokens, _ = self.stack(self.emb(frames), valid)
        return tokens[:, 0]

    def forward(self, pose: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and features (B, C); arguments of `features`."""
        features = self.features(pose, valid)
        return self.proj(features), features
