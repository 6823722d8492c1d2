"""What SAGE's whole-body stages share: evaluation of whole clips, frozen earlier stages, logging."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.finishing import Finisher, Finishing
from contrapposto.systems.sage.joints import HEAD, NUM_JOINTS
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.vqvae import SageVQVAE
from lightning_modules.base import StageModule, load_stage, weights_hash
from lightning_modules.sage.vqvae import SageVQVAEModule

FPS = 60.0


class SageBodyModule(StageModule):
    """A model that gives the 6D rotations of the whole body from the three devices; evaluated on whole clips.

    A subclass saves its hyper-parameters, and implements `predict_sixd` and
    `training_step`. Validation and test steps return named outputs of one clip of N frames: `pred_rotations`,
    `true_rotations` (1, N, 22, 3, 3) local; `pred_joints`, `true_joints` (1, N, 22, 3) metres, the prediction placed
    such that its head stands where it was observed (docs/specs/sage.md, section 5); `fps`; `clips`; `num_frames`.

    Args:
        body: file of the body whose zero shape gives joint positions; the default skeleton where None.
        skip_seconds: left out of the evaluation at the start of every clip (RPM and its line of work skip one).
        reach: evaluate poses whose head and hands were put where the devices are; short for a `finishing` that does
            only that.
        finishing: see `Finishing`; None for nothing but `reach`.
    """

    def __init__(
        self,
        body: str | None = None,
        skip_seconds: float = 0.0,
        reach: bool = False,
        finishing: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.rest_positions = rest_positions(body)
        self.kinematics = BodyKinematics(self.rest_positions)
        self.skip_frames = round(skip_seconds * FPS)
        self.finishing = Finishing.of({"reach": reach, "finishing": finishing})
        # A plain dictionary: frozen networks of earlier stages are no part of the state dict.
        self.frozen: dict[str, nn.Module] = {}

    def on_fit_start(self) -> None:
        """Frozen networks follow to the device; their outputs are cached where the data module does that."""
        self._move_frozen()
        if self.frozen_networks():
            metadata = {"weights": weights_hash(*self.frozen_networks()), **self.frozen_metadata()}
            self.cache_outputs(type(self).__name__, metadata, self._cached_outputs)

    def on_validation_start(self) -> None:
        """Frozen networks follow to the device."""
        self._move_frozen()

    def on_test_start(self) -> None:
        """Frozen networks follow to the device."""
        self._move_frozen()

    def _move_frozen(self) -> None:
        for network in self.frozen.values():
            network.to(self.device)

    def frozen_networks(self) -> list[nn.Module]:
        """Networks whose outputs in training can be computed once; none where the stage has no such thing."""
        return []

    def frozen_metadata(self) -> dict[str, Any]:
        """Whatever else decides these outputs, as plain values."""
        return {}

    def frozen_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named outputs (B, ...) of the frozen networks for a batch of windows: a function of each window alone.

        The batch has the arrays of the data module and `frames` (B,), the number of each window's last frame.
        """
        raise NotImplementedError

    @torch.no_grad()
    def _cached_outputs(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = {name: value.to(self.device) for name, value in batch.items()}
        # Latents in half precision: half the disk. Rotations are differentiated over time and stay as they are.
        outputs = self.frozen_outputs(batch)
        return {
            name: value.cpu().half() if value.ndim > 2 else value.cpu() for name, value in outputs.items()
        }

    def with_frozen(self, batch: dict[str, Tensor], *names: str) -> list[Tensor]:
        """The named outputs of the frozen networks for a training batch, from the cache where there is one."""
        if any(name not in batch for name in names):
            frames = batch["starts"] + batch["sparse"].shape[1] - 1
            with torch.no_grad():
                batch = {**batch, **self.frozen_outputs({**batch, "frames": frames})}
        return [batch[name].float() for name in names]

    def predict_sixd(self, sparse: Tensor) -> Tensor:
        """6D rotations (N, 132) of a clip with device features (N, 3, 18)."""
        raise NotImplementedError

    def target_sixd(self, sixd: Tensor) -> Tensor:
        """What the prediction is compared with, (N, 132); a stage of half the body changes it."""
        return sixd

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        pred, true = self.predict_sixd(batch["sparse"]).float(), self.target_sixd(batch["rotation_local_6d"])
        skip = self.skip_frames if len(true) > self.skip_frames else 0
        local, joints = self._finished(pred, batch["sparse"])
        local, joints, true = local[skip:], joints[skip:], true[skip:]
        return {
            "pred_rotations": local[None],
            "true_rotations": rot.sixd_columns_to_matrix(true.view(1, -1, NUM_JOINTS, 6)),
            "pred_joints": joints[None],
            "true_joints": (self.kinematics(true) + batch["root_translation"][skip:, None])[None],
            "fps": FPS,
            "clips": [batch["name"]],
            "num_frames": [len(true)],
        }

    def output_settings(self) -> dict[str, Any]:
        """Finishing of the poses."""
        return {"finishing": str(self.finishing)}

    def _finished(self, sixd: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Local rotations (N, 22, 3, 3) and joints (N, 22, 3) of a clip's predictions, finished as configured."""
        if self.finishing.does_nothing:
            joints = self.kinematics(sixd)
            joints = joints + (sparse[:, 0, 12:15] - joints[:, HEAD])[:, None]
            return rot.sixd_columns_to_matrix(sixd.unflatten(-1, (NUM_JOINTS, 6))), joints
        finisher = Finisher(self.finishing, self.kinematics.offsets.double().cpu().numpy())
        posed = finisher(sixd.cpu().numpy(), sparse.cpu().numpy())
        return torch.from_numpy(posed.local).to(sixd), torch.from_numpy(posed.positions).to(sixd)

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """The clip beside its prediction, for the media callback."""
        rest = self.kinematics.offsets[0].cpu().numpy()
        clips = {}
        for title, name in (("truth", "true"), ("prediction", "pred")):
            vectors = rot.matrix_to_axis_angle(outputs[f"{name}_rotations"][0].float().cpu()).numpy()
            translation = outputs[f"{name}_joints"][0, :, 0].float().cpu().numpy() - rest
            clips[title] = Motion(np.ascontiguousarray(vectors), translation, FPS, SMPL22)
        return {Path(str(batch["name"])).stem: clips}


def frozen_vqvae(checkpoint: str | None, part: str, latent: int) -> SageVQVAE:
    """An auto-encoder of an earlier stage, in evaluation mode, without gradients.

    Raises:
        MissingError: no such checkpoint.
        ConfigError: it is of the other part, or its latent has another size.
    """
    module = load_stage(SageVQVAEModule, checkpoint, f"sage_{part}_vqvae")
    network: SageVQVAE = module.network
    if network.part != part or network.quant_emb.out_features != latent:
        raise ConfigError(
            f"{checkpoint} does not fit.",
            found=f"the {network.part} part with a latent of {network.quant_emb.out_features}",
            expected=f"the {part} part with a latent of {latent}",
        )
    return network
