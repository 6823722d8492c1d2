"""How poses and cameras are refined, and Adam whose gradients gather over several steps.

See docs/specs/anerf.md, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from contrapposto.systems.anerf.losses import step_decay
from lightning_modules.optim import warmup


@dataclass(frozen=True)
class PoseOptions:
    """How poses are refined.

    Args:
        kind: "sixd" or "axis_angle": what is optimised.
        learning_rate: of their own Adam.
        every: steps over which gradients add up before one step of the poses (`opt_pose_step`).
        stop: step from which the poses stay as they are (`opt_pose_stop`); None: never.
        weight, tolerance: of the pull to the first poses.
        temporal_weight: of smoothness over time.
    """

    kind: str = "sixd"
    learning_rate: float = 5e-4
    every: int = 20
    stop: int | None = None
    weight: float = 2.0
    tolerance: float = 0.01
    temporal_weight: float = 0.0


@dataclass(frozen=True)
class CameraOptions:
    """How cameras are refined (not in the original).

    Args:
        learning_rate: of their own Adam.
        start: step from which on: before, an avatar that shows nothing would pull them anywhere.
        weight: of the pull to where they were given.
    """

    every: ClassVar[int] = 1  # no gathering
    learning_rate: float = 1e-3
    start: int = 0
    weight: float = 0.01


class GatheringAdam(torch.optim.Adam):
    """Adam whose parameter groups may have an option `every`.

    Their gradients add up (a sum, no mean) over so many calls of `step`, then the group takes one step. `zero_grad`
    leaves gradients alone that are still gathering.

    `waited`, the calls since a group's last step, is part of the state; the gathered gradients are not: see `gathered`.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        super().__init__(groups, **options)
        for group in self.param_groups:
            group.setdefault("every", 1)
            group.setdefault("waited", 0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the groups whose turn it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        waiting: list[tuple[Tensor, Tensor | None]] = []
        for group in self.param_groups:
            group["waited"] = (group["waited"] + 1) % group["every"]
            if group["waited"]:
                for parameter in group["params"]:
                    waiting.append((parameter, parameter.grad))
                    parameter.grad = None
        super().step()
        for parameter, gradient in waiting:
            parameter.grad = gradient
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of groups that have just taken their step."""
        for group in self.param_groups:
            if group.get("waited", 0):
                continue
            for parameter in group["params"]:
                parameter.grad = None

    def gathered(self) -> dict[int, Tensor]:
        """Gradients that are gathering, by the number of their parameter."""
        result, number = {}, 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if group["waited"] and parameter.grad is not None:
                    result[number] = parameter.grad.detach().clone()
                number += 1
        return result

    def set_gathered(self, gradients: dict[int, Tensor]) -> None:
        """Put gathered gradients back."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, gradient in gradients.items():
            parameters[number].grad = gradient.to(parameters[number])


def warmup_decay(
    optimizer: torch.optim.Optimizer,
    *,
    steps_per_epoch: int = 0,
    rate: float = 0.1,
    steps: int = 500_000,
    unit: int = 1,
    warmup_steps: int = 0,
) -> LambdaLR:
    """The schedule of A-NeRF, see `step_decay`; groups marked `constant` keep their rate."""
    constant = [group.get("constant", False) for group in optimizer.param_groups]

    def factor(step: int) -> float:
        return warmup(step, warmup_steps) * step_decay(step, rate, steps, unit)

    return LambdaLR(optimizer, [(lambda step: 1.0) if still else factor for still in constant])
