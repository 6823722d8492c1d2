"""Training of a splat avatar, and of the poses that it is seen in (docs/anerf.md, "The splat avatar")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto.metrics.image import box_region
from contrapposto.systems.anerf.pose_metrics import pose_errors
from contrapposto.systems.anerf.poses import PosedFigures, PoseLayer, mean_joint_change
from contrapposto.systems.anerf.splats.losses import LossWeights, image_terms, target_of
from contrapposto.systems.anerf.splats.model import SplatAvatar, SplatOptions
from contrapposto.systems.anerf.splats.renderer import SplatRenderer
from contrapposto.systems.anerf.splats.training import Refinement, RowAdam, SplatRates
from contrapposto.systems.anerf.view import View
from lightning_modules.base import StageModule


class SplatModule(StageModule):
    """Trains `SplatAvatar` on whole images of a scene, one per step.

    Validation and test return the same outputs as `ANeRFModule`.

    Args:
        gaussians: options of `SplatOptions`.
        rates: options of `SplatRates`.
        loss: options of `LossWeights`.
        poses: options of `Refinement`; None: the poses stay as they are.
        steps: length of the schedule; None: of the training.
        threads: on the CPU, for one image.
    """

    anchors: Tensor

    def __init__(
        self,
        gaussians: Mapping[str, Any] | None = None,
        rates: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        poses: Mapping[str, Any] | None = None,
        steps: int | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.options, self.rates = SplatOptions(**(gaussians or {})), SplatRates(**(rates or {}))
        self.loss_weights = LossWeights(**(loss or {}))
        self.refinement = None if poses is None else Refinement(**poses)
        self.avatar: SplatAvatar | None = None
        self.poses: PoseLayer | None = None

    def configure_model(self) -> None:
        """The avatar of the scene's figure, and its poses where they are refined, once."""
        datamodule = getattr(self._trainer, "datamodule", None)
        if datamodule is None or self.avatar is not None:
            return
        scene = datamodule.scene
        self.avatar = SplatAvatar.on_body(np.array(scene.rest_pose), self.options)
        if self.refinement is not None:
            rest, bones, roots = (
                torch.from_numpy(np.array(x)) for x in (scene.rest_pose, scene.bones, scene.kp3d[:, 0])
            )
            self._take_poses(PoseLayer(rest, bones, roots - rest[0], kind="axis_angle"))

    def _take_poses(self, layer: PoseLayer, anchors: Tensor | None = None) -> None:
        self.poses = layer
        self.register_buffer("anchors", layer.axis_angles().clone() if anchors is None else anchors)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load; the avatar and the poses are made as the checkpoint has them."""
        if self.avatar is None:
            self.avatar = SplatAvatar.of_state(_part(state_dict, "avatar."))
        if self.poses is None and "poses.pelvis" in state_dict:
            parts = _part(state_dict, "poses.")
            layer = PoseLayer(parts["rest_pose"], parts["bones"], parts["pelvis"], kind="axis_angle")
            self._take_poses(layer, state_dict["anchors"])
        return super().load_state_dict(state_dict, *args, **kwargs)

    # Training

    @property
    def share(self) -> float:
        """Of the training that is done."""
        return self._share(self.global_step)

    def _share(self, step: int) -> float:
        return min(step / max(self._steps(), 1), 1.0)

    def _steps(self) -> int:
        return int(self.hparams["steps"] or self.trainer.estimated_stepping_batches)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Loss of one image, logged under train/."""
        assert self.avatar is not None
        pose = int(batch["pose"])
        target = target_of(batch)
        posed = None
        if self.poses is None or self.refinement is None:
            bones = batch["bone_to_world"]
        else:
            target = target.smaller(self.refinement.reduction(self.share))
            posed = self.poses.posed(batch["pose"][None])
            bones = posed.bone_to_world[0]
        colour, transmittance = self.avatar(bones, target.view, threads=self.hparams["threads"])
        terms = image_terms(colour, transmittance, target, self.loss_weights)
        offset = (self.avatar.offset / self.avatar.spacing).square().mean()
        terms["offset"] = self.loss_weights.offset * offset
        if posed is not None and self.refinement is not None:
            drift = (posed.parameters[0] - self.anchors[pose]).square().sum()
            terms["pose"] = self.refinement.weight * drift
        loss = torch.stack(list(terms.values())).sum()
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:
            self._log(loss, terms, target, colour, transmittance, posed, batch)
        return {"loss": loss}

    def _log(
        self,
        loss: Tensor,
        terms: dict[str, Tensor],
        target: Any,
        colour: Tensor,
        transmittance: Tensor,
        posed: PosedFigures | None,
        batch: dict[str, Tensor],
    ) -> None:
        shown = colour + transmittance[..., None] * target.background
        values = {"loss": loss, **terms, "psnr": -10 * torch.log10(F.mse_loss(shown, target.image))}
        if posed is not None:
            values["mpjpc"] = mean_joint_change(posed.joints, batch["joints"][None])
        logged = {f"train/{name}": value.detach() for name, value in values.items()}
        self.log_dict(logged, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Adam with a rate per kind of parameter; each pose has moments of its own."""
        assert self.avatar is not None
        groups = self.rates.groups(self.avatar)
        factors = [self._factor(group.pop("name")) for group in groups]
        if self.poses is not None and self.refinement is not None:
            options = self.refinement
            row = {"rows": True, "betas": (0.8, 0.95), "eps": 1e-12}
            rates = {"bones": options.learning_rate, "pelvis": options.learning_rate * options.root_rate}
            for name, rate in rates.items():
                groups.append({"params": [getattr(self.poses, name)], "lr": rate, **row})
                factors.append(lambda step: options.decay ** self._share(step))
        optimizer = RowAdam(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _factor(self, name: str) -> Any:
        refinement = self.refinement

        def factor(step: int) -> float:
            share = self._share(step)
            coarse = refinement is not None and name in ("offset", "log_scale")
            slow = coarse and refinement is not None and refinement.reduction(share) > 1
            return self.rates.factor(share) * (refinement.coarse_rate if slow and refinement else 1.0)

        return factor

    # Evaluation

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        assert self.avatar is not None
        bones, joints = self.pose_of(batch["pose"], batch["world_to_bone"])
        mask = batch["mask"]
        view = View(batch["camera_to_world"], batch["focal"], *mask.shape, batch["centre"])
        picture = SplatRenderer(self.avatar, threads=self.hparams["threads"])(bones, view)
        return {
            "predicted": picture.over(batch["background"])[None],
            "true": batch["image"][None],
            "opacity": picture.opacity[None],
            "box": box_region(picture.low[None], picture.high[None], *mask.shape),
            "mask": mask[None],
            "group": batch["group"],
            "clips": [batch["name"]],
            "num_frames": [1],
            **pose_errors(joints, batch["joints"], batch["true_joints"], batch["mm"]),
        }

    def pose_of(self, pose: int, world_to_bone: Tensor) -> tuple[Tensor, Tensor | None]:
        """(24, 4, 4) of a pose of the data, refined where it was, and its joints (24, 3) then."""
        if self.poses is None:
            return world_to_bone, None
        found = self.poses.posed(torch.tensor([pose], device=world_to_bone.device))
        return found.world_to_bone[0].detach(), found.joints[0].detach()

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Truth beside rendering."""
        pair = torch.cat([outputs["true"][0], outputs["predicted"][0]], dim=1)
        picture = (pair * 255).round().byte().cpu().numpy()
        factor = max(256 // picture.shape[0], 1)
        return {f"{batch['group']}_{batch['name']}": picture.repeat(factor, 0).repeat(factor, 1)}


def _part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
