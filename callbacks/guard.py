"""Stop at the first loss or gradient that is not finite, before it spoils the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from contrapposto.errors import ContrappostoError
from contrapposto.files import atomic_path


class NotFiniteError(ContrappostoError):
    """Training was stopped: a loss or a gradient is NaN or infinite."""


class FiniteGuard(pl.Callback):
    """Check the loss and the gradients before the optimiser step: one wait for the GPU.

    The batch is saved to `debug/nan_batch_rank<r>.pt` for inspection and the run ends with `NotFiniteError`;
    the weights and the checkpoints are still those of the step before. With several processes the loss of one
    is not enough to stop all of them, so there the gradients decide, which are equal on all. In 16-bit
    training with a loss scaler infinite gradients belong to the method and are left to it; there, without `gradients`,
    and where gradients are accumulated over batches, the loss is checked by itself before the backward pass.

    Args:
        run_dir: the run directory.
        gradients: whether to check gradients, which costs one pass over them per step.
    """

    def __init__(self, run_dir: str | Path, *, gradients: bool = True) -> None:
        self.run_dir, self.gradients = Path(run_dir), gradients
        self._batch: Any = None
        self._loss: Tensor | None = None  # to be checked with the gradients

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep hold of the batch."""
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the loss, or keep it to be checked with the gradients."""
        together = self._checks_gradients(trainer)
        if together and trainer.world_size > 1:
            return
        if together and trainer.accumulate_grad_batches == 1:
            self._loss = loss.detach()
        elif not _all(trainer, bool(torch.isfinite(loss.detach()).all())):
            self._stop(trainer, f"the loss is {float(loss.detach().mean())}")

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Check the gradients, and the loss that was kept."""
        if not self._checks_gradients(trainer):
            return
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        values = [torch.nn.utils.get_total_norm(gradients)] if gradients else []
        loss, self._loss = self._loss, None
        if loss is not None:
            values.append(loss.sum())
        if values and not bool(torch.isfinite(torch.stack([v.float() for v in values])).all()):
            if loss is not None and not bool(torch.isfinite(loss).all()):
                self._stop(trainer, f"the loss is {float(loss.mean())}")
            bad = [
                name
                for name, p in pl_module.named_parameters()
                if p.grad is not None and not bool(torch.isfinite(p.grad).all())
            ]
            if bad:  # otherwise they are finite, but so large that the sum of their squares is not
                self._stop(trainer, f"gradients of {len(bad)} parameters are not finite, first {bad[:3]}")

    def _checks_gradients(self, trainer: pl.Trainer) -> bool:
        return self.gradients and trainer.precision not in ("16-mixed", "16", 16)

    def _stop(self, trainer: pl.Trainer, reason: str) -> None:
        step = trainer.global_step
        path = self.run_dir / "debug" / f"nan_batch_rank{trainer.global_rank}.pt"
        with atomic_path(path) as temporary:
            torch.save({"batch": _plain(self._batch), "step": step, "reason": reason}, temporary)
        raise NotFiniteError(
            f"Training stopped at step {step}: {reason}.",
            found=f"the batch is in {path} (torch.load(path, weights_only=True)); the last checkpoint is of before",
            fix="a smaller learning rate or trainer.gradient_clip_val=1; trainer.detect_anomaly=true to find the cause",
        )


def _all(trainer: pl.Trainer, finite: bool) -> bool:
    if trainer.world_size == 1:
        return finite
    return bool(trainer.strategy.reduce_boolean_decision(finite, all=True))


def _plain(value: Any) -> Any:
    """A batch as tensors and plain values, which the safe loader reads."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, int | float | str | bool | None) else repr(value)
