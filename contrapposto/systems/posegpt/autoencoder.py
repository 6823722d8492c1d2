"""What PoseGPT's motion auto-encoders have in common: motion to a grid of codes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.nn.ema_quantizer import EMAQuantizer
from contrapposto.nn.quantizer import ProductQuantizer, Quantized
from contrapposto.systems.posegpt.poses import integrate_translation
from contrapposto.systems.posegpt.root_motion import RootState, Standardizer, integrate, motion_features

Root = Literal["absolute", "velocity"]
QuantizerKind = Literal["product", "ema", "residual"]


@dataclass(frozen=True)
class DecodedMotion:
    """What a decoder returns.

    Args:
        sixd: (B, T, J, 6) interleaved 6D rotations, not orthonormal.
        deltas: (B, T, 3) steps of the root translation, metres; the first is a position.
        valid: (B, T) bool, or None where all is valid.
        features: (B, T, 6 J + 4) of networks in the velocity representation, see `root_motion`; the rotations and steps
            above follow from these.
        root: (B, T, 3, 3) rotations of the root in the world, with `features`.
    """

    sixd: Tensor
    deltas: Tensor
    valid: Tensor | None = None
    features: Tensor | None = None
    root: Tensor | None = None

    @cached_property
    def matrices(self) -> Tensor:
        """(B, T, J, 3, 3) local rotations."""
        return rot.sixd_interleaved_to_matrix(self.sixd)

    def translation(self, valid: Tensor | None = None) -> Tensor:
        """(B, T, 3) root positions, metres; with `valid` (B, T), steps into invalid frames count as zero."""
        return integrate_translation(self.deltas, valid)


@dataclass(frozen=True)
class VQVAEOutput:
    """What an auto-encoder returns.

    Args:
        motion: the reconstruction.
        quantized: codes, quantised latent and loss per token.
        latent: (B, L, D) before quantisation.
        token_valid: (B, L) bool.
    """

    motion: DecodedMotion
    quantized: Quantized
    latent: Tensor
    token_valid: Tensor


class MotionAutoEncoder(nn.Module, ABC):
    """Motion to tokens and back.

    A subclass sets `variant`, `num_joints`, `root`, `factor` (frames per token), `quantizer` and, for the velocity root,
    `standardizer`.
    """

    variant: str
    num_joints: int
    root: Root
    factor: int
    quantizer: ProductQuantizer | EMAQuantizer
    standardizer: Standardizer | None

    @property
    @abstractmethod
    def causal_encoder(self) -> bool:
        """Whether a token depends only on frames up to its last one."""

    @property
    @abstractmethod
    def causal_decoder(self) -> bool:
        """Whether the decoder sees only the past, up to one token."""

    @abstractmethod
    def encode(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents (B, L, D) before quantisation and the validity of the tokens (B, L) bool.

        Args:
            x: (B, T, 6 J + 3), see `poses.network_input`; T a multiple of `factor`.
            valid: (B, T), nonzero for real frames.

        Raises:
            ValueError: T is not a multiple of `factor`.
        """

    @abstractmethod
    def decode(self, latent: Tensor, token_valid: Tensor | None = None) -> DecodedMotion:
        """Motion of T = factor x L frames from quantised latents (B, L, D).

        Args:
            latent: zero at invalid tokens.
            token_valid: (B, L); tokens that no other token sees.
        """

    @property
    def num_books(self) -> int:
        """K."""
        return self.quantizer.num_books

    @property
    def book_size(self) -> int:
        """V."""
        return self.quantizer.book_size

    @property
    def residual(self) -> bool:
        """Whether a codebook refines what the ones before it say."""
        return isinstance(self.quantizer, EMAQuantizer) and self.quantizer.residual

    def fit_to(self, features: list[Tensor], valid: list[Tensor]) -> None:
        """Take the standardisation of the velocity representation from motion, before training.

        Args:
            features: batches (B, T, 6 J + 4) of all motions of this process.
            valid: (B, T) of each.
        """
        assert self.standardizer is not None
        for rows, mask in zip(features, valid):
            self.standardizer.update(rows, mask)

    def features(self, x: Tensor) -> Tensor:
        """(B, T, 6 J + 4) velocity representation of `poses.network_input` (B, T, 6 J + 3)."""
        return motion_features(x[..., :-3], x[..., -3:])

    def check_frames(self, x: Tensor) -> None:
        """Raise ValueError where the number of frames is not a multiple of `factor`."""
        if x.shape[1] % self.factor or not x.shape[1]:
            raise ValueError(f"{x.shape[1]} frames: expected a multiple of {self.factor}")

    def tokens(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Codes (B, L, K) int64, -1 at invalid tokens, and validity (B, L) bool; see `encode`."""
        latent, mask = self.encode(x, valid)
        quantized: Quantized = self.quantizer(latent, mask)
        return quantized.indices, mask

    def decode_tokens(self, indices: Tensor, token_valid: Tensor | None = None) -> DecodedMotion:
        """Motion from codes (B, L, K); a code of -1 is a zero vector, as it is in training.

        The original generates with code 0 in its place, which changes the frame before: `indices.clamp_min(0)`.
        """
        return self.decode(self.quantizer.lookup(indices), token_valid)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> VQVAEOutput:
        """Encode, quantise, decode; arguments of `encode`."""
        latent, mask = self.encode(x, valid)
        quantized: Quantized = self.quantizer(latent, mask)
        return VQVAEOutput(self.decode(quantized.z_q, mask), quantized, latent, mask)


def decoded_features(
    features: Tensor, valid: Tensor | None = None, state: RootState | None = None
) -> tuple[DecodedMotion, RootState]:
    """Motion of features (B, T, 6 J + 4) in the velocity representation; see `root_motion.integrate`."""
    root, position, end = integrate(features, valid, state)
    deltas = torch.cat([position[:, :1], position.diff(dim=1)], dim=1)
    sixd = torch.cat([rot.matrix_to_sixd_interleaved(root), features[..., 6:-4]], dim=-1).unflatten(
        -1, (-1, 6)
    )
    return DecodedMotion(sixd, deltas, valid, features, root), end


def make_quantizer(
    kind: QuantizerKind, num_codes: int, code_dim: int, num_books: int, beta: float
) -> ProductQuantizer | EMAQuantizer:
    """The quantiser of an auto-encoder: `product` is the paper's, trained by gradient; else `EMAQuantizer`."""
    if kind == "product":
        return ProductQuantizer(num_codes, code_dim, num_books, beta=beta, track_usage=True)
    return EMAQuantizer(num_codes, code_dim, num_books, residual=kind == "residual")
