"""What the modules of all systems share: named outputs of an evaluation, logged losses, frozen earlier stages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from contrapposto.errors import MissingError
from lightning_modules.optim import make_optimizer, with_schedule


class StageModule(pl.LightningModule):
    """A stage whose validation and test return the same named outputs: those of `evaluate_batch`.

    Attributes:
        optimizer_factory: from parameters, or groups of them, to an optimiser; None: torch's AdamW. The configuration's
            `optimizer` sets it.
        schedule_factory: from an optimiser to a schedule, see `with_schedule`; None: a constant rate. The
            configuration's `scheduler` sets it.
    """

    optimizer_factory: Callable[..., torch.optim.Optimizer] | None = None
    schedule_factory: Callable[..., Any] | None = None

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Named outputs of an evaluation batch, see the class."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Named outputs of a batch."""
        return self.evaluate_batch(batch)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Named outputs of a batch."""
        return self.evaluate_batch(batch)

    def log_losses(self, terms: Mapping[str, Tensor], batch_size: int) -> None:
        """Log scalars under train/; the one called `total` is the loss."""
        # sync_dist: the mean over processes of equal shares of the batch is the batch's mean.
        self.log_dict(
            {f"train/{'loss' if name == 'total' else name}": value.detach() for name, value in terms.items()},
            batch_size=batch_size,
            sync_dist=True,
        )

    def configure_optimizers(self) -> Any:
        """The chosen optimiser and schedule on everything that is trained."""
        optimizer = self.make_optimizer(p for p in self.parameters() if p.requires_grad)
        return with_schedule(optimizer, self.schedule_factory, self.trainer)

    def make_optimizer(self, parameters: Any) -> torch.optim.Optimizer:
        """The chosen optimiser of parameters, or of groups of them."""
        return make_optimizer(self.optimizer_factory, parameters, self.trainer)


def load_stage(kind: type[pl.LightningModule], checkpoint: str | None, model: str) -> Any:
    """The module of an earlier stage, frozen, in evaluation mode; its own frozen stages are not loaded.

    Raises:
        MissingError: no such checkpoint.
    """
    if checkpoint is None or not Path(checkpoint).is_file():
        raise MissingError(
            f"The checkpoint of the earlier stage {model} is missing.",
            found=str(checkpoint),
            fix=f"train it: python train.py model={model}, or name one",
        )
    module = kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    return module.eval().requires_grad_(False)


def weights_hash(*networks: nn.Module) -> str:
    """Hash of all weights: what cached outputs of frozen networks belong to."""
    digest = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
