"""Training of the two latent diffusions: the upper body from the devices, then the lower body given the upper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.nn.random import keyed_integers, keyed_normal
from contrapposto.systems.sage.condition import NUM_SLOTS
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.features import part_columns
from contrapposto.systems.sage.joints import PART_JOINTS, Part
from contrapposto.systems.sage.tracker import start_noise, windows_of
from contrapposto.weights import ImportReport
from lightning_modules.base import load_stage
from lightning_modules.sage.common import SageBodyModule, frozen_vqvae


class SageDiffusionModule(SageBodyModule):
    """Trains `MotionDiffusion` on the quantised latents of the frozen auto-encoders (docs/specs/sage.md, sections 2.3 and 3).

    The first stage (`use_upper=False`) learns the upper latent; it is evaluated on the upper body, the lower held
    straight in prediction and truth. The second learns the lower latent given the upper one that the frozen first
    stage samples; it is evaluated on the whole body, the root taken from the upper part.

    Args:
        use_upper: False for the first stage, True for the second.
        window: frames.
        latent: size of a token of the auto-encoders.
        network: `width`, `heads`, `layers` of `MotionDiffusion`.
        upper_vqvae, lower_vqvae, first: checkpoints of the earlier stages; the second stage needs all three.
        mask_slots: slots of the condition that are drawn (with replacement) to be hidden in training.
        steps: of the sampler.
        seed: of noise, time steps and masks, keyed by (seed, step, sample).
        eval_batch_size: windows per forward pass in evaluation.
        body, skip_seconds: see `SageBodyModule`.
    """

    def __init__(
        self,
        use_upper: bool,
        window: int = 20,
        latent: int = 384,
        network: Mapping[str, Any] | None = None,
        upper_vqvae: str | None = None,
        lower_vqvae: str | None = None,
        first: str | None = None,
        mask_slots: int = 2,
        steps: int = 5,
        seed: int = 10,
        eval_batch_size: int = 256,
        body: str | None = None,
        skip_seconds: float = 0.0,
    ) -> None:
        super().__init__(body, skip_seconds)
        self.save_hyperparameters()
        self.network = MotionDiffusion(use_upper, window, latent, **(network or {}))

    def setup(self, stage: str) -> None:
        """Load the earlier stages, unless they came with the authors' weights."""
        options = self.hparams
        if self.frozen:
            return
        self.frozen["upper"] = frozen_vqvae(options["upper_vqvae"], "upper", options["latent"])
        if options["use_upper"]:
            self.frozen["lower"] = frozen_vqvae(options["lower_vqvae"], "lower", options["latent"])
            self.frozen["first"] = load_stage(SageDiffusionModule, options["first"], "sage_first").network

    def forward(self, noisy: Tensor, steps: Tensor, sparse: Tensor, upper: Tensor | None = None) -> Tensor:
        """Guess of the clean latent; see `MotionDiffusion`."""
        clean: Tensor = self.network(noisy, steps, sparse, upper)
        return clean

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Smooth-L1 between predicted and true latent at a random time step, logged under train/."""
        options, ids, step = self.hparams, batch["sample_ids"], batch["step"]
        names = ("latent", "upper") if options["use_upper"] else ("latent",)
        latent, *rest = self.with_frozen(batch, *names)
        times = keyed_integers(options["seed"], step, ids, (), self.network.schedule.num_steps, "time step")
        noise = keyed_normal(options["seed"], step, ids, self.network.latent_shape, "noise")
        slots = keyed_integers(options["seed"], step, ids, (options["mask_slots"],), NUM_SLOTS, "slots")
        noisy = self.network.schedule.add_noise(latent, noise, times)
        clean = self.network(noisy, times, batch["sparse"], *rest or (None,), hidden_slots=slots)
        loss = F.smooth_l1_loss(clean, latent)
        self.log_losses({"total": loss}, len(latent))
        return loss

    def frozen_networks(self) -> list[nn.Module]:
        """The auto-encoder of the part, and the first diffusion for the second stage."""
        if self.hparams["use_upper"]:
            return [self.frozen["lower"], self.frozen["first"]]
        return [self.frozen["upper"]]

    def frozen_metadata(self) -> dict[str, Any]:
        """Settings of the sampler of the first stage."""
        return {"steps": self.hparams["steps"], "seed": self.hparams["seed"]}

    def frozen_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`latent`, the quantised latent to learn, and for the second stage `upper`, sampled by the first."""
        part: Part = "lower" if self.hparams["use_upper"] else "upper"
        motion = batch["rotation_local_6d"][..., part_columns(PART_JOINTS[part])]
        vqvae: Any = self.frozen[part]
        outputs = {"latent": vqvae.encode_quantized(motion, batch["sparse"])}
        if self.hparams["use_upper"]:
            outputs["upper"] = self._sample(self.frozen["first"], "upper", batch["sparse"], batch["frames"])
        return outputs

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """Every frame as the last one of its window, sampled and decoded by the auto-encoders."""
        result, size = [], self.hparams["eval_batch_size"]
        for start in range(0, len(sparse), size):
            frames = torch.arange(start, min(start + size, len(sparse)), device=sparse.device)
            result.append(self._predict(windows_of(sparse, frames, self.hparams["window"]), frames))
        return torch.cat(result)

    def _predict(self, windows: Tensor, frames: Tensor) -> Tensor:
        """(B, T, 3, 18) to (B, 132)."""
        sixd = straight(len(windows), windows)
        if self.hparams["use_upper"]:
            upper = self._sample(self.frozen["first"], "upper", windows, frames)
            lower = self._sample(self.network, "lower", windows, frames, upper)
            sixd[:, part_columns(PART_JOINTS["lower"])] = self._decode("lower", lower)
        else:
            upper = self._sample(self.network, "upper", windows, frames)
        # After the lower part: the root is the upper part's.
        sixd[:, part_columns(PART_JOINTS["upper"])] = self._decode("upper", upper)
        return sixd

    def _sample(
        self, network: Any, part: str, windows: Tensor, frames: Tensor, upper: Tensor | None = None
    ) -> Tensor:
        noise = start_noise(self.hparams["seed"], frames, network.latent_shape, part)
        latent: Tensor = network.sample(windows, noise, upper, steps=self.hparams["steps"])
        return latent

    def _decode(self, part: str, latent: Tensor) -> Tensor:
        network: Any = self.frozen[part]
        return network.decode(latent, last_only=True)[:, 0].float()

    def target_sixd(self, sixd: Tensor) -> Tensor:
        """The first stage holds the lower body straight in the truth too."""
        if self.hparams["use_upper"]:
            return sixd
        target = straight(len(sixd), sixd)
        columns = part_columns(PART_JOINTS["upper"])
        target[:, columns] = sixd[:, columns]
        return target

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load the authors' released weights (see `official.find_files`), the auto-encoders of the stage too."""
        from contrapposto.systems.sage.official import find_files, import_decoder, load_vqvae

        files, second = find_files(path), self.hparams["use_upper"]
        parts: list[Part] = ["upper", "lower"] if second else ["upper"]
        decoder, *autoencoders = files.need("decoder", *(f"{part}_vqvae" for part in parts))
        networks: dict[str, nn.Module] = {"second" if second else "first": self.network}
        if second:
            sizes = self.hparams["window"], self.hparams["latent"]
            networks["first"] = MotionDiffusion(False, *sizes, **(self.hparams["network"] or {})).eval()
        reports = import_decoder(decoder, networks)
        for part, file in zip(parts, autoencoders):
            self.frozen[part], reports[f"{part}_vqvae"] = load_vqvae(file, part)
        if second:
            self.frozen["first"] = networks["first"]
        return reports


def straight(count: int, like: Tensor) -> Tensor:
    """(count, 132) the 6D of no rotation."""
    return like.new_tensor([1, 0, 0, 0, 1, 0]).repeat(22).repeat(count, 1)
