"""SAGE's vector-quantised auto-encoder of one body part (docs/specs/sage.md, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.quantizer import AnchoredQuantizer, Quantized
from contrapposto.nn.stacks import Stack
from contrapposto.systems.sage.conv_stack import ContinuousLatents, ConvStack
from contrapposto.systems.sage.joints import PART_JOINTS, Part


@dataclass(frozen=True)
class VQVAEOutput:
    """What the auto-encoder gives.

    Args:
        reconstruction: (B, T, 6 J) local 6D rotations, columns layout, not orthonormal; T = 1 with
            `last_only`.
        quantizer_loss: (B, T / 2) per token.
        indices: (B, T / 2, K) int64 codes.
        latent: (B, T / 2, D) before quantisation.
        z_q: (B, T / 2, D) after, with the straight-through gradient.
    """

    reconstruction: Tensor
    quantizer_loss: Tensor
    indices: Tensor
    latent: Tensor
    z_q: Tensor


class SageVQVAE(nn.Module):
    """Motion of one part and the sparse input, to tokens, and back.

    The state dict has the original's names. The original draws all dropouts inside the blocks, and that at
    the decoder's entry, at
    0.1 whatever its option states; that option only sets the encoder's entry. Here these are two arguments.

    Args:
        part: `upper` (14 joints) or `lower` (9 joints), both with the root.
        num_layers: blocks of encoder and decoder; (6, 6) in the original's Settings 2 and 3.
        hidden: width of the transformer.
        heads: attention heads.
        num_books, num_codes, code_dim: K, total number of codes, size D of the latent.
        beta: weight of the codebook term.
        dropout: rate in the blocks and at the decoder's entry.
        entry_dropout: rate at the encoder's entry.
        block_size: rows of the position tables.
        quantizer: further options of `AnchoredQuantizer` (`contrastive_books`, `rule_size`, `reset`, ...).
        architecture: `transformer` (the paper's), or `conv`: convolutions in place of the blocks.
        latents: `quantized` (the paper's), or `continuous`: the latent passes without codes.
    """

    def __init__(
        self,
        part: Part,
        num_layers: Sequence[int] = (4, 4),
        hidden: int = 256,
        heads: int = 4,
        num_books: int = 8,
        num_codes: int = 512,
        code_dim: int = 384,
        beta: float = 1.0,
        dropout: float = 0.1,
        entry_dropout: float = 0.0,
        block_size: int = 2048,
        quantizer: Mapping[str, Any] | None = None,
        architecture: Literal["transformer", "conv"] = "transformer",
        latents: Literal["quantized", "continuous"] = "quantized",
    ) -> None:
        super().__init__()
        if architecture not in ("transformer", "conv"):
            raise ValueError(f"architecture: expected transformer or conv, got {architecture!r}")
        if latents not in ("quantized", "continuous"):
            raise ValueError(f"latents: expected quantized or continuous, got {latents!r}")
        if part not in PART_JOINTS:
            raise ValueError(f"part: expected upper or lower, got {part!r}")
        self.part: Part = part
        self.joints = PART_JOINTS[part]
        count = len(self.joints)

        def stack(layers: int, entry: float, *, down: bool = False, up: bool = False) -> nn.Module:
            if architecture == "conv":
                return ConvStack(layers, hidden, down=down, up=up, dropout=dropout)
            return Stack(
                layers,
                hidden,
                heads,
                dropout=dropout,
                entry_dropout=entry,
                position_every_block=False,
                block_size=block_size,
                down=down,
                up=up,
            )

        self.up_sparse = nn.Conv1d(3, count, 1)
        self.emb = nn.Linear(count * 24, hidden)
        self.encoder_stacks = nn.ModuleList([stack(num_layers[0], entry_dropout, down=True)])
        self.quant_emb = nn.Linear(hidden, code_dim)
        self.quantizer: AnchoredQuantizer | ContinuousLatents = ContinuousLatents(num_books)
        if latents == "quantized":
            self.quantizer = AnchoredQuantizer(num_codes, code_dim, num_books, beta=beta, **(quantizer or {}))
        self.post_quant_emb = nn.Linear(code_dim, hidden)
        self.decoder_stacks = nn.ModuleList([stack(num_layers[1], dropout, up=True)])
        self.reg_body = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 6 * count))

    def encode(self, motion: Tensor, sparse: Tensor) -> Tensor:
        """Latent before quantisation.

        Args:
            motion: (B, T, 6 J) local 6D rotations of the part's joints, T even.
            sparse: (B, T, 3, 18) device features (see `features.sage_features`).

        Returns:
            (B, T / 2, D).
        """
        tokens = F.linear(torch.cat([motion, sparse.flatten(2)], dim=-1), *self._embedding())
        hidden, _ = self.encoder_stacks[0](tokens)
        return self.quant_emb(hidden)

    def _embedding(self) -> tuple[Tensor, Tensor]:
        """`up_sparse` and `emb` as one linear layer: weight (hidden, 6 J + 54), bias (hidden,).

        The original spreads the devices over the joints (a 1x1 convolution 3 -> J on the 18 features), then
        maps [motion 6, spread 18] of all joints. Both are linear: the product of the weights is 60 % less
        work.
        """
        weight = self.emb.weight.unflatten(1, (len(self.joints), 24))
        motion, spread = weight.split([6, 18], dim=2)
        devices = torch.einsum("ojf,jd->odf", spread, self.up_sparse.weight[..., 0])
        bias = self.emb.bias + torch.einsum("ojf,j->o", spread, cast(Tensor, self.up_sparse.bias))
        return torch.cat([motion.flatten(1), devices.flatten(1)], dim=1), bias

    def quantize(self, latent: Tensor) -> Quantized:
        """(B, L, D) to its nearest codes; moves dead codes in training mode."""
        quantized: Quantized = self.quantizer(latent)
        return quantized

    def encode_quantized(self, motion: Tensor, sparse: Tensor) -> Tensor:
        """(B, T / 2, D) quantised latent: the targets of the diffusion stages. Arguments of `encode`."""
        return self.quantize(self.encode(motion, sparse)).z_q

    def decode(self, latent: Tensor, *, last_only: bool = False) -> Tensor:
        """(B, L, D) of any origin to (B, 2 L, 6 J), or the last frame (B, 1, 6 J) alone."""
        hidden, _ = self.decoder_stacks[0](self.post_quant_emb(latent), last_only=last_only)
        return self.reg_body(hidden)

    def forward(self, motion: Tensor, sparse: Tensor, *, last_only: bool = False) -> VQVAEOutput:
        """Encode, quantise, decode.

        Args:
            motion: see `encode`.
            sparse: see `encode`.
            last_only: reconstruct only the last frame, which is all that training and evaluation look at: the
                same numbers for 15 % less work.
        """
        latent = self.encode(motion, sparse)
        quantized = self.quantize(latent)
        reconstruction = self.decode(quantized.z_q, last_only=last_only)
        return VQVAEOutput(reconstruction, quantized.loss, quantized.indices, latent, quantized.z_q)
