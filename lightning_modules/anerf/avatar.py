"""A-NeRF: training of an avatar, and of the poses that it is seen in (docs/specs/anerf.md, sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.metrics.image import box_region
from contrapposto.systems.anerf.camera_layer import CameraLayer
from contrapposto.systems.anerf.draws import Draws
from contrapposto.systems.anerf.losses import (
    image_loss,
    opacity_loss,
    pose_regulariser,
    temporal_loss,
)
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig, Rendering
from contrapposto.systems.anerf.official import config_of, import_model, pose_layer_of
from contrapposto.systems.anerf.pose_metrics import pose_errors
from contrapposto.systems.anerf.poses import PosedFigures, PoseLayer, SharedPoseLayer, mean_joint_change
from contrapposto.systems.anerf.renderer import Renderer, calibrate
from contrapposto.systems.anerf.view import View
from contrapposto.weights import ImportReport, load_state_dicts
from lightning_modules.anerf.optim import CameraOptions, GatheringAdam, PoseOptions
from lightning_modules.base import StageModule
from lightning_modules.optim import with_schedule


class ANeRFModule(StageModule):
    """Trains `ANeRF` on the rays of a scene.

    Validation and test steps return, for one image: `predicted` and `true` (1, H, W, 3), the truth on its clean
    background outside of the mask; `box` and `mask` (1, H, W) regions; `group`, its split; errors of its pose against
    the truth, NaN where that is not known: `mpjpe`, `pampjpe` in mm, `pck`, `auc` (of PCK up to 150 mm) in percent, and
    `..._before` refinement (1,); `clips`; `num_frames`.

    Args:
        network: options of `ANeRFConfig`, without the number of codes.
        codes: whether every image has a frame code.
        loss: "l1", "mse" or "huber".
        coarse_weight: of the coarse pass.
        opacity_weight: of the opacity of background rays.
        noise: standard deviation of what is added to the densities in training.
        poses: `PoseOptions`; None: the poses stay as they are.
        cameras: `CameraOptions`; None: the cameras stay as they are.
        volume_learning_rate: of the features of `BoneVolumes`, where the network has them.
        harden: whether cutoffs harden in training; every `tau_steps` thousand steps tenfold.
        speed: of the images of evaluation, see `Renderer`.
        render_factor: evaluation draws images smaller by this factor and enlarges them, as published.
        seed: of the noise.
    """

    compiled = ("network",)

    anchors: Tensor
    anchor_matrices: Tensor

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        codes: bool = False,
        loss: str = "l1",
        coarse_weight: float = 1.0,
        opacity_weight: float = 0.0,
        noise: float = 1.0,
        poses: Mapping[str, Any] | None = None,
        cameras: Mapping[str, Any] | None = None,
        volume_learning_rate: float = 1e-2,
        harden: bool = True,
        tau_steps: float = 250,
        speed: str = "exact",
        render_factor: int = 1,
        seed: int = 10,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        if loss not in ("l1", "mse", "huber"):
            raise ConfigError(f"There is no loss {loss!r}.", expected="l1, mse, huber")
        self.options = dict(network or {})
        self.network = self._build(1 if codes else 0)
        self.pose_options = None if poses is None else PoseOptions(**poses)
        self.poses: PoseLayer | None = None
        self.camera_options = None if cameras is None else CameraOptions(**cameras)
        self.cameras: CameraLayer | None = None
        self._renderer: Renderer | None = None
        self._gathered: dict[int, Tensor] | None = None
        self._step = 0

    def _build(self, num_codes: int) -> ANeRF:
        return ANeRF(ANeRFConfig(**self.options, num_codes=num_codes))

    def configure_model(self) -> None:
        """Frame codes and poses as the data have them, once."""
        scene = self.offered("scene")
        if scene is None:
            return
        if self.hparams["codes"]:
            self._fit_codes(self.offered("num_codes"))
        if self.camera_options is not None and self.cameras is None:
            inputs = (torch.from_numpy(np.array(x)) for x in (scene.c2ws, scene.focals))
            self.cameras = CameraLayer(*inputs)
        if self.pose_options is None or self.poses is not None:
            return
        rest, bones, roots = (
            torch.from_numpy(np.array(x)) for x in (scene.rest_pose, scene.bones, scene.kp3d[:, 0])
        )
        kind, shared = self.pose_options.kind, scene.shared_idxs
        if shared is None:
            self._take_poses(PoseLayer(rest, bones, roots - rest[0], kind=kind))
            return
        pose_of_image, seeds = (
            torch.from_numpy(np.array(x)) for x in (shared, np.unique(shared, return_index=True)[1])
        )
        self._take_poses(SharedPoseLayer(rest, bones, roots - rest[0], pose_of_image, seeds, kind=kind))

    def _take_poses(self, layer: PoseLayer, anchors: Tensor | None = None) -> None:
        self.poses = layer
        first = layer.axis_angles() if anchors is None else anchors
        self.register_buffer("anchors", first.to(layer.pelvis.device))
        if layer.kind == "sixd":
            self.register_buffer("anchor_matrices", rot.axis_angle_to_matrix(first), persistent=False)

    def _fit_codes(self, count: int) -> None:
        """A network with as many codes; those of other images are replaced by their mean."""
        if self.network.config.num_codes == count:
            return
        old = self.network
        self.network = self._build(count).to(self.device)
        state = self.network.state_dict()
        for name, value in old.state_dict().items():
            state[name] = value.mean(0).expand_as(state[name]) if "framecodes" in name else value
        self.network.load_state_dict(state)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load; poses, cameras and codes are made as the checkpoint has them."""
        codes = state_dict.get("network.fine.framecodes.codes.weight")
        if codes is not None:
            self._fit_codes(len(codes))
        if self.poses is None and "poses.pelvis" in state_dict:
            parts = {k.removeprefix("poses."): v for k, v in state_dict.items() if k.startswith("poses.")}
            self._take_poses(pose_layer_of(parts), state_dict["anchors"])
        if self.cameras is None and "cameras.turn" in state_dict:
            self.cameras = CameraLayer(state_dict["cameras.camera_to_world"], state_dict["cameras.focals"])
        return super().load_state_dict(state_dict, *args, **kwargs)

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load the authors' .tar: networks as its shapes tell, and its refined poses."""
        parts = load_state_dicts(path)
        self.network = ANeRF(config_of(parts))
        return self._take(parts)

    def start_from_official(self, path: Path) -> dict[str, ImportReport]:
        """Begin with the authors' .tar: weights for the network of the options, and its refined poses.

        Raises:
            InputError: the file is of a network of other sizes.
        """
        parts = load_state_dicts(path)
        codes = config_of(parts).num_codes
        if codes:
            self._fit_codes(codes)
        return self._take(parts)

    def _take(self, parts: Any) -> dict[str, ImportReport]:
        """Weights and refined poses of the authors' file."""
        layer = parts.get("poseopt_layer")
        if layer:
            self._take_poses(pose_layer_of(layer))
        return {"anerf": import_model(self.network, parts)}

    # Training

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Loss of the rays of a step, logged under train/."""
        row, self._step = batch["pose_row"], batch["step"]
        posed = self._posed(batch["poses"], self._step)
        bones = batch["skts"] if posed is None else posed.world_to_bone
        origins, directions = self._cast(batch)
        config = self.network.config
        draws = Draws.keyed(
            config.coarse_samples,
            config.fine_samples,
            self.hparams["seed"],
            self._step,
            batch["ray_ids"],
            noise=self.hparams["noise"],
        )
        result = self.network(
            origins,
            directions,
            bones,
            batch["cyls"][row],
            pose_index=row,
            code_index=batch["cam_idxs"] if config.num_codes else None,
            draws=draws,
        )
        terms = self._image_terms(result, batch)
        if posed is not None:
            terms |= self._pose_terms(posed.at(row), batch)
        if self.cameras is not None and self.camera_options is not None:
            terms["cameras"] = self.camera_options.weight * self.cameras.drift()
        loss = torch.stack(list(terms.values())).sum()
        shown = result.fine.over(batch["bgs"]).detach()
        metadata = {"psnr": -10 * torch.log10(F.mse_loss(shown, batch["target_s"]))}
        metadata |= {"opacity": result.fine.opacity.detach().mean()}
        logged = {"loss": loss, **terms, **metadata}
        if posed is not None:
            logged["mpjpc"] = mean_joint_change(posed.joints, batch["kp3d"])
        values = {f"train/{name}": value.detach() for name, value in logged.items()}
        self.log_dict(values, batch_size=1, sync_dist=True)
        return {"loss": loss}

    def _cast(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Origins and directions (R, 3) of the rays, by the cameras as they stand."""
        origins, directions = batch["rays"]
        if self.cameras is None:
            return origins, directions
        start = 0 if self.camera_options is None else self.camera_options.start
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._step >= start):
            return self.cameras.rays(batch["camera_idx"], directions)

    def _posed(self, index: Tensor, step: int) -> PosedFigures | None:
        """Current poses, detached once refinement has ended; None where the scene's own are used."""
        if self.poses is None:
            return None
        stop = None if self.pose_options is None else self.pose_options.stop
        with torch.set_grad_enabled(torch.is_grad_enabled() and (stop is None or step < stop)):
            return self.poses.posed(index)

    def _image_terms(self, result: Rendering, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        hparams, terms = self.hparams, {}
        passes = {"fine": (result.fine, 1.0), "coarse": (result.coarse, hparams["coarse_weight"])}
        for name, (part, weight) in passes.items():
            terms[name] = weight * image_loss(part.over(batch["bgs"]), batch["target_s"], hparams["loss"])
            if hparams["opacity_weight"]:
                entropy = opacity_loss(part.opacity, batch["fgs"])
                terms[f"opacity_{name}"] = hparams["opacity_weight"] * entropy
        return terms

    def _pose_terms(self, posed: PosedFigures, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        options = self.pose_options
        if options is None or self.poses is None or not posed.joints.requires_grad:
            return {}
        index = batch["kp_idx"]
        anchors = (self.anchor_matrices if self.poses.kind == "sixd" else self.anchors)[index]
        drift = pose_regulariser(posed, anchors, tolerance=options.tolerance)
        terms = {"pose": options.weight * drift}
        if options.temporal_weight:
            around = self.poses.neighbours(batch["poses"])
            before, after = (self.poses.posed(i).at(batch["pose_row"]) for i in around)
            bend = temporal_loss(posed, before, after, batch["temp_val"])
            terms["temporal"] = options.temporal_weight * bend
        return terms

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then harden the cutoffs: before any callback saves a checkpoint."""
        super().optimizer_step(*args, **kwargs)
        if self.hparams["harden"]:
            self.network.set_step(self._step + 1, tau_step=self.hparams["tau_steps"])

    def configure_optimizers(self) -> Any:
        """Adam for the network by the schedule, and for poses and cameras at constant rates."""
        optimizer = self.make_optimizer(self._parameter_groups())
        if not isinstance(optimizer, GatheringAdam) and (self.pose_options or self.camera_options):
            raise ConfigError("Refined poses and cameras need optimizer=gathering_adam.")
        return with_schedule(optimizer, self.schedule_factory, self.trainer)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """The network, its volumes, poses and cameras; the last two gather gradients and keep their rates."""
        volumes = self.network.volumes
        tables = [] if volumes is None else list(volumes.parameters())
        network = [
            p
            for p in self.network.parameters()
            if p.requires_grad and all(p is not table for table in tables)
        ]
        groups: list[dict[str, Any]] = [{"params": network}]
        if tables:
            groups.append({"params": tables, "lr": self.hparams["volume_learning_rate"]})
        refined: tuple[tuple[nn.Module | None, PoseOptions | CameraOptions | None], ...]
        refined = (self.poses, self.pose_options), (self.cameras, self.camera_options)
        for layer, options in refined:
            if layer is not None and options is not None:
                rates = {"lr": options.learning_rate, "every": options.every, "constant": True}
                groups.append({"params": list(layer.parameters()), **rates})
        return groups

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the gathering gradients of the poses in."""
        optimizers = self.trainer.optimizers
        if optimizers and isinstance(optimizers[0], GatheringAdam):
            checkpoint["gathered"] = optimizers[0].gathered()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep them until training starts."""
        self._gathered = checkpoint.get("gathered")

    def on_train_start(self) -> None:
        """Put them back."""
        if self._gathered:
            optimizer = self.trainer.optimizers[0]
            assert isinstance(optimizer, GatheringAdam)
            optimizer.set_gathered(self._gathered)
            self._gathered = None

    # Evaluation

    def on_validation_epoch_start(self) -> None:
        """Weights have changed: pruning is calibrated anew."""
        self._renderer = None

    def on_test_epoch_start(self) -> None:
        """See `on_validation_epoch_start`."""
        self._renderer = None

    def evaluate_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        bones, joints = self.pose_of(batch["pose"], batch["world_to_bone"])
        height, width = batch["mask"].shape
        matrix, focal = batch["camera_to_world"], batch["focal"]
        if self.cameras is not None:
            matrix, focal = (part[batch["camera"]].detach() for part in self.cameras.cameras())
        view = View(matrix, focal, height, width, batch["centre"])
        if self._renderer is None:
            self._renderer = self.renderer(self.hparams["speed"], [(bones, view)])
        factor = self.hparams["render_factor"]
        image = self._renderer(bones, view.scaled(1 / factor), code_index=batch["code"])
        background, mask = batch["background"], batch["mask"]
        parts = torch.cat([image.colour, image.opacity[..., None]], dim=-1)
        if factor != 1:
            size = (height, width)
            parts = F.interpolate(parts.movedim(-1, 0)[None], size=size, mode="bilinear", align_corners=False)
            parts = parts[0].movedim(0, -1)
        shown = (parts[..., :3] + (1 - parts[..., 3:]) * background).clamp(0, 1)
        box = box_region((image.low * factor)[None], (image.high * factor)[None], height, width)
        return {
            "predicted": shown[None],
            "true": batch["image"][None],
            "opacity": parts[None, ..., 3],
            "box": box,
            "mask": mask[None],
            "group": batch["group"],
            "clips": [batch["name"]],
            "num_frames": [1],
            **pose_errors(joints, batch["joints"], batch["true_joints"], batch["mm"]),
        }

    def output_settings(self) -> dict[str, Any]:
        """Whose poses are drawn."""
        return {"poses": "as given" if self.poses is None else "refined in training"}

    def pose_of(self, pose: int, world_to_bone: Tensor) -> tuple[Tensor, Tensor | None]:
        """(J, 4, 4) of a pose of the data, refined where it was, and its joints (J, 3) then."""
        if self.poses is None:
            return world_to_bone, None
        result = self.poses.posed(torch.tensor([pose], device=world_to_bone.device))
        return result.world_to_bone[0].detach(), result.joints[0].detach()

    def renderer(self, speed: str, examples: Sequence[tuple[Tensor, View]]) -> Renderer:
        """Draws this avatar; pruning is calibrated on poses (J, 4, 4) and their views."""
        if speed != "pruned":
            return Renderer(self.network, speed=speed)
        poses = torch.stack([pose for pose, _ in examples])
        capsules = calibrate(self.network, poses, [view for _, view in examples])
        return Renderer(self.network, speed=speed, capsules=capsules)

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """Truth beside rendering."""
        pair = torch.cat([outputs["true"][0], outputs["predicted"][0]], dim=1)
        image = (pair * 255).round().byte().cpu().numpy()
        factor = max(256 // image.shape[0], 1)
        return {f"{batch['group']}_{batch['name']}": image.repeat(factor, 0).repeat(factor, 1)}
