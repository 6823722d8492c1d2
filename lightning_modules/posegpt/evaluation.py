"""Samples of a trained PoseGPT beside real motion, bounds and baselines (docs/specs/posegpt.md, section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError
from contrapposto.nn.random import keyed_uniform
from contrapposto.skeleton import forward_kinematics
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.systems.posegpt.plan import Segment
from contrapposto.systems.posegpt.poses import (
    from_motion,
    network_input,
    repeat_last_valid,
    split_pose,
    to_motion,
)
from contrapposto.systems.posegpt.quality import clip_quality
from contrapposto.systems.posegpt.rollout import poses_of
from contrapposto.systems.posegpt.sampler import PoseGPTSampler
from contrapposto.systems.posegpt.token_sampling import USUAL, Draw, keyed_exponential
from lightning_modules.base import load_stage
from lightning_modules.posegpt.classifier import PoseGPTClassifierModule
from lightning_modules.posegpt.common import body_of
from lightning_modules.posegpt.gpt import PoseGPTModule

Batch = dict[str, Any]
Sample = tuple[Tensor, Tensor]  # poses (B, T, D) and their validity (B, T)


class PoseGPTSources:
    """One generated motion per window of real motion, with its actions and its length, from several sources.

    | source | what it is |
    |---|---|
    | `real` | the windows themselves |
    | `shuffled in time` | their frames in another order: what a distance must see |
    | `auto-encoder` | their reconstruction: no generator of tokens can be expected to be better |
    | `PoseGPT` | the model, post-processed as `predict.py` does by default (`Cleanup`) |
    | `PoseGPT, as generated` | the same samples without post-processing |
    | `training clip` | a random window of the training part with the same actions |
    | `independent tokens` | every token by itself, as often as the training part's windows of the action have it |

    Forecasts continue the first frames of whole windows: by the model, and by the last pose held.

    Args:
        module: the model.
        datamodule: with the training part.
        judge: checkpoint of the classifier; without, nothing is judged.
        past_frames: of forecasts; None: a quarter of the window.
        forecasts: of every past.
        temperature, top_k, top_p: see `Draw`.
        seed: of everything.
        cleanup: options of `Cleanup`.
        token_windows: of the training part that are looked at for `independent tokens`.

    Raises:
        ConfigError: the classifier knows other actions, or other poses.
    """

    generator = "PoseGPT"

    def __init__(
        self,
        module: PoseGPTModule,
        datamodule: Any,
        *,
        judge: str | None = None,
        past_frames: int | None = None,
        forecasts: int = 10,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = USUAL.top_p,
        seed: int = 0,
        cleanup: Mapping[str, Any] | None = None,
        token_windows: int = 1024,
    ) -> None:
        self.module, self.data, self.seed, self.count = module, datamodule, seed, forecasts
        self.drawing: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self.cleanup = Cleanup(**(cleanup or {}))
        self.settings = {"post_processing": self.cleanup.describe(), **self.drawing}
        self.classes = list(module.vocabulary.names)
        factor = module.network.factor
        self.past = (past_frames or module.window // 4) // factor * factor
        options: dict[str, Any] = {
            "window": module.window,
            "per_frame": module.per_frame,
            "canonical": module.canonical,
            "height": module.height,
            "overlap": max(self.past, factor),
        }
        self.sampler = PoseGPTSampler(module.network, **options)
        figure = body_of(str(module.hparams["skeleton"]), None).skeleton
        self.offsets = figure.offsets[: module.skeleton.num_joints]
        self.classifier = None if judge is None else self._classifier(judge)
        self.token_windows = token_windows
        self._shares: Tensor | None = None

    def _classifier(self, path: str) -> PoseGPTClassifierModule:
        judge: PoseGPTClassifierModule = load_stage(PoseGPTClassifierModule, path, "posegpt_classifier")
        for name in ("skeleton", "canonical", "height"):
            own, wanted = getattr(judge, name), getattr(self.module, name)
            if own != wanted:
                raise ConfigError(
                    f"The classifier {path} judges other poses: its {name} is {own}, not {wanted}."
                )
        if judge.vocabulary.names != self.module.vocabulary.names:
            raise ConfigError(
                f"The classifier {path} knows other actions than the generator.",
                fix="train it with the same data.vocabulary: python train.py model=posegpt_classifier ...",
            )
        return judge.to(self.module.device)

    @property
    def num_features(self) -> int | None:
        """Of what `judge` returns; None where there is no classifier."""
        return None if self.classifier is None else self.classifier.network.num_features

    @torch.inference_mode()
    def judge(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Logits (B, A) and features (B, C)."""
        assert self.classifier is not None
        pose, valid = sample
        missing = self.module.window - pose.shape[1]
        if missing > 0:
            pose = torch.cat([pose, pose[:, -1:].expand(-1, missing, -1)], dim=1)
            valid = torch.cat([valid, valid.new_zeros(len(valid), missing)], dim=1)
        logits, features = self.classifier.network(pose, valid)
        return logits, features

    def labels(self, batch: Batch) -> Tensor:
        """(B, A) of 0 and 1."""
        actions: Tensor = batch["actions"]
        return actions

    @torch.inference_mode()
    def fixed(self, batch: Batch) -> dict[str, Sample]:
        """The sources that chance has no part in; `real` is the first."""
        pose, valid = batch["pose"], batch["valid"]
        output = self.module.vqvae(network_input(pose), valid)
        order = keyed_uniform(self.seed, 0, batch["sample_ids"], (pose.shape[1],), "shuffled frames")
        order = (order + 2.0 * ~valid).argsort(1)  # frames past the end stay there
        shuffled = pose.gather(1, order[..., None].expand_as(pose))
        return {
            "real": (pose, valid),
            "shuffled in time": (repeat_last_valid(shuffled, valid), valid),
            "auto-encoder": (repeat_last_valid(poses_of(output.motion), valid), valid),
        }

    @torch.inference_mode()
    def samples(self, batch: Batch, repeat: int) -> dict[str, Sample]:
        """The sources that differ from repeat to repeat."""
        actions = batch["frame_actions"] if self.module.per_frame else batch["actions"]
        if self.module.network.action_emb is None:
            actions = None
        sampled = self.sampler.sample(
            actions, batch["lengths"], draw=self._draw(repeat), sample_ids=batch["sample_ids"]
        )
        cleaned = self._cleaned(sampled.pose, sampled.valid.sum(1).tolist())
        return {
            self.generator: (repeat_last_valid(cleaned, sampled.valid), sampled.valid),
            f"{self.generator}, as generated": (sampled.pose, sampled.valid),
            "training clip": self._training_clips(batch, repeat),
            "independent tokens": self._independent(batch, repeat),
        }

    def _cleaned(self, poses: Tensor, lengths: Sequence[int], num_past: int = 0) -> Tensor:
        """Poses (B, T, D), post-processed over so many frames each; the first `num_past` frames stay."""
        cleaned, skeleton, height = poses.clone(), self.module.skeleton, self.module.height
        for row, length in zip(cleaned, lengths):
            clip = self.cleanup(to_motion(row[:length], skeleton, height=height), num_past)
            row[:length] = from_motion(clip, skeleton, height=height).to(row)
        return cleaned

    def figures(self, sample: Sample) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Jerk, slide, floating and sinking (B,) of a sample, and its movements; see `quality.clip_quality`."""
        clips = [
            to_motion(row[:length], self.module.skeleton, height=self.module.height)
            for row, length in zip(sample[0], sample[1].sum(1).clamp_min(1).tolist())
        ]
        rows = [clip_quality(clip) for clip in clips]
        values = {name: torch.tensor([row[name] for row in rows]).to(sample[0]) for name in rows[0]}
        moves = {name: values.pop(name) for name in ("turn", "ahead", "side", "drop")}
        return values, moves

    @property
    def unsigned(self) -> Tensor:
        """(A,) bool: actions whose name has neither left nor right."""
        return torch.tensor([not {"left", "right"} & set(name.split()) for name in self.classes])

    def _draw(self, repeat: int) -> Draw:
        return Draw(seed=self.seed + repeat, **self.drawing)

    def _training_clips(self, batch: Batch, repeat: int) -> Sample:
        data, device = self.data, self.module.device
        units = data.segments.of_clips(data.split.train)
        hot, frames = data.segments.actions[units], data.segments.frames[units]
        uniform = keyed_uniform(self.seed, repeat, batch["sample_ids"], (2,), "training clip").cpu().numpy()
        chosen, starts = [], []
        for wanted, length, share in zip(
            batch["actions"].cpu().numpy() > 0, batch["lengths"].tolist(), uniform
        ):
            rank = 4 * (hot == wanted).all(1) + 2 * (hot & wanted).any(1) + (frames >= length)
            best = np.flatnonzero(rank == rank.max())
            pick = best[int(share[0] * len(best))]
            chosen.append(units[pick])
            starts.append(int(share[1] * (max(frames[pick] - length, 0) + 1)))
        windows = data.batch(np.array(chosen), np.array(starts))
        pose = data.augment.plain(windows["pose"]).to(device)
        inside = torch.arange(pose.shape[1], device=device) < batch["lengths"][:, None]
        valid = windows["valid"].to(device) & inside
        return repeat_last_valid(pose, valid), valid

    def _independent(self, batch: Batch, repeat: int) -> Sample:
        if self._shares is None:
            self._shares = self._token_shares()
        table, lengths = self._shares, batch["lengths"]
        hot = batch["actions"].to(table)
        hot = torch.cat([hot, (hot @ table.sum((1, 2))[:-1] == 0)[:, None].to(table)], dim=1)
        share = torch.einsum("ba,akv->bkv", hot, table)[:, None]
        factor = self.module.network.factor
        count = -(-int(lengths.max()) // factor)
        shape = (count, *share.shape[2:])
        noise = keyed_exponential(self.seed, repeat, batch["sample_ids"], shape)
        codes = (share.log() - noise.log()).argmax(-1)
        token_valid = torch.arange(count, device=lengths.device) < (-(-lengths // factor))[:, None]
        motion = self.module.vqvae.decode_tokens(codes.masked_fill(~token_valid[..., None], -1), token_valid)
        valid = torch.arange(count * factor, device=lengths.device) < lengths[:, None]
        return repeat_last_valid(poses_of(motion), valid), valid

    def _token_shares(self) -> Tensor:
        """(A + 1, K, V) how often the training part's windows of every action have a code; the last row: of them all."""
        data, device = self.data, self.module.device
        units = data.segments.of_clips(data.split.train)
        units = units[np.linspace(0, len(units) - 1, min(len(units), self.token_windows)).astype(int)]
        vqvae = self.module.vqvae
        counts = torch.zeros(len(self.classes) + 1, vqvae.num_books, vqvae.book_size, device=device)
        for part in np.array_split(units, -(-len(units) // 64)):
            starts = np.maximum(0, data.segments.frames[part] // 2 - self.module.window // 2)
            windows = data.batch(part, starts)
            pose = data.augment.plain(windows["pose"]).to(device)
            codes, token_valid = vqvae.tokens(network_input(pose), windows["valid"].to(device))
            used = torch.nn.functional.one_hot(codes.clamp_min(0), vqvae.book_size)
            used = (used * token_valid[..., None, None]).sum(1).to(counts)
            counts[:-1] += torch.einsum("ba,bkv->akv", windows["actions"].to(counts), used)
            counts[-1] += used.sum(0)
        return counts / counts.sum(-1, keepdim=True).clamp_min(1)

    @torch.inference_mode()
    def forecasts(self, batch: Batch, repeat: int) -> tuple[dict[str, Tensor], Tensor] | None:
        """Joints (B, S, T, J, 3) after the past by source and the true ones (B, T, J, 3), metres; None without any.

        The joints' positions include where the figure goes. Windows shorter than the model's are left out.
        """
        rows = batch["valid"].all(1) & (batch["lengths"] == self.module.window)
        if not self.module.vqvae.causal_encoder or not rows.any():
            return None
        pose, actions = batch["pose"][rows], batch["actions"][rows]
        future = self.module.window - self.past
        plan = [Segment(None, future)]
        if self.module.network.action_emb is not None:
            plan = [Segment(actions.repeat_interleave(self.count, 0), future)]
        ids = batch["sample_ids"][rows]
        ids = (ids[:, None] * self.count + torch.arange(self.count, device=ids.device)).flatten()
        past = pose[:, : self.past]
        forecasts = self.sampler.generate(
            plan,
            len(ids),
            past=past.repeat_interleave(self.count, 0),
            draw=self._draw(repeat),
            sample_ids=ids,
        ).pose
        lengths = [self.module.window] * len(forecasts)
        cleaned = self._cleaned(forecasts, lengths, self.past)[:, self.past :]
        held = past[:, -1:].expand(-1, future, -1)
        joints = {
            self.generator: cleaned,
            f"{self.generator}, as generated": forecasts[:, self.past :],
        }
        sources = {name: self._joints(rows).unflatten(0, (-1, self.count)) for name, rows in joints.items()}
        sources["last pose held"] = self._joints(held)[:, None]
        return sources, self._joints(pose[:, self.past :])

    def _joints(self, pose: Tensor) -> Tensor:
        axis_angles, position = split_pose(pose)
        matrices = rot.axis_angle_to_matrix(axis_angles)
        offsets = torch.as_tensor(self.offsets, dtype=pose.dtype, device=pose.device)
        return forward_kinematics(self.module.skeleton.parents, matrices, offsets, position)[1]
