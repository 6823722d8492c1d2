"""Our motion auto-encoder: dilated convolutions over the past, the velocity representation, residual codes.

The kind of network is that of Zhang et al., "T2M-GPT", 2023; causal in encoder and decoder, so that a motion of any
length is encoded and decoded piece by piece.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.errors import ConfigError
from contrapposto.systems.posegpt.autoencoder import (
    DecodedMotion,
    MotionAutoEncoder,
    QuantizerKind,
    decoded_features,
    make_quantizer,
)
from contrapposto.systems.posegpt.root_motion import Standardizer

OUTLIER = 10.0  # deviations
EMPHASIS = 4.0
"""Of turn, step and height at the encoder's entry: 4 among 136 numbers, and the pose does not tell which way they go."""


class CausalConv(nn.Conv1d):
    """A convolution whose output t sees inputs up to t, or with a stride s up to s t + s - 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, C', T / stride)."""
        past = self.dilation[0] * (self.kernel_size[0] - 1) - (self.stride[0] - 1)
        return F.conv1d(F.pad(x, (past, 0)), self.weight, self.bias, self.stride, 0, self.dilation)


class ResidualConv(nn.Module):
    """x + conv1(relu(conv3(relu(x)))), the larger one dilated."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.wide = CausalConv(width, width, 3, dilation=dilation)
        self.narrow = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to the same shape."""
        out: Tensor = x + self.narrow(F.relu(self.wide(F.relu(x))))
        return out


class ConvAutoEncoder(MotionAutoEncoder):
    """The variant `ours`: motion to tokens and back in the velocity representation.

    Args:
        num_joints: J.
        hidden: width of the convolutions.
        halvings: how often the encoder halves time; a token has 2^halvings frames.
        depth: residual blocks at the rate of the tokens, dilated by 3^(depth - 1), ..., 3, 1.
        num_books: K.
        num_codes: codes of all codebooks together, so V = num_codes / K each.
        code_dim: size D of the latent.
        beta: weight of the codebook term, where the quantiser is `product`.
        quantizer: `residual`, `ema` or `product`, see `make_quantizer`.

    Raises:
        ConfigError: a size below 1.
    """

    variant = "ours"
    root = "velocity"
    standardizer: Standardizer

    def __init__(
        self,
        num_joints: int = 22,
        hidden: int = 128,
        halvings: int = 1,
        depth: int = 3,
        num_books: int = 2,
        num_codes: int = 512,
        code_dim: int = 128,
        beta: float = 0.25,
        quantizer: QuantizerKind = "residual",
    ) -> None:
        super().__init__()
        if min(num_joints, hidden, halvings, depth, num_books, num_codes, code_dim) < 1:
            raise ConfigError("A size of the auto-encoder is below 1.", expected="whole numbers from 1")
        self.num_joints, self.factor = num_joints, 2**halvings
        size = 6 * num_joints + 4
        dilations = [3 ** (depth - 1 - i) for i in range(depth)]
        self.standardizer = Standardizer(num_joints)
        down: list[nn.Module] = [CausalConv(size, hidden, 3), nn.ReLU()]
        up: list[nn.Module] = [CausalConv(code_dim, hidden, 3), nn.ReLU()]
        down += [
            layer for _ in range(halvings) for layer in (CausalConv(hidden, hidden, 4, stride=2), nn.ReLU())
        ]
        down[-1:] = [
            ResidualConv(hidden, dilation) for dilation in dilations
        ]  # they begin with a ReLU of their own
        up += [ResidualConv(hidden, dilation) for dilation in dilations]
        for _ in range(halvings):
            up += [nn.Upsample(scale_factor=2), CausalConv(hidden, hidden, 3), nn.ReLU()]
        self.encoder = nn.Sequential(*down, CausalConv(hidden, code_dim, 3))
        self.quantizer = make_quantizer(quantizer, num_codes, code_dim, num_books, beta)
        self.decoder = nn.Sequential(*up, CausalConv(hidden, size, 3))
        for network in (self.encoder, self.decoder):
            network.apply(_start_at_full_size)
        # The first motion is nearly the mean.
        cast(CausalConv, self.decoder[-1]).weight.data.mul_(0.1)

    @property
    def causal_encoder(self) -> bool:
        """Always."""
        return True

    @property
    def causal_decoder(self) -> bool:
        """Always."""
        return True

    @property
    def context_tokens(self) -> int:
        """How many tokens before a token its frames depend on."""
        frames, reach = self.factor, 0
        for layer in self.decoder:
            if isinstance(layer, nn.Upsample):
                frames //= 2
            convolutions = [m for m in layer.modules() if isinstance(m, CausalConv)]
            reach += frames * sum((conv.kernel_size[0] - 1) * conv.dilation[0] for conv in convolutions)
        return -(-reach // self.factor)

    def encode(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `MotionAutoEncoder.encode`."""
        self.check_frames(x)
        mask = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid.bool()
        # Glitches of motion capture may be a hundred deviations away.
        rows = self.standardizer.standardize(self.features(x)).clamp(-OUTLIER, OUTLIER)
        rows = torch.cat([rows[..., :-4], EMPHASIS * rows[..., -4:]], dim=-1) * mask[..., None]
        return self.encoder(rows.transpose(1, 2)).transpose(1, 2), mask[:, :: self.factor]

    def decode(self, latent: Tensor, token_valid: Tensor | None = None) -> DecodedMotion:
        """See `MotionAutoEncoder.decode`."""
        valid = None if token_valid is None else token_valid.repeat_interleave(self.factor, dim=1)
        return decoded_features(self.decode_features(latent), valid)[0]

    def decode_features(self, latent: Tensor) -> Tensor:
        """(B, T, 6 J + 4) features of quantised latents (B, L, D)."""
        return self.standardizer.restore(self.decoder(latent.transpose(1, 2)).transpose(1, 2))


@torch.no_grad()
def _start_at_full_size(module: nn.Module) -> None:
    """Initialise so that features keep their size through ReLUs (He et al., 2015), residual branches smaller.

    At PyTorch's default the features fade from layer to layer, and the first hundreds of steps are lost.
    """
    if isinstance(module, nn.Conv1d):
        assert module.bias is not None
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)
    elif isinstance(module, ResidualConv):  # after its convolutions
        module.narrow.weight.mul_(0.3)
