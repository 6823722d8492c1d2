"""SAGE: training of the two vector-quantised auto-encoders (docs/specs/sage.md, sections 2.2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.motion import Motion
from contrapposto.nn.random import keyed_uniform
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.features import part_columns
from contrapposto.systems.sage.joints import Part
from contrapposto.systems.sage.losses import VQLoss, corrupt, keep_joints
from contrapposto.systems.sage.reconstruction import PartAutoencoder
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.vqvae import SageVQVAE
from contrapposto.weights import ImportReport
from lightning_modules.base import StageModule
from lightning_modules.quantizing import start_quantizing


class SageVQVAEModule(StageModule):
    """Trains `SageVQVAE` on windows; evaluates it on whole clips, frame by frame.

    Validation and test steps return named outputs of one clip of N frames (J joints of the part):
    `pred_rotations`, `true_rotations` (1, N, 22, 3, 3) local, equal outside the part; `pred_joints`, `true_joints`
    (1, N, 22, 3) metres, both on the true root position; `indices` (1, N, tokens, codebooks); `fps`; `clips`;
    `num_frames`.

    Args:
        part: `upper` or `lower`.
        network: options of `SageVQVAE`.
        loss: options of `VQLoss`.
        mask_ratio: share of joints hidden from the encoder in training.
        quantize_after: steps without quantisation at the start; the codebooks are then
            initialised from the latents of one batch.
        seed: of the masks, which are keyed by (seed, step, sample).
        window: frames per window.
        eval_batch_size: windows per forward pass in evaluation.
        body: see `SageBodyModule`.
    """

    def __init__(
        self,
        part: Part,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        mask_ratio: float = 0.5,
        quantize_after: int = 0,
        seed: int = 10,
        window: int = 20,
        eval_batch_size: int = 512,
        body: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = SageVQVAE(part, **(network or {}))
        positions = rest_positions(body)
        self.loss = VQLoss(part, positions, **(loss or {}))
        self.kinematics = BodyKinematics(positions)
        self.columns = part_columns(self.network.joints)

    def forward(self, motion: Tensor, sparse: Tensor) -> Tensor:
        """Reconstruction (B, T, 6 J) of the part's 6D (B, T, 6 J) with device features (B, T, 3, 18)."""
        reconstruction: Tensor = self.network(motion, sparse).reconstruction
        return reconstruction

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Losses of a batch of windows, logged under train/."""
        motion = batch["rotation_local_6d"][..., self.columns]
        count = len(self.network.joints)
        draws = keyed_uniform(
            self.hparams["seed"], batch["step"], batch["sample_ids"], (count,), "joint mask"
        )
        hidden = corrupt(motion, keep_joints(draws, self.hparams["mask_ratio"]))
        start_quantizing(
            self.network.quantizer,
            batch["step"],
            self.hparams["quantize_after"],
            self.hparams["seed"],
            lambda: self.network.encode(hidden, batch["sparse"]),
        )
        output = self.network(hidden, batch["sparse"], last_only=True)
        losses = self.loss(
            output.reconstruction[:, -1], motion[:, -1], output.quantizer_loss, batch["sparse"][:, -1]
        )
        self.log_losses(vars(losses), len(motion))
        return {"loss": losses.total, "indices": output.indices}

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        sixd, indices = self.autoencoder.sixd(batch["rotation_local_6d"], batch["sparse"])
        true = batch["rotation_local_6d"]
        outputs: dict[str, Any] = {}
        for name, values in (("pred", sixd), ("true", true)):
            local = rot.sixd_columns_to_matrix(values.view(-1, 22, 6))
            joints = self.kinematics(values) + batch["root_translation"][:, None]
            outputs[f"{name}_rotations"], outputs[f"{name}_joints"] = local[None], joints[None]
        outputs.update(indices=indices[None], fps=60.0, clips=[batch["name"]], num_frames=[len(true)])
        return outputs

    @property
    def autoencoder(self) -> PartAutoencoder:
        """The network applied to whole clips."""
        return PartAutoencoder(self.network, self.hparams["window"], self.hparams["eval_batch_size"])

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """The clip beside its reconstruction, for the media callback."""
        rotations = rot.matrix_to_axis_angle(outputs["pred_rotations"][0].float().cpu()).numpy()
        truth = rot.matrix_to_axis_angle(outputs["true_rotations"][0].float().cpu()).numpy()
        translation = batch["root_translation"].float().cpu().numpy()
        clips = {
            title: Motion(np.ascontiguousarray(values), translation, 60.0, SMPL22)
            for title, values in (("truth", truth), ("reconstruction", rotations))
        }
        return {Path(str(batch["name"])).stem: clips}

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load the authors' released weights (see `official.find_files`), of 4 or 6 blocks."""
        from contrapposto.systems.sage.official import find_files, load_vqvae

        name = f"{self.network.part}_vqvae"
        (file,) = find_files(path).need(name)
        self.network, report = load_vqvae(file, self.network.part, self.hparams["network"])
        return {name: report}
