"""PoseGPT: training of the motion auto-encoder (docs/specs/posegpt.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.nn.distributed import gather_rows
from contrapposto.nn.ema_quantizer import EMAQuantizer
from contrapposto.nn.random import keyed_integers
from contrapposto.skeleton import forward_kinematics
from contrapposto.systems.posegpt.losses import PoseLoss, VertexSampler
from contrapposto.systems.posegpt.motion_loss import MotionLoss
from contrapposto.systems.posegpt.official import load_official
from contrapposto.systems.posegpt.poses import FPS, network_input, pose_of, split_pose, to_motion
from contrapposto.systems.posegpt.vqvae import PoseVQVAE, VQVAEOutput, build_autoencoder
from contrapposto.weights import ImportReport
from lightning_modules.posegpt.common import PoseModule, body_of, hand_means, token_share
from lightning_modules.quantizing import start_quantizing


class PoseGPTVQVAEModule(PoseModule):
    """Trains an auto-encoder: `ConvAutoEncoder` or `PoseVQVAE`.

    Validation and test steps return named outputs of B windows of T frames: `pred_rotations`, `true_rotations`
    (B, T, J, 3, 3) local; `pred_joints`, `true_joints` (B, T, J, 3) and `pred_vertices`, `true_vertices`
    (B, T', V, 3), of every `eval_vertex_period`-th frame, metres, translation included; `lengths`, `vertex_lengths`
    (B,); `indices` (B, L, K); `fps`; `clips`; `num_frames`.

    Args:
        network: options of `build_autoencoder`; `num_joints` follows from the skeleton.
        loss: options of `PoseLoss`, for networks with the absolute root.
        motion_loss: options of `MotionLoss`, for networks with the velocity root.
        skeleton, heading, height: see `PoseModule`.
        vertices: options of `VertexSampler`.
        vertex_every: the vertex loss counts in every n-th step (`freq_vert`); no vertices with a `vert_weight` of 0.
        body: body file; see `load_body`.
        hand_mean: see `common.hand_means`.
        eval_vertex_period: see above.
        start_from_mean: begin at the mean motion of the first batch, see `PoseVQVAE.start_from`.
        standardize_steps: steps at the start whose frames the standardisation of the velocity representation is taken
            from.
        quantize_after: see `start_quantizing`.
        seed: of the choice of vertex frames and of the codebooks.
    """

    def __init__(
        self,
        network: Mapping[str, Any] | None = None,
        loss: Mapping[str, Any] | None = None,
        motion_loss: Mapping[str, Any] | None = None,
        skeleton: str = "smplh52",
        heading: str = "random",
        height: str = "start",
        vertices: Mapping[str, Any] | None = None,
        vertex_every: int = 1,
        body: str | None = None,
        hand_mean: str | None = None,
        eval_vertex_period: int = 8,
        start_from_mean: bool = False,
        standardize_steps: int = 50,
        quantize_after: int = 0,
        seed: int = 10,
    ) -> None:
        super().__init__(skeleton, heading, height)
        self.save_hyperparameters()
        self.network = build_autoencoder(self.skeleton.num_joints, network or {})
        figure, hands = body_of(skeleton, body), hand_means(hand_mean)
        if self.network.root == "velocity":
            if not self.canonical:
                raise ConfigError(
                    "The velocity root needs windows that begin facing forward.",
                    found=f"data.heading={heading}",
                    fix="data.heading=canonical",
                )
            self.motion_loss = MotionLoss(
                self.skeleton, figure.skeleton.offsets[: self.skeleton.num_joints], **(motion_loss or {})
            )
        else:
            assert isinstance(self.network, PoseVQVAE)
            self.loss = PoseLoss(**(loss or {}))
            self.loss.train_spreads(self.network.log_sigmas)
        self.vertices = VertexSampler(figure, hand_mean=hands, **(vertices or {}))
        self.surface = VertexSampler(figure, hand_mean=hands)  # for evaluation
        offsets = figure.skeleton.offsets[: self.skeleton.num_joints]
        self.register_buffer("offsets", torch.tensor(offsets), persistent=False)

    offsets: Tensor

    def forward(self, pose: Tensor, valid: Tensor | None = None) -> Tensor:
        """Reconstruction of pose vectors (B, T, 3 J + 3)."""
        motion = self.network(network_input(pose), valid).motion
        return pose_of(motion.matrices, motion.translation(valid))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Losses of a batch of windows, logged under train/."""
        pose, valid, step = batch["pose"], batch["valid"], batch["step"]
        x = network_input(pose)
        standardizer = self.network.standardizer
        if standardizer is not None and self.global_step < self.hparams["standardize_steps"]:
            standardizer.update(self.network.features(x), valid)
        if self.hparams["start_from_mean"] and standardizer is None and self.global_step == batch_idx == 0:
            self._start_from_mean(x)
        start_quantizing(
            self.network.quantizer,
            self.global_step,  # not the batch's number, which stays 0 where one batch is repeated
            self.hparams["quantize_after"],
            self.hparams["seed"],
            lambda: self._valid_latents(x, valid),
        )
        output: VQVAEOutput = self.network(x, valid)
        velocity = standardizer is not None
        losses = (
            self._motion_losses(output, x, valid) if velocity else self._losses(output, pose, valid, step)
        )
        self.log_losses(vars(losses), len(pose))
        return {"loss": losses.total, "indices": output.quantized.indices}

    def _start_from_mean(self, x: Tensor) -> None:
        """Of the frames of all processes, those past a motion's end included."""
        rows = gather_rows(x.flatten(0, 1))
        assert isinstance(self.network, PoseVQVAE)
        self.network.start_from(rows.mean(0), rows.std(0))

    def _valid_latents(self, x: Tensor, valid: Tensor) -> Tensor:
        """(1, N, D) latents that the codebooks start from: of the latest batches where the quantiser keeps them."""
        quantizer = self.network.quantizer
        if isinstance(quantizer, EMAQuantizer) and quantizer.recent:
            return torch.cat(quantizer.recent)[None]
        latent, token_valid = self.network.encode(x, valid)
        return latent[token_valid][None]

    def _motion_losses(self, output: VQVAEOutput, x: Tensor, valid: Tensor) -> Any:
        standardizer = self.network.standardizer
        assert standardizer is not None
        losses = self.motion_loss(
            output.motion,
            self.network.features(x),
            valid,
            standardizer,
            output.quantized.loss,
            output.token_valid,
        )
        weight = self.motion_loss.quantizer_weight
        return self._by_tokens(losses, weight, output.token_valid)

    def _by_tokens(self, losses: Any, weight: float, token_valid: Tensor) -> Any:
        """The quantiser's term is a mean over tokens, and the processes may have different numbers of them."""
        excess = weight * (token_share(token_valid) - 1) * losses.quantizer
        return replace(losses, total=losses.total + excess)

    def _losses(self, output: VQVAEOutput, pose: Tensor, valid: Tensor, step: int) -> Any:
        assert isinstance(self.network, PoseVQVAE)
        vertices = None
        if self.loss.vert_weight > 0 and step % self.hparams["vertex_every"] == 0:
            first = torch.zeros(1, dtype=torch.int64)
            period = self.vertices.period
            offset = int(keyed_integers(self.hparams["seed"], step, first, (), period, "vertex frames"))
            vertices = self.vertices(output.motion, pose, valid, offset)
        sigmas = self.network.log_sigmas
        losses = self.loss(
            output.motion,
            pose,
            valid,
            output.quantized.loss,
            output.token_valid,
            dict(sigmas.items()),
            vertices,
        )
        # Zero times the spreads: every one has a gradient in steps without vertices too.
        unused = 0 * sum(value.sum() for value in sigmas.values() if value.requires_grad)
        losses = replace(losses, total=losses.total + unused)
        return self._by_tokens(losses, self.loss.quantizer_weight, output.token_valid)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the latents that the codebooks will start from, so that a resumed run starts from the same ones."""
        quantizer = self.network.quantizer
        if isinstance(quantizer, EMAQuantizer) and quantizer.recent:
            checkpoint["recent_latents"] = list(quantizer.recent)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `on_save_checkpoint`."""
        if isinstance(self.network.quantizer, EMAQuantizer):
            self.network.quantizer.recent = list(checkpoint.get("recent_latents", []))

    def outputs_of(self, batch: dict[str, Any]) -> dict[str, Any]:
        """See the class."""
        pose, valid = batch["pose"], batch["valid"]
        output: VQVAEOutput = self.network(network_input(pose), valid)
        period = self.hparams["eval_vertex_period"]
        outputs: dict[str, Any] = {
            "indices": output.quantized.indices,
            "lengths": batch["lengths"],
            "vertex_lengths": -(-batch["lengths"] // period),
            "fps": FPS,
        }
        axis_angles, position = split_pose(pose)
        motion = output.motion
        sides = {
            "pred": (motion.matrices, motion.translation(valid)),
            "true": (rot.axis_angle_to_matrix(axis_angles), position),
        }
        for name, (matrices, root) in sides.items():
            joints = forward_kinematics(self.skeleton.parents, matrices, self.offsets, root)[1]
            outputs[f"{name}_rotations"], outputs[f"{name}_joints"] = matrices, joints
            outputs[f"{name}_vertices"] = self.surface.vertices(matrices[:, ::period], root[:, ::period])
        return outputs

    def media(self, stage: str, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any]:
        """The first window of a batch beside its reconstruction, for the media callback."""
        count = int(batch["lengths"][0])
        recovered = pose_of(
            outputs["pred_rotations"][0, :count], self._root(outputs["pred_joints"][0, :count])
        )
        clips = {
            "truth": to_motion(batch["pose"][0, :count], self.skeleton, height=self.height),
            "reconstruction": to_motion(recovered, self.skeleton, height=self.height),
        }
        return {Path(str(batch["names"][0])).name: clips}

    def _root(self, joints: Tensor) -> Tensor:
        return joints[:, 0] - self.offsets[0]

    def load_official(self, path: Path) -> dict[str, ImportReport]:
        """Load a checkpoint in the layout of the authors' code.

        Raises:
            ConfigError: the variant `ours` is not theirs.
        """
        if not isinstance(self.network, PoseVQVAE):
            raise ConfigError(
                "There are no weights of the authors for the variant ours.",
                fix="module.network.variant=causal",
            )
        return {"vqvae": load_official(self.network, path)}
