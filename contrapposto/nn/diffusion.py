"""Noise schedule of a diffusion model that predicts the clean sample, and its deterministic sampler.

Ho et al., "Denoising diffusion probabilistic models", 2020; Song et al., "Denoising diffusion implicit
models" (DDIM), 2021; the cosine schedule is that of Nichol and Dhariwal, 2021. Conventions of docs/specs/sage.md,
section 2.3.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


def cosine_alphas(steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Tensor:
    """(steps,) float64 cumulative products of 1 - beta, betas capped."""
    times = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((times + offset) / (1 + offset) * math.pi / 2).square()
    betas = (1 - curve[1:] / curve[:-1]).clamp_max(max_beta)
    return torch.cumprod(1 - betas, dim=0)


class DiffusionSchedule(nn.Module):
    """Adds noise, and takes noise away.

    Args:
        alphas: (steps,) cumulative products; the cosine schedule of 1000 steps where absent.
    """

    alphas: Tensor

    def __init__(self, alphas: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer(
            "alphas", (cosine_alphas() if alphas is None else alphas).float(), persistent=False
        )

    @property
    def num_steps(self) -> int:
        """Number of training steps."""
        return len(self.alphas)

    def add_noise(self, clean: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """sqrt(a) clean + sqrt(1 - a) noise for (B, ...) tensors and (B,) int64 steps."""
        alpha = self.alphas[steps].view(-1, *[1] * (clean.ndim - 1))
        return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise

    def inference_steps(self, count: int) -> list[int]:
        """`count` steps from high to low, evenly spaced, the last one 0.

        Raises:
            ValueError: more steps than the schedule has, or none.
        """
        if not 1 <= count <= self.num_steps:
            raise ValueError(f"count: expected 1 to {self.num_steps} inference steps, got {count}")
        stride = self.num_steps // count
        return [stride * index for index in reversed(range(count))]

    def step(
        self,
        clean: Tensor,
        current: Tensor,
        step: int,
        previous: int,
        *,
        eta: float = 0.0,
        noise: Tensor | None = None,
    ) -> Tensor:
        """From step `step` to the lower step `previous`, given the network's guess of the clean sample.

        Args:
            clean: the guess.
            current: the sample at `step`.
            step: where it is.
            previous: where it goes; below 0 means the schedule's first step, not the clean sample.
            eta: 0 is deterministic, 1 as noisy as the training process.
            noise: standard normal, needed for eta > 0.
        """
        alpha, target = self.alphas[step], self.alphas[max(previous, 0)]
        direction = (current - alpha.sqrt() * clean) / (1 - alpha).sqrt()
        if eta == 0:
            return target.sqrt() * clean + (1 - target).sqrt() * direction
        if noise is None:
            raise ValueError("noise: a sampler with eta > 0 needs it")
        sigma = eta * ((1 - target) / (1 - alpha) * (1 - alpha / target)).sqrt()
        spread = (1 - target - sigma.square()).clamp_min(0).sqrt()
        return target.sqrt() * clean + spread * direction + sigma * noise

    def transitions(self, count: int, *, skip_idle: bool = True) -> list[tuple[int, int]]:
        """(step, previous) pairs of the deterministic sampler.

        The last pair, from step 0 to itself, changes nothing, so it is left out and its call of the network
        saved; `skip_idle=False` keeps it, as the originals do. A single step would be that idle one alone: here it
        goes at once from where five steps begin to the end (docs/results.md has the errors).
        """
        if count == 1 and skip_idle:
            return [(self.inference_steps(5)[0], 0)]
        steps = self.inference_steps(count)
        pairs = [*pairwise(steps), (steps[-1], steps[-1] - self.num_steps // count)]
        return pairs[:-1] if skip_idle else pairs


def timestep_features(steps: Tensor, width: int = 256) -> Tensor:
    """(B,) steps to (B, width): cosines, then sines, of geometrically spaced frequencies."""
    half = width // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half, device=steps.device) / half)
    angle = steps.float()[:, None] * frequency
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
