"""SAGE's tracker prepared for inference: everything that depends on weights and time steps alone, computed once.

At batch 1 the traffic of the weights bounds the speed. Here a third of them, those of the modulations, are not read at
all while frames come in; neighbouring linear maps are multiplied into one; the rest is packed for small batches or
rounded to 8 bits (`contrapposto.nn.packed`). Packed or plain, the numbers are those of the networks to rounding.
"""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.packed import LinearKind, make_linear, replace_linears
from contrapposto.systems.sage.condition import combined_embedding
from contrapposto.systems.sage.decoder import FullBodyDecoder
from contrapposto.systems.sage.diffusion import Denoiser, DiTBlock, MotionDiffusion
from contrapposto.systems.sage.tracker import SageTracker


@torch.no_grad()
def prepare_tracker(
    tracker: SageTracker, *, steps: int | None = None, linears: LinearKind = "packed"
) -> SageTracker:
    """A tracker with the same interface and the same numbers that is faster and cannot be trained.

    The weights are copied; later changes of `tracker` do not show. It stays on the device where `tracker` is.

    Args:
        tracker: any; it is not changed.
        steps: inference steps; those of `tracker` where absent.
        linears: `packed`, `plain` (for export), or `int8`, which is faster still and not exact: the error is
            given in docs/benchmarks.md.
    """
    steps = steps or tracker.steps
    # They have the methods that a tracker calls.
    first, second = (
        cast(MotionDiffusion, PreparedDiffusion(network, steps, linears))
        for network in (tracker.first, tracker.second)
    )
    decoder = cast(FullBodyDecoder, PreparedDecoder(tracker.decoder, linears))
    refiner = deepcopy(tracker.refiner)
    replace_linears(refiner, linears)
    prepared = SageTracker(
        first, second, decoder, refiner, steps=steps, seed=tracker.seed, frame=tracker.frame
    )
    prepared.kinematics = deepcopy(tracker.kinematics)
    return prepared.eval().requires_grad_(False)


class PreparedDiffusion(nn.Module):
    """The sampler of a `MotionDiffusion` for a fixed number of steps.

    Args:
        network: the diffusion.
        steps: inference steps.
        linears: see `prepare_tracker`.
    """

    modulations: Tensor
    coefficients: list[tuple[float, float]]

    def __init__(self, network: MotionDiffusion, steps: int, linears: LinearKind = "packed") -> None:
        super().__init__()
        inner: Denoiser = network.denoiser_upper
        self.use_upper, self.steps = network.use_upper, steps
        self.latent_shape, self.start_scale = network.latent_shape, network.start_scale
        pairs = [(0, 0)] if network.regresses else network.schedule.transitions(steps)
        self.coefficients = [_step_coefficients(network.schedule.alphas, *pair) for pair in pairs]
        if network.regresses:
            self.start_scale, self.coefficients = 0.0, [(1.0, 0.0)]
        times = torch.tensor([step for step, _ in pairs], device=inner.down_dim.weight.device)
        table = torch.stack(inner.modulations(times), dim=1).squeeze(3).detach()  # (steps, blocks, 6, C)
        table[:, :, [1, 4]] += 1  # the norms multiply by 1 + scale
        self.register_buffer("modulations", table)

        into, latent_into = inner.down_dim.weight.split([inner.width, inner.latent], dim=1)
        self.condition = FrameMap(
            network.cond_encoder, network.cond_encoder2, inner.sparse_up_conv, into, inner.down_dim.bias
        )
        align = inner.upper_align_net if network.use_upper else inner.align_net
        assert align.bias is not None
        mix, offset = align.weight[..., 0], align.bias[:, None] * latent_into.sum(1)
        if network.use_upper:
            upper_share, own_share = inner.down_dim_init.weight.split(inner.latent, dim=1)
            offset = offset + mix.sum(1, keepdim=True) * (latent_into @ inner.down_dim_init.bias)
            self.upper = make_linear(latent_into @ upper_share, None, linears)
            latent_into = latent_into @ own_share
        self.own = make_linear(latent_into, None, linears)
        self.register_buffer("mix", mix.detach().clone())
        self.register_buffer("offset", offset.detach().clone())
        self.blocks = nn.ModuleList(_PreparedBlock(cast(DiTBlock, b), linears) for b in inner.blocks)
        self.last = make_linear(inner.last.weight, inner.last.bias, linears)

    def sample(
        self,
        sparse: Tensor,
        noise: Tensor,
        upper: Tensor | None = None,
        *,
        steps: int,
        skip_idle: bool = True,
    ) -> Tensor:
        """As `MotionDiffusion.sample`.

        Raises:
            ValueError: another number of steps than it was prepared for, or steps that change nothing.
        """
        if steps != self.steps or not skip_idle:
            raise ValueError(f"steps: prepared for {self.steps} without the idle one, asked for {steps}")
        condition = self.condition(sparse) + self.offset
        if self.use_upper:
            condition = condition + self.mix @ self.upper(upper)
        latent = self.start_scale * noise
        for (clean_share, own_share), modulations in zip(self.coefficients, self.modulations.unbind(0)):
            tokens = condition + self.mix @ self.own(latent)
            for block, modulation in zip(self.blocks, modulations.unbind(0)):
                tokens = block(tokens, modulation)
            latent = clean_share * self.last(tokens) + own_share * latent
        return latent


class _PreparedBlock(nn.Module):
    def __init__(self, block: DiTBlock, linears: LinearKind) -> None:
        super().__init__()
        self.attn = deepcopy(block.attn)
        replace_linears(self.attn, linears)
        first, second = block.mlp.fc1, block.mlp.fc2
        self.mlp = nn.Sequential(
            make_linear(first.weight, first.bias, linears, gelu=True),
            make_linear(second.weight, second.bias, linears),
        )

    def forward(self, tokens: Tensor, modulation: Tensor) -> Tensor:
        """(B, L, C) and (6, C), the scales one larger than in `DiTBlock`, to (B, L, C)."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.unbind(0)
        width = tokens.shape[-1:]
        tokens = tokens + gate_a * self.attn(F.layer_norm(tokens, width, scale_a, shift_a, 1e-6))
        return tokens + gate_m * self.mlp(F.layer_norm(tokens, width, scale_m, shift_m, 1e-6))


class PreparedDecoder(nn.Module):
    """A `FullBodyDecoder` for inference.

    Args:
        decoder: the network.
        linears: see `prepare_tracker`.
    """

    def __init__(self, decoder: FullBodyDecoder, linears: LinearKind = "packed") -> None:
        super().__init__()
        width = decoder.cond_encoder2.out_features
        into, rest = decoder.post_quant_emb.weight.split([width, 2 * width], dim=1)
        self.condition = FrameMap(
            decoder.cond_encoder,
            decoder.cond_encoder2,
            decoder.sparse_up_conv,
            into,
            decoder.post_quant_emb.bias,
        )
        self.latents = make_linear(rest, None, linears)
        self.stack = deepcopy(decoder.decoder_stacks[0])
        self.heads = nn.ModuleList([deepcopy(decoder.reg_root), deepcopy(decoder.reg_body)])
        for part in (self.stack, self.heads):
            replace_linears(part, linears)

    def forward(self, upper: Tensor, lower: Tensor, sparse: Tensor, *, last_only: bool = False) -> Tensor:
        """As `FullBodyDecoder.forward`."""
        tokens = self.condition(sparse) + self.latents(torch.cat([upper, lower], dim=-1))
        features, _ = self.stack(tokens, last_only=last_only)
        return torch.cat([head(features) for head in self.heads], dim=-1)


class FrameMap(nn.Module):
    """Device features (B, T, 3, 18) to tokens (B, L, C): four linear maps in a row as one.

    Args:
        spread, project: see `embed_sparse`.
        over_time: 1x1 convolution with time as channels (T -> L).
        weight, bias: (C, D) and (C,), the linear layer that follows.
    """

    weight: Tensor
    mix: Tensor
    offset: Tensor

    def __init__(
        self, spread: nn.Conv1d, project: nn.Linear, over_time: nn.Conv1d, weight: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        embed, offset = combined_embedding(spread, project)
        mix, shift = over_time.weight[..., 0], over_time.bias
        assert shift is not None
        constant = mix.sum(1, keepdim=True) * offset + shift[:, None]  # (L, D)
        self.register_buffer("weight", (weight @ embed).detach())
        self.register_buffer("mix", mix.detach().clone())
        self.register_buffer("offset", F.linear(constant, weight, bias).detach())

    def forward(self, sparse: Tensor) -> Tensor:
        """(B, T, 3, 18) to (B, L, C)."""
        return F.linear(self.mix @ sparse.flatten(2), self.weight) + self.offset


def _step_coefficients(alphas: Tensor, step: int, previous: int) -> tuple[float, float]:
    """Shares of the clean guess and of the current sample in `DiffusionSchedule.step`."""
    alpha, target = (alphas[max(index, 0)].double().item() for index in (step, previous))
    own = ((1 - target) / (1 - alpha)) ** 0.5
    return target**0.5 - own * alpha**0.5, own
