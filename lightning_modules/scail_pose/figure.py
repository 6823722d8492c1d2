"""Training of the network that finds the points of stylised figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto.systems.scail_pose.figure_net import CELLS, WINDOW, FigureNet, read_points
from lightning_modules.base import StageModule

_SPREAD = 0.8  # of a point's target distribution, cells


class ScailFigureModule(StageModule):
    """Trains `FigureNet`.

    Validation and test steps return `pred_points`, `true_points` (1, N, 1, 3) sides of the window, of the points that
    are in windows with a figure; `pred_present`, `true_present` (1, N, 1, 3), shares of windows that are judged wrongly.

    Args:
        loss: `seen_weight`, `present_weight`, `depth_weight`.
    """

    def __init__(self, loss: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = FigureNet()
        self.weights = {"seen_weight": 0.5, "present_weight": 1.0, "depth_weight": 2.0, **(loss or {})}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch of windows, logged under train/."""
        output = self.network(batch["image"].contiguous(memory_format=torch.channels_last))
        points, seen, present = batch["points"], batch["seen"], batch["present"]
        known = seen * (present == 1)[:, None]
        target = _target(points)
        chance = output.heat.flatten(2).log_softmax(-1)
        count = known.sum().clamp_min(1)
        heat = -((target.flatten(2) * chance).sum(-1) * known).sum() / count
        depth = (chance.exp().detach() * output.depth.flatten(2)).sum(-1)
        away = ((depth - points[..., 2] / WINDOW).abs() * known).sum() / count
        judged = present >= 0
        terms = {
            "heat": heat,
            "depth": away,
            "seen": F.binary_cross_entropy_with_logits(output.seen, seen),
            "present": F.binary_cross_entropy_with_logits(output.present[judged], present[judged]),
        }
        loss = terms["heat"] + sum(
            self.weights[f"{name}_weight"] * terms[name] for name in ("depth", "seen", "present")
        )
        self.log_losses({"total": loss, **terms}, len(points))
        return loss

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        output = self.network(batch["image"])
        points, _, _, present = read_points(output)
        known = (batch["seen"] > 0) & (batch["present"] == 1)[:, None]
        judged = batch["present"] >= 0
        wrong = ((present > 0.5).float() - batch["present"])[judged]

        def rows(values: Tensor) -> Tensor:
            return F.pad(values, (0, 3 - values.shape[-1]))[None, :, None]

        pred, true = points[known] / WINDOW, batch["points"][known][:, :2] / WINDOW
        return {
            "pred_points": rows(pred),
            "true_points": rows(true),
            "pred_present": rows(wrong[:, None]),
            "true_present": rows(torch.zeros_like(wrong)[:, None]),
            "clips": ["windows"],
            "num_frames": [len(pred)],
        }


def _target(points: Tensor) -> Tensor:
    """(B, 15, 32, 32) distributions about points (B, 15, 3), pixels of the window."""
    cells = points[..., :2] * CELLS / WINDOW - 0.5
    number = torch.arange(CELLS, device=points.device)
    x, y = ((number - cells[..., axis, None]).square() / (-2 * _SPREAD**2) for axis in (0, 1))
    return (y.softmax(-1)[..., :, None]) * (x.softmax(-1)[..., None, :])
