"""Training of the recurrent refiner on sequences of the frozen coarse tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from contrapposto.systems.sage.body_losses import RefinerLoss
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.tracker import SageTracker
from contrapposto.systems.sage.window_frame import Frame
from contrapposto.weights import ImportReport
from lightning_modules.base import load_stage
from lightning_modules.sage.common import SageBodyModule
from lightning_modules.sage.decoder import SageDecoderModule, copy_weights


class SageRefinerModule(SageBodyModule):
    """Trains `Refiner`; the checkpoint holds the whole tracker (docs/specs/sage.md, sections 2.5 and 3).

    Args:
        window, latent, diffusion, coordinates: see `SageDecoderModule`.
        decoder_network: `hidden`, `heads`, `layers`, `dropout` of the decoder.
        network: `layers`, `hidden` of the refiner.
        decoder: checkpoint of the decoder stage, read when training starts; None keeps what there is (`init_from=`).
        steps: of the samplers.
        loss_weights: see `RefinerLoss`.
        seed: of the samplers' start noise.
        eval_batch_size: windows per forward pass in evaluation.
        body, skip_seconds, reach, finishing: see `SageBodyModule`.
    """

    def __init__(
        self,
        window: int = 20,
        latent: int = 384,
        diffusion: Mapping[str, Any] | None = None,
        decoder_network: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        decoder: str | None = None,
        coordinates: Frame = "world",
        steps: int = 5,
        loss_weights: Sequence[float] = (0.01, 60.0, 20.0, 0.01, 0.01, 0.03),
        seed: int = 10,
        eval_batch_size: int = 256,
        body: str | None = None,
        skip_seconds: float = 0.0,
        reach: bool = False,
        finishing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(body, skip_seconds, reach, finishing)
        self.save_hyperparameters()
        self.tracker = SageTracker.from_options(self.hparams)
        self.loss = RefinerLoss(self.rest_positions, weights=tuple(loss_weights))
        for network_ in self.frozen_networks():
            network_.requires_grad_(False)
        # The first correction is none: training never starts worse than the decoder. (The original starts at random.)
        nn.init.zeros_(self.tracker.refiner.linear.weight)
        nn.init.zeros_(self.tracker.refiner.linear.bias)

    def setup(self, stage: str) -> None:
        """Start from the networks of the decoder stage."""
        if stage == "fit" and self.hparams["decoder"] is not None:
            module = load_stage(SageDecoderModule, self.hparams["decoder"], "sage_decoder")
            for name in ("first", "second", "decoder"):
                copy_weights(
                    getattr(module.tracker, name), getattr(self.tracker, name), self.hparams["decoder"]
                )

    def on_fit_start(self) -> None:
        """As in every stage; what was prepared of other weights is forgotten."""
        self.frozen.pop("fast", None)
        super().on_fit_start()

    def on_train_epoch_start(self) -> None:
        """The frozen networks stay in evaluation mode: the decoder has dropout."""
        for network in self.frozen_networks():
            network.eval()

    def frozen_networks(self) -> list[nn.Module]:
        """Everything but the refiner."""
        return [self.tracker.first, self.tracker.second, self.tracker.decoder]

    def frozen_metadata(self) -> dict[str, Any]:
        """Settings of the samplers."""
        return {"steps": self.hparams["steps"], "seed": self.hparams["seed"]}

    @torch.no_grad()
    def frozen_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`coarse`, the unrefined 6D of the last frame."""
        if "fast" not in self.frozen:
            self.frozen["fast"] = prepare_tracker(self.tracker)
        fast = cast(SageTracker, self.frozen["fast"])
        return {"coarse": fast.coarse_windows(batch["sparse"], batch["frames"])}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Mean loss of the batch's sequences, logged under train/.

        The batch holds `sparse` (B, N, 3, 18), `rotation_local_6d` (B, N, 132), `lengths` (B,), and where they are
        cached `coarse` (B, N, 132); shorter sequences are padded at the end.
        """
        coarse = batch["coarse"].float() if "coarse" in batch else self._coarse(batch)
        delta, _ = self.tracker.refiner(coarse)
        refined = coarse + delta
        losses = self.loss(refined, batch["rotation_local_6d"], batch["sparse"], batch["lengths"])
        self.log_losses(vars(losses), len(coarse))
        total: Tensor = losses.total
        return total

    def _coarse(self, batch: dict[str, Any]) -> Tensor:
        """The frozen networks on every window of every sequence."""
        window = self.hparams["window"]
        rows = rearrange(batch["sparse_before"].unfold(1, window, 1), "b n part c t -> b n t part c")
        frames = batch["starts"][:, None] + torch.arange(rows.shape[1], device=rows.device) + window - 1
        coarse = torch.stack(
            [
                self.frozen_outputs({"sparse": row, "frames": numbers})["coarse"]
                for row, numbers in zip(rows, frames)
            ]
        )
        inside = torch.arange(coarse.shape[1], device=coarse.device) < batch["lengths"][:, None]
        return torch.where(inside[..., None], coarse, 0)

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """The refined clip."""
        return self.tracker.track(sparse, batch_size=self.hparams["eval_batch_size"]).sixd

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load the authors' released weights (see `official.find_files`), with 2 or 3 layers in the refiner."""
        from contrapposto.systems.sage.official import find_files, import_decoder, load_refiner

        decoder, refiner = find_files(path).need("decoder", "refiner")
        networks = {name: getattr(self.tracker, name) for name in ("first", "second", "decoder")}
        reports = import_decoder(decoder, networks)
        self.tracker.refiner, reports["refiner"] = load_refiner(refiner, self.hparams["network"])
        return reports
