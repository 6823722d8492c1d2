"""Rates, schedule and optimiser of a splat avatar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.model import SplatAvatar

DECAY = 0.02
"""Share of the rates that is left at the end."""


@dataclass(frozen=True)
class SplatRates:
    """Learning rates of Adam; that of the offsets is in spacings of the Gaussians.

    Args:
        offset, rotation, log_scale, opacity, colour, light, wrinkles: of the parameters with these names.
        start: share of the training before the rates fall.
    """

    offset: float = 0.02
    rotation: float = 0.01
    log_scale: float = 0.01
    opacity: float = 0.03
    colour: float = 0.03
    light: float = 0.01
    wrinkles: float = 0.005
    start: float = 0.1

    def groups(self, avatar: SplatAvatar) -> list[dict[str, Any]]:
        """Parameter groups of an avatar."""
        spacing = float(avatar.spacing)
        size = {"offset": spacing, "wrinkles": spacing}
        return [
            {"params": [parameter], "lr": getattr(self, name) * size.get(name, 1.0), "name": name}
            for name, parameter in avatar.named_parameters()
        ]

    def factor(self, share: float) -> float:
        """Of the rates, when `share` of the training is done."""
        return DECAY ** max(0.0, (min(share, 1.0) - self.start) / (1 - self.start))


@dataclass(frozen=True)
class Refinement:
    """How the poses of the images are refined.

    Args:
        learning_rate: of the axis-angles, radians; roots have `root_rate` times it.
        weight: of the squared distance of the axis-angles from where they started.
        root_rate: see `learning_rate`.
        decay: share of the rate that is left at the end.
        quarter, half: shares of the training in which images are a quarter and a half as large: outlines have to
            overlap before their differences say where the body should go.
        coarse_rate: factor of the rates of offsets and scales before images have their full size.
    """

    learning_rate: float = 0.01
    weight: float = 1e-4
    root_rate: float = 0.3
    decay: float = 0.05
    quarter: float = 0.1
    half: float = 0.35
    coarse_rate: float = 0.3

    def reduction(self, share: float) -> int:
        """By which factor images are smaller when `share` of the training is done."""
        return 4 if share < self.quarter else 2 if share < self.half else 1


class RowAdam(torch.optim.Optimizer):
    """Adam; in groups with `rows` only the rows with a gradient take a step, each with moments of its own.

    A table of poses has one row per pose and an image shows one of them: momentum must not move the others.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-15,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "rows": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, group)
        return loss

    def _step(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            count = len(parameter) if group["rows"] else 1
            state |= {"mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
            state["count"] = torch.zeros(count, device=parameter.device)
        first, second = group["betas"]
        mean, square, count = state["mean"], state["square"], state["count"]
        if not group["rows"]:
            count += 1
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            steps = float(count)
            size = square.sqrt().div_((1 - second**steps) ** 0.5).add_(group["eps"])
            parameter.addcdiv_(mean, size, value=-group["lr"] / (1 - first**steps))
            return
        rows = gradient.flatten(1).abs().sum(1).nonzero().squeeze(1)
        count[rows] += 1
        shape = (-1, *[1] * (parameter.ndim - 1))
        own, steps = gradient[rows], count[rows].view(shape)
        mean[rows] = first * mean[rows] + (1 - first) * own
        square[rows] = second * square[rows] + (1 - second) * own * own
        size = (square[rows] / (1 - second**steps)).sqrt() + group["eps"]
        parameter[rows] -= group["lr"] * (mean[rows] / (1 - first**steps)) / size
