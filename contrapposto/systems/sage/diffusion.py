"""SAGE's latent diffusion: first the upper body, then the lower body given the upper (docs/specs/sage.md, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.constants import constant
from contrapposto.nn.diffusion import DiffusionSchedule, timestep_features
from contrapposto.systems.sage.condition import NUM_SLOTS, embed_sparse


class TimestepEmbedding(nn.Module):
    """`timestep_features` through a small network, (B,) to (B, width)."""

    def __init__(self, width: int, features: int = 256) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))
        self.features = features
        for layer in (self.mlp[0], self.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02)  # type: ignore[arg-type]

    def forward(self, steps: Tensor) -> Tensor:
        """(B,) int64 to (B, width)."""
        return self.mlp(timestep_features(steps, self.features))


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, tokens: Tensor) -> Tensor:
        split = rearrange(self.qkv(tokens), "b t (part h d) -> part b h t d", part=3, h=self.heads)
        mixed = F.scaled_dot_product_attention(*split.unbind(0))
        return self.proj(rearrange(mixed, "b h t d -> b t (h d)"))


class _MLP(nn.Module):
    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens), approximate="tanh"))


class DiTBlock(nn.Module):
    """Transformer block whose norms are shifted, scaled and gated by the time step.

    Peebles and Xie, "Scalable diffusion models with transformers", 2023; here the modulation does not start
    at zero.
    """

    def __init__(self, width: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.attn = _Attention(width, heads)
        self.mlp = _MLP(width, ratio)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def modulation(self, time: Tensor) -> Tensor:
        """(B, C) time embedding to (B, 6, 1, C): shift, scale, gate of attention, then of the MLP."""
        return self.adaLN_modulation(time).unflatten(1, (6, 1, -1))

    def forward(self, tokens: Tensor, modulation: Tensor) -> Tensor:
        """(B, L, C) and (B or 1, 6, 1, C) to (B, L, C)."""
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = modulation.unbind(1)
        tokens = tokens + gate_a * self.attn(_norm(tokens) * (1 + scale_a) + shift_a)
        return tokens + gate_m * self.mlp(_norm(tokens) * (1 + scale_m) + shift_m)


def _norm(tokens: Tensor) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)


@dataclass(frozen=True)
class PreparedCondition:
    """What does not change from step to step: computed once per window.

    Args:
        tokens: (B, L, C) the condition's share of the blocks' input.
        upper: (B, L, D) the upper latent's share of the latent's input; None in the first model.
    """

    tokens: Tensor
    upper: Tensor | None


class Denoiser(nn.Module):
    """Guess of the clean latent from a noisy one.

    Token order enters only through 1x1 convolutions that take time as channels, hence the fixed window.

    Args:
        window: frames of the condition; half as many tokens.
        latent: size D of a token.
        width, heads, layers: of the transformer.
        use_upper: whether an upper latent is part of the input (second model).
    """

    def __init__(
        self, window: int, latent: int, width: int, heads: int, layers: int, *, use_upper: bool
    ) -> None:
        super().__init__()
        tokens = window // 2
        self.width, self.latent, self.use_upper = width, latent, use_upper
        self.embed_timestep = TimestepEmbedding(width)
        self.sparse_up_conv = nn.Conv1d(window, tokens, 1)
        if use_upper:
            self.down_dim_init = nn.Linear(2 * latent, latent)
            self.upper_align_net = nn.Conv1d(tokens, tokens, 1)
        else:
            self.align_net = nn.Conv1d(tokens, tokens, 1)
        self.down_dim = nn.Linear(width + latent, width)
        self.blocks = nn.ModuleList(DiTBlock(width, heads) for _ in range(layers))
        self.last = nn.Linear(width, latent)

    def prepare(self, condition: Tensor, upper: Tensor | None) -> PreparedCondition:
        """The shares of the condition (B, T, C) and of the upper latent (B, L, D)."""
        weight = self.down_dim.weight[:, : self.width]
        tokens = F.linear(self.sparse_up_conv(condition), weight, self.down_dim.bias)
        if not self.use_upper:
            return PreparedCondition(tokens, None)
        if upper is None:
            raise ValueError("upper: the second model needs the upper latent")
        share = F.linear(upper, self.down_dim_init.weight[:, : self.latent], self.down_dim_init.bias)
        return PreparedCondition(tokens, share)

    def modulations(self, steps: Tensor) -> list[Tensor]:
        """(B,) steps to one (B, 6, 1, C) per block: they depend on the step alone."""
        time = self.embed_timestep(steps)
        return [block.modulation(time) for block in self.blocks]  # type: ignore[operator]

    def forward(self, noisy: Tensor, prepared: PreparedCondition, modulations: list[Tensor]) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        if prepared.upper is None:
            aligned = self.align_net(noisy)
        else:
            own = F.linear(noisy, self.down_dim_init.weight[:, self.latent :])
            aligned = self.upper_align_net(own + prepared.upper)
        tokens = prepared.tokens + F.linear(aligned, self.down_dim.weight[:, self.width :])
        for block, modulation in zip(self.blocks, modulations):
            tokens = block(tokens, modulation)
        return self.last(tokens)


class MotionDiffusion(nn.Module):
    """Latent of a body part from the device features. The state dict has the original's names.

    Args:
        use_upper: False for the first model (upper body), True for the second (lower body given the upper).
        window: frames, even.
        latent: size of a token of the auto-encoder.
        width, heads, layers: of the transformer.
        start_scale: standard deviation of the start noise.
        prior: `diffusion` (the paper's), or `regression`: the same network guesses the latent at once, from no noise.
    """

    def __init__(
        self,
        use_upper: bool,
        window: int = 20,
        latent: int = 384,
        width: int = 512,
        heads: int = 8,
        layers: int = 12,
        start_scale: float = 0.01,
        prior: Literal["diffusion", "regression"] = "diffusion",
    ) -> None:
        super().__init__()
        if prior not in ("diffusion", "regression"):
            raise ValueError(f"prior: expected diffusion or regression, got {prior!r}")
        self.regresses = prior == "regression"
        self.use_upper, self.start_scale = use_upper, start_scale
        self.latent_shape = (window // 2, latent)
        self.schedule = DiffusionSchedule()
        self.cond_encoder = nn.Conv1d(3, NUM_SLOTS, 1)
        self.cond_encoder2 = nn.Linear(NUM_SLOTS * 18, width)
        # The original has this name in both models.
        self.denoiser_upper = Denoiser(window, latent, width, heads, layers, use_upper=use_upper)

    def condition(self, sparse: Tensor, hidden_slots: Tensor | None = None) -> Tensor:
        """(B, T, 3, 18) device features to (B, T, width); see `embed_sparse` for the train-time masking."""
        return embed_sparse(self.cond_encoder, self.cond_encoder2, sparse, hidden_slots)

    def forward(
        self,
        noisy: Tensor,
        steps: Tensor,
        sparse: Tensor,
        upper: Tensor | None = None,
        hidden_slots: Tensor | None = None,
    ) -> Tensor:
        """Guess of the clean latent.

        Args:
            noisy: (B, L, D), see `schedule.add_noise`.
            steps: (B,) int64.
            sparse: (B, T, 3, 18).
            upper: (B, L, D) upper latent, for the second model.
            hidden_slots: (B, K) int64 slots of the condition to hide in training; the original draws 2 of 22,
                with replacement.
        """
        if self.regresses:
            noisy, steps = torch.zeros_like(noisy), torch.zeros_like(steps)
        prepared = self.denoiser_upper.prepare(self.condition(sparse, hidden_slots), upper)
        return self.denoiser_upper(noisy, prepared, self.denoiser_upper.modulations(steps))

    def sample(
        self,
        sparse: Tensor,
        noise: Tensor,
        upper: Tensor | None = None,
        *,
        steps: int = 5,
        skip_idle: bool = True,
    ) -> Tensor:
        """Latent (B, L, D) from device features (B, T, 3, 18): the last of `trajectory`."""
        return self.trajectory(sparse, noise, upper, steps=steps, skip_idle=skip_idle)[-1]

    def trajectory(
        self,
        sparse: Tensor,
        noise: Tensor,
        upper: Tensor | None = None,
        *,
        steps: int = 5,
        skip_idle: bool = True,
    ) -> list[Tensor]:
        """Latents (B, L, D) after every step of the deterministic sampler; gradients flow through all of
        them.

        Args:
            sparse: (B, T, 3, 18).
            noise: (B, L, D) standard normal; scaled by `start_scale` here.
            upper: (B, L, D), for the second model.
            steps: inference steps.
            skip_idle: leave out the last step, which changes nothing (see `DiffusionSchedule.transitions`).
        """
        if self.regresses:
            return [self(noise, torch.zeros(1, dtype=torch.int64, device=sparse.device), sparse, upper)]
        pairs = self.schedule.transitions(steps, skip_idle=skip_idle)
        prepared = self.denoiser_upper.prepare(self.condition(sparse), upper)
        times = constant(tuple(step for step, _ in pairs), sparse, torch.int64)
        modulations = self.denoiser_upper.modulations(times)
        latent, states = self.start_scale * noise, []
        for index, (step, previous) in enumerate(pairs):
            ours = [modulation[index : index + 1] for modulation in modulations]
            latent = self.schedule.step(self.denoiser_upper(latent, prepared, ours), latent, step, previous)
            states.append(latent)
        return states
