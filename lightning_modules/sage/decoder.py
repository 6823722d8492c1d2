"""Training of the full-body decoder: alone on frozen diffusions, then all three networks together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.errors import ConfigError
from contrapposto.nn.distributed import world_size
from contrapposto.systems.sage.body_losses import DecoderLoss
from contrapposto.systems.sage.decoder import FullBodyDecoder
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.tracker import CoarseTracker
from contrapposto.weights import ImportReport
from lightning_modules.base import load_stage
from lightning_modules.optim import steps_per_epoch
from lightning_modules.sage.common import SageBodyModule
from lightning_modules.sage.diffusion import SageDiffusionModule


class SageDecoderModule(SageBodyModule):
    """Trains `FullBodyDecoder`, then decoder and both diffusions through their samplers.

    See docs/specs/sage.md, sections 2.4 and 3.

    For `epochs_alone` epochs the diffusions are frozen and their latents come from the cache; from then on gradients
    run through both samplers, with a fresh optimiser state and another learning rate. The checkpoint holds all three
    networks (`tracker`).

    Args:
        window: frames.
        latent: size of a token.
        diffusion: `width`, `heads`, `layers` of both diffusions.
        network: `hidden`, `heads`, `layers`, `dropout` of the decoder.
        first, second: checkpoints of the earlier stages, read when training starts; None keeps what there is
            (`init_from=`).
        steps: of the samplers.
        loss: weights of `DecoderLoss`.
        epochs_alone: epochs before the diffusions learn too.
        joint_learning_rate: of all networks after the switch; the decoder alone has the optimiser's rate.
        seed: of the samplers' start noise.
        eval_batch_size: windows per forward pass in evaluation.
        body, skip_seconds, reach: see `SageBodyModule`.
    """

    def __init__(
        self,
        window: int = 20,
        latent: int = 384,
        diffusion: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        first: str | None = None,
        second: str | None = None,
        steps: int = 5,
        loss: Mapping[str, float] | None = None,
        epochs_alone: int = 6,
        joint_learning_rate: float = 8e-5,
        seed: int = 10,
        eval_batch_size: int = 256,
        body: str | None = None,
        skip_seconds: float = 0.0,
        reach: bool = False,
    ) -> None:
        super().__init__(body, skip_seconds, reach)
        self.save_hyperparameters()
        self.tracker = CoarseTracker(
            MotionDiffusion(False, window, latent, **(diffusion or {})),
            MotionDiffusion(True, window, latent, **(diffusion or {})),
            FullBodyDecoder(window, latent, **(network or {})),
            steps=steps,
            seed=seed,
        )
        self.loss = DecoderLoss(self.rest_positions, **(loss or {}))
        self._resumed_at = 0

    def setup(self, stage: str) -> None:
        """Start from the diffusions of the earlier stages; a checkpoint that is resumed replaces them."""
        if stage != "fit":
            return
        for name, network in (("first", self.tracker.first), ("second", self.tracker.second)):
            if self.hparams[name] is None:
                continue
            module = load_stage(SageDiffusionModule, self.hparams[name], f"sage_{name}")
            copy_weights(module.network, network, self.hparams[name])

    @property
    def joint(self) -> bool:
        """Whether the diffusions learn too by now."""
        return self.trainer.global_step >= self._switch

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where a resumed run goes on: the trainer's own count is restored after `on_fit_start`."""
        self._resumed_at = checkpoint["global_step"]

    def on_fit_start(self) -> None:
        """Find the step of the switch; cache the latents if there is anything left to do before it."""
        self._switch = self.hparams["epochs_alone"] * steps_per_epoch(self.trainer)
        if self._resumed_at < self._switch:
            super().on_fit_start()

    def on_train_epoch_start(self) -> None:
        """Once all learn, the latents of the cache are stale, and windows need not be those that it has."""
        if self.joint:
            self.drop_cached_outputs()

    def frozen_networks(self) -> list[nn.Module]:
        """Both diffusions."""
        return [self.tracker.first, self.tracker.second]

    def frozen_metadata(self) -> dict[str, Any]:
        """Settings of the samplers."""
        return {"steps": self.hparams["steps"], "seed": self.hparams["seed"]}

    def frozen_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`upper` and `lower`, the sampled latents."""
        upper, lower = self.tracker.latents(batch["sparse"], batch["frames"])
        return {"upper": upper, "lower": lower}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of the last frames of the windows, logged under train/."""
        sparse = batch["sparse"]
        if self.joint:
            upper, lower = self.tracker.latents(sparse, batch["starts"] + sparse.shape[1] - 1)
        else:
            upper, lower = self.with_frozen(batch, "upper", "lower")
        prediction = self.tracker.decoder(upper, lower, sparse, last_only=True)[:, 0]
        losses = self.loss(prediction, batch["rotation_local_6d"][:, -1], sparse[:, -1])
        self.log_losses(vars(losses), len(sparse))
        total: Tensor = losses.total
        if not self.joint and world_size() > 1:
            # Every parameter needs a gradient in distributed training; the learning rate of these is still zero.
            total = (
                total
                + 0 * torch.stack([p.sum() for n in self.frozen_networks() for p in n.parameters()]).sum()
            )
        return total

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """At the switch: the optimiser forgets, as the original makes a new one."""
        if self.trainer.global_step == self._switch:
            for optimizer in self.trainer.optimizers:
                optimizer.state.clear()

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """Every frame as the last one of its window."""
        return self.tracker.coarse(sparse, batch_size=self.hparams["eval_batch_size"])

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load the authors' released weights (see `official.find_files`)."""
        from contrapposto.systems.sage.official import find_files, import_decoder

        networks = {name: getattr(self.tracker, name) for name in ("first", "second", "decoder")}
        return import_decoder(find_files(path).need("decoder")[0], networks)

    def configure_optimizers(self) -> Any:
        """One rate for the decoder and one for the diffusions, which is zero before the switch."""
        options = self.hparams
        switch = options["epochs_alone"] * steps_per_epoch(self.trainer)
        diffusions = [p for network in self.frozen_networks() for p in network.parameters()]
        optimizer = self.make_optimizer(
            [{"params": list(self.tracker.decoder.parameters())}, {"params": diffusions}]
        )
        ratio = options["joint_learning_rate"] / optimizer.param_groups[0]["lr"]
        rates = [lambda step: 1.0 if step < switch else ratio, lambda step: 0.0 if step < switch else ratio]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rates)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def copy_weights(source: nn.Module, target: nn.Module, checkpoint: str) -> None:
    """Copy the weights of an earlier stage.

    Raises:
        ConfigError: the networks differ in size.
    """
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise ConfigError(
            f"The network in {checkpoint} has other sizes than this stage's configuration.",
            found=str(error).splitlines()[1].strip(),
            fix="train both with the same experiment=, or give the same sage.* options",
        ) from error
