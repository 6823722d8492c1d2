"""Our motion auto-encoder: dilated convolutions over the past, the velocity representation, residual codes.

The kind of network is that of Zhang et al., "T2M-GPT", 2023; causal in encoder and decoder, so that a motion of any
length is encoded and decoded piece by piece. All frames of a token are one patch, so every layer works at the rate of the
tokens. Beside the convolutions stands a linear way from a patch to its latent and back, which begins at the principal
components of the data (`fit_to`): the convolutions have only the rest to learn.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.errors import ConfigError
from contrapposto.nn.distributed import all_sum
from contrapposto.systems.posegpt.autoencoder import (
    DecodedMotion,
    MotionAutoEncoder,
    QuantizerKind,
    decoded_features,
    make_quantizer,
)
from contrapposto.systems.posegpt.root_motion import RootState, Standardizer, integrate

OUTLIER = 10.0  # deviations
EMPHASIS = 3.0
"""Of turn, step and height within the networks: 4 among 136 numbers, and the pose does not tell which way they go."""

FEEDBACK = 0.25
"""See `ConvAutoEncoder.feedback`; more of it makes the steps uneven."""


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
        halvings: a token has 2^halvings frames.
        depth: residual blocks, dilated by 3^(depth - 1), ..., 3, 1 tokens.
        num_books: K.
        num_codes: codes of all codebooks together, so V = num_codes / K each.
        code_dim: size D of the latent.
        beta: weight of the codebook term, where the quantiser is `product`.
        quantizer: `residual`, `ema` or `product`, see `make_quantizer`.

    Attributes:
        feedback: share of what earlier tokens have gone astray that a token takes back in `encode` outside of training; 0
            encodes all tokens at once, which is twenty times as fast.

    Raises:
        ConfigError: a size below 1.
    """

    variant = "ours"
    root = "velocity"
    standardizer: Standardizer
    emphasis: Tensor

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
        self.num_joints, self.factor, self.feedback = num_joints, 2**halvings, FEEDBACK
        size = 6 * num_joints + 4
        patch = self.factor * size
        self.standardizer = Standardizer(num_joints)
        emphasis = torch.ones(size)
        emphasis[-4:] = EMPHASIS
        self.register_buffer("emphasis", emphasis, persistent=False)
        reach = 2 * self.factor  # the token's own frames, and those of the one before
        self.encoder = nn.Sequential(
            CausalConv(size, hidden, reach, stride=self.factor),
            *_blocks(hidden, depth),
            nn.ReLU(),
            CausalConv(hidden, code_dim, 1),
        )
        self.linear_encoder = CausalConv(size, code_dim, reach, stride=self.factor)
        self.quantizer = make_quantizer(quantizer, num_codes, code_dim, num_books, beta)
        self.decoder = nn.Sequential(
            CausalConv(code_dim, hidden, 3), *_blocks(hidden, depth), nn.ReLU(), CausalConv(hidden, patch, 1)
        )
        self.linear_decoder = CausalConv(code_dim, patch, 2)
        self.apply(_start_at_full_size)
        # A new network is nearly the linear one.
        cast(CausalConv, self.encoder[-1]).weight.data.mul_(0.1)
        cast(CausalConv, self.decoder[-1]).weight.data.mul_(0.03)

    @torch.no_grad()
    def fit_to(self, features: list[Tensor], valid: list[Tensor]) -> None:
        """Take the standardisation from motion, and let the linear way begin at its principal components.

        Args:
            features: batches (B, T, 6 J + 4) of all motions of this process.
            valid: (B, T) of each.
        """
        super().fit_to(features, valid)
        patch = self.factor * features[0].shape[-1]
        products = features[0].new_zeros(patch, patch)
        for rows, mask in zip(features, valid):
            whole = mask.bool().unflatten(1, (-1, self.factor)).all(-1)
            patches = self._rows(rows).unflatten(1, (-1, self.factor)).flatten(2)[whole]
            products += patches.t() @ patches
        vectors = torch.linalg.eigh(all_sum(products))[1].flip(1)
        count = min(self.linear_encoder.out_channels, patch)
        top = vectors[:, :count]  # (patch, count)
        for layer in (self.linear_encoder, self.linear_decoder):
            layer.weight.zero_()
        own = top.t().unflatten(1, (self.factor, -1)).transpose(1, 2)
        self.linear_encoder.weight[:count, :, self.factor :] = own
        self.linear_decoder.weight[:, :count, -1] = top

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
        return 1 + _reach(self.decoder)

    def encode(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `MotionAutoEncoder.encode`."""
        self.check_frames(x)
        mask = torch.ones_like(x[..., 0], dtype=torch.bool) if valid is None else valid.bool()
        features = self.features(x)
        if self.training or not self.feedback:
            return self.encode_features(features, mask), mask[:, :: self.factor]
        return self._follow(features, mask), mask[:, :: self.factor]

    def _follow(self, features: Tensor, valid: Tensor) -> Tensor:
        """(B, L, D) latents of tokens each of which takes back a part of how far those before it lead astray.

        Codes of turns and steps have errors that add up. The encoder sees turns and steps that lead back from where the
        decoder has come to where the motion is.
        """
        heading, place = _path(features, valid)
        rows = features.clone()
        latents: list[Tensor] = []
        codes: list[Tensor] = []
        state: RootState | None = None
        for first in range(0, features.shape[1], self.factor):
            here = slice(first, first + self.factor)
            if state is not None:
                off = heading[:, first - 1] - state.heading
                rows[:, here, -4] += self.feedback / self.factor * torch.atan2(off.sin(), off.cos())[:, None]
                x, z = (place[:, first - 1] - state.place).unbind(-1)
                cosine, sine = state.heading.cos(), state.heading.sin()
                way = torch.stack([cosine * x + sine * z, cosine * z - sine * x], dim=-1)
                rows[:, here, -3:-1] += self.feedback / self.factor * way[:, None]
            context = slice(max(0, here.stop - self.factor * (_reach(self.encoder) + 1)), here.stop)
            latents.append(self.encode_features(rows[:, context], valid[:, context])[:, -1:])
            codes.append(self.quantizer(latents[-1], valid[:, first : first + 1]).z_q)
            decoded = self.decode_features(torch.cat(codes[-self.context_tokens - 1 :], dim=1))
            _, _, state = integrate(decoded[:, -self.factor :], valid[:, here], state)
        return torch.cat(latents, dim=1)

    def encode_features(self, features: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, L, D) latents of features (B, T, 6 J + 4), where (B, T) is not valid of their mean."""
        rows = self._rows(features)
        if valid is not None:
            rows = rows * valid[..., None]
        channels = rows.transpose(1, 2)
        latent: Tensor = (self.linear_encoder(channels) + self.encoder(channels)).transpose(1, 2)
        return latent

    def _rows(self, features: Tensor) -> Tensor:
        """What the networks see of features: standardised; glitches of motion capture may be a hundred deviations away."""
        return self.standardizer.standardize(features).clamp(-OUTLIER, OUTLIER) * self.emphasis

    def decode(self, latent: Tensor, token_valid: Tensor | None = None) -> DecodedMotion:
        """See `MotionAutoEncoder.decode`."""
        valid = None if token_valid is None else token_valid.repeat_interleave(self.factor, dim=1)
        return decoded_features(self.decode_features(latent), valid)[0]

    def decode_features(self, latent: Tensor) -> Tensor:
        """(B, T, 6 J + 4) features of quantised latents (B, L, D)."""
        channels = latent.transpose(1, 2)
        patches = (self.linear_decoder(channels) + self.decoder(channels)).transpose(1, 2)
        rows = self._joined(patches.unflatten(2, (self.factor, -1)))
        return self.standardizer.restore(rows / self.emphasis)

    def _joined(self, patches: Tensor) -> Tensor:
        """(B, T, 6 J + 4) frames of patches (B, L, factor, 6 J + 4), each of which begins where the one before leads.

        The codes of two patches have errors of their own, so there is a gap between them. It fades out within the later
        patch. Turns and steps stay: they are rates, and what is taken from them is missing where the motion ends.
        """
        if self.factor > 1:
            before = F.pad(patches[:, :-1, -2:], (0, 0, 0, 0, 1, 0))
            step = (before[:, :, 1] - before[:, :, 0] + patches[:, :, 1] - patches[:, :, 0]) / 2
            gap = patches[:, :, 0] - before[:, :, 1] - step
            kept = torch.ones_like(gap[:1, :, :])
            kept[:, 0], kept[..., -4:-1] = 0, 0
            fade = 1 - torch.arange(1, self.factor + 1).to(gap) / self.factor
            patches = patches - fade[:, None] * (gap * kept)[:, :, None]
        return patches.flatten(1, 2)


def _reach(network: nn.Module) -> int:
    """How many tokens before a token the convolutions of a network see."""
    layers = [layer for layer in network.modules() if isinstance(layer, CausalConv)]
    return sum((layer.kernel_size[0] // layer.stride[0] - 1) * layer.dilation[0] for layer in layers)


def _path(features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Heading (B, T) and place (B, T, 2) after every frame of features (B, T, 6 J + 4)."""
    moves = features[..., -4] * valid.to(features)
    heading = torch.cat([torch.zeros_like(moves[:, :1]), moves[:, 1:]], dim=1).cumsum(1)
    return heading, integrate(features, valid)[1][..., [0, 2]]


def _blocks(width: int, depth: int) -> list[nn.Module]:
    return [ResidualConv(width, 3 ** (depth - 1 - i)) for i in range(depth)]


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
