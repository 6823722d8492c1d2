"""NPR: training of the two diffusions that make new poses (docs/specs/npr.md, section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto.nn.random import keyed_integers, keyed_normal
from contrapposto.systems.npr.diffusion import FeatureDiffusion, KeypointDiffusion, PointDiffusion
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.generation import PoseGenerator
from contrapposto.systems.npr.schedule import NoiseSchedule
from lightning_modules.base import load_stage
from lightning_modules.npr.drawing import pose_rows
from lightning_modules.npr.frozen import LatentModule

_LEVELS = 8


class DiffusionModule(LatentModule):
    """Noise prediction on keypoints, or on features given the keypoints.

    Validation and test steps return `loss` (B,): the mean over eight noise levels, the same noise at every validation;
    `clips`; `num_frames`.
    """

    diffusion: PointDiffusion
    seed: int

    def data(self, code: PoseCode) -> tuple[Tensor, Tensor | None]:
        """What the diffusion models of poses, and its condition."""
        raise NotImplementedError

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of a batch of poses, logged under train/."""
        clean, condition = self.data(self.latents[batch["rows"]])
        step, ids = batch["step"], batch["sample_ids"]
        steps = 1 + keyed_integers(self.seed, step, ids, (), self.diffusion.schedule.num_steps, "npr steps")
        noise = keyed_normal(self.seed, step, ids, tuple(clean.shape[1:]), "npr noise")
        loss = self.diffusion.loss(clean, noise, steps, condition)
        self.log_losses({"total": loss}, len(clean))
        return {"loss": loss}

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        code = self.encode(batch["source"], batch["vertices"])
        clean, condition = self.data(code)
        losses = []
        for row in range(len(clean)):
            ids = torch.arange(_LEVELS, device=clean.device)
            steps = 1 + (ids * self.diffusion.schedule.num_steps + _LEVELS // 2) // _LEVELS
            noise = keyed_normal(self.seed, row, ids, tuple(clean.shape[1:]), "npr evaluation")
            known = None if condition is None else condition[row].expand(_LEVELS, -1, -1)
            losses.append(self.diffusion.loss(clean[row].expand(_LEVELS, -1, -1), noise, steps, known))
        return {"loss": torch.stack(losses), "clips": batch["names"], "num_frames": [1] * len(losses)}


class NPRKeypointDiffusionModule(DiffusionModule):
    """Trains `KeypointDiffusion` on the keypoints of a frozen auto-encoder.

    Args:
        autoencoder, autoencoder_network: see `LatentModule.embed`.
        network: options of `KeypointDiffusion`, without the schedule.
        schedule: options of `NoiseSchedule`.
        normalize: that of the auto-encoder.
        seed: of the noise.
    """

    diffusion: KeypointDiffusion

    def __init__(
        self,
        autoencoder: str | None = None,
        autoencoder_network: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        normalize: str = "unit_cube",
        seed: int = 10,
    ) -> None:
        super().__init__(normalize)
        self.save_hyperparameters()
        self.embed(autoencoder, autoencoder_network)
        self.diffusion = KeypointDiffusion(schedule=NoiseSchedule(**(schedule or {})), **(network or {}))
        self.seed = seed

    def on_fit_start(self) -> None:
        """Encode all training poses; the scaling follows from them."""
        super().on_fit_start()
        self.diffusion.fit_scaling(self.latents.keypoints, per_channel=False)

    def data(self, code: PoseCode) -> tuple[Tensor, Tensor | None]:
        """The keypoints, without a condition."""
        return code.keypoints, None


class NPRFeatureDiffusionModule(DiffusionModule):
    """Trains `FeatureDiffusion` on the features of a frozen auto-encoder, given their keypoints.

    The keypoint diffusion of the same auto-encoder is part of this module, so that one checkpoint makes poses.

    Args:
        keypoint_diffusion: checkpoint of the keypoint diffusion, which brings the auto-encoder; None where its weights
            come with this module's own.
        autoencoder, autoencoder_network: see `LatentModule.embed`; `autoencoder` is taken from the keypoint diffusion.
        keypoint_network, schedule: how that one was built; set by itself.
        network: options of `FeatureDiffusion`, without channels and schedule.
        normalize: that of the auto-encoder.
        seed: of the noise.
        media_poses, media_steps: poses drawn at validations, and the DDIM steps that make them.
    """

    diffusion: FeatureDiffusion

    def __init__(
        self,
        keypoint_diffusion: str | None = None,
        autoencoder: str | None = None,
        autoencoder_network: Mapping[str, Any] | None = None,
        keypoint_network: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        normalize: str = "unit_cube",
        seed: int = 10,
        media_poses: int = 8,
        media_steps: int = 50,
    ) -> None:
        super().__init__(normalize)
        self.save_hyperparameters()
        if keypoint_diffusion is not None:
            self._take_first_stage(keypoint_diffusion)
        else:
            self.embed(autoencoder, autoencoder_network)
            first = NoiseSchedule(**(schedule or {}))
            self.keypoints = KeypointDiffusion(schedule=first, **(keypoint_network or {}))
        self.keypoints.eval().requires_grad_(False)
        noise = NoiseSchedule(**(self.hparams["schedule"] or {}))
        width = self.network.encoder.width
        self.diffusion = FeatureDiffusion(channels=width, schedule=noise, **(network or {}))
        self.diffusion.share_scaling(self.keypoints)
        self.seed, self.media_poses, self.media_steps = seed, media_poses, media_steps

    def _take_first_stage(self, checkpoint: str) -> None:
        stage = load_stage(NPRKeypointDiffusionModule, checkpoint, "npr_keypoint_diffusion")
        self.network, self.keypoints = stage.network, stage.diffusion
        self.templates, self.normalize = stage.templates, stage.normalize
        self.hparams["keypoint_diffusion"] = self.hparams["autoencoder"] = None
        self.hparams["keypoint_network"] = dict(stage.hparams["network"] or {})
        for name in ("autoencoder_network", "schedule", "normalize"):
            self.hparams[name] = stage.hparams[name]

    def train(self, mode: bool = True) -> NPRFeatureDiffusionModule:
        """Training mode, but for what is frozen."""
        super().train(mode)
        self.keypoints.eval()
        return self

    def on_fit_start(self) -> None:
        """Encode all training poses; the scaling follows from them."""
        super().on_fit_start()
        self.diffusion.fit_scaling(self.latents.features, per_channel=True)

    def data(self, code: PoseCode) -> tuple[Tensor, Tensor | None]:
        """The features, and their keypoints."""
        return code.features, code.keypoints

    def generate(self, count: int, seed: int, first: int = 0, steps: int | None = None) -> PoseCode:
        """New poses, see `PoseGenerator.generate`."""
        return PoseGenerator(self.network, self.keypoints, self.diffusion).generate(count, seed, first, steps)

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """New poses on the template, for the media callback."""
        template = batch["source"]
        code = self.generate(self.media_poses, self.seed, steps=self.media_steps)
        vertices = template.solve(self.network.decode(template.solver, code))
        return {"generated": pose_rows(template, vertices)}
