"""What NPR's later stages share: the frozen auto-encoder inside, and the latents of all training poses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from contrapposto.errors import ConfigError, MissingError
from contrapposto.systems.npr.extractor import PoseCode
from contrapposto.systems.npr.model import NPR
from lightning_modules.base import load_stage
from lightning_modules.npr.autoencoder import MeshModule, NPRModule

_CHUNK = 8


class LatentModule(MeshModule):
    """A stage on the pose codes of a frozen auto-encoder, which is part of this module and its checkpoints.

    A subclass saves its hyper-parameters before it calls `embed`.

    Attributes:
        network: the frozen `NPR`.
        latents: (N) pose codes of all training poses, from `on_fit_start` on.
    """

    network: NPR
    latents: PoseCode

    def embed(self, checkpoint: str | None, options: Mapping[str, Any] | None) -> None:
        """Load the auto-encoder; the hyper-parameters then say how to build it without its checkpoint.

        Args:
            checkpoint: of the auto-encoder; None where its weights come with this module's own.
            options: of its network, where there is no checkpoint.

        Raises:
            MissingError: neither is there. ConfigError: it is the variant without features.
        """
        if checkpoint is not None:
            stage = load_stage(NPRModule, checkpoint, "npr")
            self.network, self.templates, self.normalize = stage.network, stage.templates, stage.normalize
            self.hparams["autoencoder"] = None
            self.hparams["autoencoder_network"] = dict(stage.hparams["network"] or {})
            self.hparams["normalize"] = stage.normalize
        elif options is not None:
            self.network = NPR(**options)
        else:
            raise MissingError(
                "This stage needs the auto-encoder.",
                fix="python train.py model=npr, or module.autoencoder=CHECKPOINT",
            )
        if self.network.output != "jacobians":
            raise ConfigError(
                "This stage needs an auto-encoder of Jacobians.",
                found="output: vertices",
                fix="python train.py model=npr",
            )
        self.network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> LatentModule:
        """Training mode, but for the frozen auto-encoder."""
        super().train(mode)
        self.network.eval()
        return self

    def on_fit_start(self) -> None:
        """Encode all training poses once."""
        poses, normalize = self.offered("train_poses"), self.offered("normalize")
        if poses is None:
            raise ConfigError(
                "This stage encodes all training poses once, and the data module offers none.",
                expected="NPRDataModule, or `train_poses` and `normalize` among its `offers`",
            )
        if normalize != self.normalize:
            raise ConfigError(
                "The auto-encoder was trained on meshes that were scaled in another way.",
                found=f"data.normalize={normalize}",
                expected=f"data.normalize={self.normalize}",
            )
        super().on_fit_start()
        parts = [self.encode(item.template, item.vertices) for item in poses]
        self.latents = _joined(parts)

    @torch.no_grad()
    def encode(self, template: Any, vertices: Tensor) -> PoseCode:
        """Pose codes of poses (N, V, 3) of a template."""
        chunks = vertices.to(self.device).split(_CHUNK)
        return _joined([self.network.encode(template.solver, chunk) for chunk in chunks])


def _joined(parts: list[PoseCode]) -> PoseCode:
    kind = type(parts[0])
    return kind(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(kind)))
