"""PoseGPT's motion auto-encoder: motion to a grid of codes and back (docs/specs/posegpt.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from contrapposto.errors import ConfigError, nearest
from contrapposto.nn.positions import PositionKind
from contrapposto.nn.stacks import Stack
from contrapposto.systems.posegpt.autoencoder import (
    DecodedMotion,
    MotionAutoEncoder,
    QuantizerKind,
    Root,
    VQVAEOutput,
    decoded_features,
    make_quantizer,
)
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.root_motion import Standardizer

__all__ = ["DecodedMotion", "PoseVQVAE", "VQVAEOutput", "build_autoencoder"]

Variant = Literal["offline", "causal", "online", "streaming"]
LOG_SIGMAS = ("body", "root", "trans", "vert", "fast_vert")


class PoseVQVAE(MotionAutoEncoder):
    """Motion to tokens and back; the state dict has the original's names.

    What sees what, by variant:

    | variant | encoder | decoder |
    |---|---|---|
    | `offline` | everything | everything |
    | `causal` | the past | everything: tokens of a past can be continued |
    | `online` | the past | the past, and one token ahead by the up-convolution |
    | `streaming` | the past | the past: a token's frames are final at once (not in the original) |

    The variant `ours` is another network, see `ConvAutoEncoder` and `build_autoencoder`.

    `log_sigmas` are the logarithms of the losses' spreads, which the original keeps in this state dict (see
    `losses.PoseLoss`); they are trained only where the loss asks for it.

    Args:
        variant: see above.
        num_joints: J; the network takes 6 J + 3 numbers per frame.
        hidden: width of the transformers.
        num_layers: blocks per scale, the full frame rate first; scale i >= 1 halves time. Scales without
            blocks are left out.
        heads: attention heads.
        num_books: K.
        num_codes: codes of all codebooks together, so V = num_codes / K each.
        code_dim: size D of the latent.
        beta: weight of the codebook term.
        positions: kind of the position tables.
        position_every_block: a table before every block, or before the first.
        position_scale: of these tables; 1 in the original, where they are several times as large as what a new
            network makes of a motion.
        dropout: rate everywhere in the stacks. The original's option only reaches the encoder's entry and
            leaves 0.1 at all other places: `dropout=0.1, entry_dropout=0`.
        entry_dropout: rate at the encoder's entry; as `dropout` where absent.
        block_size: rows of the position tables, the largest number of tokens.
        step_scale: metres that an output of 1 of the head of the root's steps stands for; 1 in the original, where
            a small change of its weights moves the end of a motion by metres, for the steps add up.
        root: `absolute`: root rotation and position as they are, the original; `velocity`: see `root_motion`.
        quantizer: `product` is the original's; see `make_quantizer`.
        fan_in_init: linear layers of the stacks start at N(0, 1 / inputs) in place of the original's N(0, 0.02), at
            which a narrow network hardly learns.
        original_padding: let the decoder's up-convolutions see padding, as the original does: the last frame
            of a motion then depends on how far its batch is padded.

    Raises:
        ConfigError: an unknown variant, or a list of layers without a scale.
    """

    def __init__(
        self,
        variant: Variant = "causal",
        num_joints: int = 52,
        hidden: int = 384,
        num_layers: Sequence[int] = (0, 6),
        heads: int = 4,
        num_books: int = 2,
        num_codes: int = 512,
        code_dim: int = 256,
        beta: float = 0.25,
        positions: PositionKind = "sine_frozen",
        position_every_block: bool = True,
        position_scale: float = 1.0,
        dropout: float = 0.1,
        entry_dropout: float | None = None,
        block_size: int = 2048,
        step_scale: float = 1.0,
        root: Root = "absolute",
        quantizer: QuantizerKind = "product",
        fan_in_init: bool = False,
        original_padding: bool = False,
    ) -> None:
        super().__init__()
        _check(variant, num_layers)
        self.variant, self.root = variant, root
        self.num_joints, self.original_padding = num_joints, original_padding
        self.step_scale = step_scale
        scales = [(index, count) for index, count in enumerate(num_layers) if count > 0]
        self.factor = 2 ** sum(index > 0 for index, _ in scales)

        def stack(count: int, entry: float, causal: bool, *, down: bool = False, up: bool = False) -> Stack:
            return Stack(
                count,
                hidden,
                heads,
                causal=causal,
                down=down,
                up=up,
                positions=positions,
                position_every_block=position_every_block,
                entry_dropout=entry,
                dropout=dropout,
                block_size=block_size,
                persistent_positions=False,
                look_ahead=variant != "streaming",
                position_scale=position_scale,
            )

        entry = dropout if entry_dropout is None else entry_dropout
        size = 6 * num_joints + (4 if root == "velocity" else 3)
        self.standardizer = Standardizer(num_joints) if root == "velocity" else None
        self.emb = nn.Linear(size, hidden)
        self.encoder_stacks = nn.ModuleList(
            stack(count, entry, self.causal_encoder, down=index > 0) for index, count in scales
        )
        self.quant_emb = nn.Linear(hidden, code_dim)
        self.quantizer = make_quantizer(quantizer, num_codes, code_dim, num_books, beta)
        self.post_quant_emb = nn.Linear(code_dim, hidden)
        self.decoder_stacks = nn.ModuleList(
            stack(count, dropout, self.causal_decoder, up=index > 0) for index, count in reversed(scales)
        )
        self.reg_body = _head(hidden, 6 * num_joints)
        # The translation, despite its name in the original; or turn, step and height.
        self.reg_root = _head(hidden, size - 6 * num_joints)
        if fan_in_init:
            _start_by_fan_in(self.encoder_stacks, self.decoder_stacks)
        self.log_sigmas = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(1), requires_grad=False) for name in LOG_SIGMAS}
        )

    @torch.no_grad()
    def start_from(self, mean: Tensor, deviation: Tensor) -> None:
        """Let a new network begin at the mean motion, and see how motion differs from it.

        That is an initialisation: the first layer's weights are scaled and its bias moved as if its input were
        standardised, those of the last layer of `reg_body` as if its output were.

        Args:
            mean, deviation: (6 J + 3,) of the network's input.
        """
        spread = deviation.clamp_min(
            0.05
        )  # joints that hardly move, and the hands of corpora without fingers
        self.emb.weight.div_(spread)
        self.emb.bias.sub_(self.emb.weight @ mean)
        last = cast(nn.Linear, self.reg_body[-1])
        last.weight.mul_(spread[:-3, None])
        last.bias.copy_(mean[:-3])

    @property
    def causal_encoder(self) -> bool:
        """Whether a token depends only on frames up to its last one."""
        return self.variant != "offline"

    @property
    def causal_decoder(self) -> bool:
        """Whether the decoder's attention sees only the past."""
        return self.variant in ("online", "streaming")

    def hidden_features(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Output of the encoder's stacks.

        Args:
            x: (B, T, 6 J + 3), see `poses.network_input`; T a multiple of `factor`.
            valid: (B, T), nonzero for real frames.

        Returns:
            (B, L, hidden) and the validity of the tokens (B, L) bool.

        Raises:
            ValueError: T is not a multiple of `factor`.
        """
        self.check_frames(x)
        if self.standardizer is not None:
            x = self.standardizer.standardize(self.features(x))
        mask: Tensor | None = None if valid is None else valid.bool()
        features = self.emb(x)
        for stack in self.encoder_stacks:
            features, mask = stack(features, mask)
        if mask is None:
            mask = torch.ones(features.shape[:2], dtype=torch.bool, device=x.device)
        return features, mask

    def encode(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents (B, L, D) before quantisation and the validity of the tokens; see `hidden_features`."""
        features, mask = self.hidden_features(x, valid)
        return self.quant_emb(features), mask

    def decode(self, latent: Tensor, token_valid: Tensor | None = None) -> DecodedMotion:
        """Motion of T = factor x L frames from quantised latents (B, L, D).

        Args:
            latent: zero at invalid tokens.
            token_valid: (B, L); tokens that no other token sees.
        """
        mask: Tensor | None = None if token_valid is None else token_valid.bool()
        features = self.post_quant_emb(latent)
        for stack in self.decoder_stacks:
            features, mask = stack(features, mask, hide_padding=not self.original_padding)
        return self.heads(features, mask)

    def raw_heads(self, features: Tensor) -> Tensor:
        """(B, T, 6 J + 3 or 4) outputs of both heads side by side."""
        return torch.cat([self.reg_body(features), self.reg_root(features)], dim=-1)

    def heads(self, features: Tensor, valid: Tensor | None = None) -> DecodedMotion:
        """Motion from the decoder's last features (B, T, hidden)."""
        if self.standardizer is not None:
            return decoded_features(self.standardizer.restore(self.raw_heads(features)), valid)[0]
        sixd = self.reg_body(features).unflatten(-1, (self.num_joints, 6))
        return DecodedMotion(sixd, self.step_scale * self.reg_root(features), valid)


def build_autoencoder(num_joints: int, options: Mapping[str, Any]) -> MotionAutoEncoder:
    """The auto-encoder that `variant` names: `ours` is `ConvAutoEncoder`, the others are `PoseVQVAE`.

    Args:
        num_joints: J.
        options: of the network; those that only the other kind of network has, and those that are None, are left out.

    Raises:
        ConfigError: an option that neither has, or values that cannot be used.
    """
    kinds = (ConvAutoEncoder, PoseVQVAE)
    kind = kinds[options.get("variant", "causal") != ConvAutoEncoder.variant]
    known = {name for one in kinds for name in signature(one).parameters} | {"variant"}
    for name in options:
        if name not in known:
            raise ConfigError(
                f"PoseGPT's auto-encoder has no option {name}.",
                expected=", ".join(sorted(known)),
                fix=f"did you mean {nearest(name, sorted(known))}?",
            )
    chosen = {name: value for name, value in options.items() if value is not None}
    own = {name: value for name, value in chosen.items() if name in signature(kind).parameters}
    return kind(**{**own, "num_joints": num_joints})


@torch.no_grad()
def _start_by_fan_in(*stacks: nn.Module) -> None:
    for layer in (layer for stack in stacks for layer in stack.modules() if isinstance(layer, nn.Linear)):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)


def _head(hidden: int, size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, size))


def _check(variant: str, num_layers: Sequence[int]) -> None:
    variants = ("ours", *get_args(Variant))
    if variant not in get_args(Variant):
        raise ConfigError(
            f"PoseGPT's auto-encoder has no variant {variant!r}.",
            expected=", ".join(variants),
            fix=f"did you mean {nearest(str(variant), variants)}?",
        )
    if len(num_layers) < 2 or min(num_layers) < 0 or not any(num_layers):
        raise ConfigError(
            f"{list(num_layers)} is no list of layers per scale.",
            expected="two numbers or more, none negative, not all zero; [0, 6] in the original",
        )
