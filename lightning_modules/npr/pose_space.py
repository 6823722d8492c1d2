"""NPR: training of the diffusion of the residual network's codes (contrapposto/systems/npr/pose_space.py)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.pose_space import PoseSpace, ResidualGenerator, SpaceDiffusion
from contrapposto.systems.npr.pretrained import network_of
from contrapposto.systems.npr.residual import ResidualCode, ResidualNPR
from contrapposto.systems.npr.schedule import NoiseSchedule
from lightning_modules.npr.diffusion import DiffusionModule
from lightning_modules.npr.drawing import pose_rows


class NPRResidualDiffusionModule(DiffusionModule):
    """Trains `SpaceDiffusion` on the codes of a frozen residual network, for one identity.

    Args:
        autoencoder: a model of `npr_residual` by name or path; None where its weights come with this module's own.
        autoencoder_network: how that one was built; set by itself.
        network: options of `SpaceDiffusion`, without the schedule.
        schedule: options of `NoiseSchedule`.
        normalize: that of the auto-encoder.
        seed: of the noise.
        media_poses, media_steps: poses drawn at validations, and the DDIM steps that make them.
    """

    diffusion: SpaceDiffusion
    network: ResidualNPR

    def __init__(
        self,
        autoencoder: str | None = "npr_residual",
        autoencoder_network: Mapping[str, Any] | None = None,
        network: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        normalize: str = "unit_cube",
        seed: int = 10,
        media_poses: int = 8,
        media_steps: int = 50,
    ) -> None:
        super().__init__(normalize)
        self.save_hyperparameters()
        if autoencoder is not None and autoencoder_network is None:
            self._take(autoencoder)
        else:
            self.network = ResidualNPR(**(autoencoder_network or {}))
        self.network.eval().requires_grad_(False)
        self.diffusion = SpaceDiffusion(schedule=NoiseSchedule(**(schedule or {})), **(network or {}))
        self.space = PoseSpace.of_network(self.network, self.diffusion.channels)
        self.seed, self.media_poses, self.media_steps = seed, media_poses, media_steps

    def _take(self, name: str) -> None:
        trained = load_pretrained(name, ("npr_residual",))
        described = network_of(trained, device="cpu")
        assert isinstance(described.network, ResidualNPR)
        self.network, self.templates, self.normalize = (
            described.network,
            dict(described.templates),
            described.normalize,
        )
        self.hparams["autoencoder"] = None
        self.hparams["autoencoder_network"] = dict(trained.options.get("network") or {})
        self.hparams["normalize"] = described.normalize

    def on_fit_start(self) -> None:
        """Encode all training poses; the space and the scaling follow from them.

        Raises:
            InputError: the poses are too few, or of several identities.
        """
        super().on_fit_start()
        assert isinstance(self.latents, ResidualCode)
        try:
            share = self.space.fit(self.latents)
        except ValueError as error:
            raise InputError(
                "No space of poses can be fitted.",
                found=str(error),
                fix="data.identities=[average], more poses, or fewer module.network.components",
            ) from error
        print(f"{self.diffusion.channels} components hold {100 * share:.1f} % of the codes' variance")
        # One scale for all: the first components, which decide the pose, then stand out of the noise first.
        self.diffusion.fit_scaling(self.space.encode(self.latents)[:, None], per_channel=False)

    def data(self, code: PoseCode) -> tuple[Tensor, Tensor | None]:
        """The point of the space, without a condition."""
        assert isinstance(code, ResidualCode)
        return self.space.encode(code)[:, None], None

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """New poses on the template, for the media callback."""
        template = batch["source"]
        generator = ResidualGenerator(self.network, self.space, self.diffusion)
        code = generator.generate(self.media_poses, self.seed, steps=self.media_steps)
        vertices = template.solve(self.network.decode(template.solver, code))
        return {"generated": pose_rows(template, vertices)}
