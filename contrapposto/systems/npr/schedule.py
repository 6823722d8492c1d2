"""Noise schedule of the pose diffusions: DDPM with noise prediction (Ho et al. 2020; docs/specs/npr.md, section 9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NoiseSchedule(nn.Module):
    """Linear betas. Steps count from 1; index 0 is the clean sample (beta 0).

    Args:
        num_steps: T.
        first_beta, last_beta: ends.
    """

    betas: Tensor
    alphas: Tensor
    alpha_bars: Tensor
    sigmas: Tensor

    def __init__(self, num_steps: int = 1000, first_beta: float = 1e-4, last_beta: float = 5e-2) -> None:
        super().__init__()
        if num_steps < 1 or not 0 < first_beta <= last_beta < 1:
            raise ValueError(f"{num_steps} steps, betas {first_beta} to {last_beta}: not a schedule")
        betas = torch.linspace(first_beta, last_beta, num_steps, dtype=torch.float64)
        betas = torch.cat([betas.new_zeros(1), betas])
        bars = torch.cumprod(1 - betas, dim=0)
        variance = betas.clone()
        variance[2:] = betas[2:] * (1 - bars[1:-1]) / (1 - bars[2:])
        variance[:2] = 0  # no noise into the clean sample
        for name, values in (
            ("betas", betas),
            ("alphas", 1 - betas),
            ("alpha_bars", bars),
            ("sigmas", variance.sqrt()),
        ):
            self.register_buffer(name, values.float(), persistent=False)

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.betas) - 1

    def add_noise(self, clean: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """sqrt(a) clean + sqrt(1 - a) noise for (B, ...) tensors and (B,) steps from 1 to T."""
        bar = self.alpha_bars[steps].view(-1, *[1] * (clean.ndim - 1))
        return bar.sqrt() * clean + (1 - bar).sqrt() * noise

    def previous(self, current: Tensor, predicted: Tensor, step: int, noise: Tensor | None) -> Tensor:
        """One ancestral step from `step` to `step - 1`, given the predicted noise; no noise is used at step 1."""
        share = (1 - self.alphas[step]) / (1 - self.alpha_bars[step]).sqrt()
        mean = (current - share * predicted) / self.alphas[step].sqrt()
        return mean if noise is None or step == 1 else mean + self.sigmas[step] * noise

    def jump(self, current: Tensor, predicted: Tensor, step: int, target: int) -> Tensor:
        """Deterministic step to any lower one (DDIM, Song et al. 2021), 0 being the clean sample."""
        bar, lower = self.alpha_bars[step], self.alpha_bars[target]
        clean = (current - (1 - bar).sqrt() * predicted) / bar.sqrt()
        return lower.sqrt() * clean + (1 - lower).sqrt() * predicted
