"""Training of a splat avatar, and of the poses that it is seen in (docs/anerf.md, "The splat avatar")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from contrapposto.metrics.image import box_region
from contrapposto.systems.anerf.pose_metrics import pose_errors
from contrapposto.systems.anerf.poses import mean_joint_change
from contrapposto.systems.anerf.splats.fit import Subject, TrainingOptions, subject_of_state
from contrapposto.systems.anerf.splats.losses import LossWeights
from contrapposto.systems.anerf.splats.model import SplatOptions
from contrapposto.systems.anerf.splats.renderer import SplatRenderer
from contrapposto.systems.anerf.splats.training import Refinement, SplatRates
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
        self.gaussians = SplatOptions(**(gaussians or {}))
        refinement = None if poses is None else Refinement(**poses)
        self.options = TrainingOptions(
            SplatRates(**(rates or {})), LossWeights(**(loss or {})), refinement, threads
        )
        self.subject: Subject | None = None

    def configure_model(self) -> None:
        """The avatar of the scene's figure, and its poses where they are refined, once."""
        scene = self.offered("scene")
        if scene is not None and self.subject is None:
            refined = self.options.refinement is not None
            self.subject = Subject.of_scene(scene, self.gaussians, refined=refined)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load; the avatar and the poses are made as the checkpoint has them."""
        if self.subject is None:
            self.subject = subject_of_state(state_dict)
        return super().load_state_dict(state_dict, *args, **kwargs)

    # Training

    def _share(self, step: int) -> float:
        """Of the training that is done."""
        steps = int(self.hparams["steps"] or self.trainer.estimated_stepping_batches)
        return min(step / max(steps, 1), 1.0)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of one image, logged under train/."""
        assert self.subject is not None
        terms, shown = self.subject.terms(batch, self._share(self.global_step), self.options)
        loss = torch.stack(list(terms.values())).sum()
        if (self.global_step + 1) % self._log_every() == 0:
            values = {"loss": loss, **terms, "psnr": shown.psnr}
            if shown.posed is not None:
                values["mpjpc"] = mean_joint_change(shown.posed.joints, batch["joints"][None])
            logged = {f"train/{name}": value.detach() for name, value in values.items()}
            self.log_dict(logged, batch_size=1, sync_dist=True)
        return {"loss": loss}

    def _log_every(self) -> int:
        return int(getattr(self.trainer, "log_every_n_steps", 50))

    def configure_optimizers(self) -> Any:
        """Adam with a rate per kind of parameter; each pose has moments of its own."""
        assert self.subject is not None
        optimizer, factors = self.subject.optimizer(self.options)
        by_step = [self._by_step(factor) for factor in factors]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, by_step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _by_step(self, factor: Callable[[float], float]) -> Callable[[int], float]:
        return lambda step: factor(self._share(step))

    # Evaluation

    def output_settings(self) -> dict[str, Any]:
        """Whose poses are drawn."""
        return {"poses": "as given" if self.options.refinement is None else "refined in training"}

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        assert self.subject is not None
        bones, joints = self.pose_of(batch["pose"], batch["world_to_bone"])
        mask = batch["mask"]
        height, width = mask.shape
        view = View(batch["camera_to_world"], batch["focal"], height, width, batch["centre"])
        image = SplatRenderer(self.subject.avatar, threads=self.hparams["threads"])(bones, view)
        return {
            "predicted": image.over(batch["background"])[None],
            "true": batch["image"][None],
            "opacity": image.opacity[None],
            "box": box_region(image.low[None], image.high[None], height, width),
            "mask": mask[None],
            "group": batch["group"],
            "clips": [batch["name"]],
            "num_frames": [1],
            **pose_errors(joints, batch["joints"], batch["true_joints"], batch["mm"]),
        }

    def pose_of(self, pose: int, world_to_bone: Tensor) -> tuple[Tensor, Tensor | None]:
        """(24, 4, 4) of a pose of the data, refined where it was, and its joints (24, 3) then."""
        if self.subject is None or self.subject.poses is None:
            return world_to_bone, None
        result = self.subject.poses.posed(torch.tensor([pose], device=world_to_bone.device))
        return result.world_to_bone[0].detach(), result.joints[0].detach()

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Truth beside rendering."""
        pair = torch.cat([outputs["true"][0], outputs["predicted"][0]], dim=1)
        image = (pair * 255).round().byte().cpu().numpy()
        factor = max(256 // image.shape[0], 1)
        return {f"{batch['group']}_{batch['name']}": image.repeat(factor, 0).repeat(factor, 1)}
