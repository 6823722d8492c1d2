"""Training of the baseline without latents: device features to pose by one transformer encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto.systems.sage.body_losses import DecoderLoss
from contrapposto.systems.sage.sparse_transformer import SparseTransformer
from contrapposto.systems.sage.tracker import windows_of
from lightning_modules.sage.common import SageBodyModule


class SparseTransformerModule(SageBodyModule):
    """Trains `SparseTransformer` with the loss of SAGE's decoder, so that only the networks differ.

    Args:
        window: frames.
        network: `width`, `heads`, `layers`, `dropout` of the network.
        loss: weights of `DecoderLoss`.
        eval_batch_size: windows per forward pass in evaluation.
        body, skip_seconds, reach, finishing: see `SageBodyModule`.
    """

    def __init__(
        self,
        window: int = 40,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, float] | None = None,
        eval_batch_size: int = 512,
        body: str | None = None,
        skip_seconds: float = 0.0,
        reach: bool = False,
        finishing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(body, skip_seconds, reach, finishing)
        self.save_hyperparameters()
        # The state dict keeps the name `network`; the tracker around it has no weights of its own.
        self.network = SparseTransformer(window, **(network or {}))
        self.loss = DecoderLoss(self.rest_positions, **(loss or {}))

    def forward(self, sparse: Tensor) -> Tensor:
        """(B, T, 3, 18) to the 6D (B, 132) of the last frames."""
        sixd: Tensor = self.network(sparse)
        return sixd

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of the last frames of the windows, logged under train/."""
        sparse = batch["sparse"]
        losses = self.loss(self(sparse).float(), batch["rotation_local_6d"][:, -1], sparse[:, -1])
        self.log_losses(vars(losses), len(sparse))
        total: Tensor = losses.total
        return total

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """Every frame as the last one of its window; the first windows are padded with frame 0."""
        frames = torch.arange(len(sparse), device=sparse.device).split(self.hparams["eval_batch_size"])
        return torch.cat([self(windows_of(sparse, part, self.hparams["window"])) for part in frames])
