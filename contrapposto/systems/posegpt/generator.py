"""Clips from actions: the sampler with its vocabulary and skeleton, from `Motion` to `Motion`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapposto.data.vocabulary import Vocabulary
from contrapposto.devices import Device, find_device, in_chunks
from contrapposto.errors import ConfigError, InputError
from contrapposto.motion import Label, Motion
from contrapposto.pretrained import load_pretrained
from contrapposto.skeleton import SKELETONS, SMPLH52, Skeleton
from contrapposto.systems.posegpt.cleanup import Cleanup
from contrapposto.systems.posegpt.constraints import PASSES, Constraints, Steering
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.plan import Segment
from contrapposto.systems.posegpt.poses import FPS, Height, from_motion, to_motion
from contrapposto.systems.posegpt.sampler import PoseGPTSampler, Sampled
from contrapposto.systems.posegpt.sentences import Match, available, nearest_actions
from contrapposto.systems.posegpt.token_sampling import USUAL, Draw
from contrapposto.systems.posegpt.vqvae import build_autoencoder

MODEL = "posegpt_gpt"
MOST_FRAMES = 30 * 3600  # an hour; more is a typing error


@dataclass(frozen=True)
class Generated:
    """What `MotionGenerator.generate` returns.

    Args:
        motions: the clips at 30 frames/s on the SMPL-H skeleton, labelled with their actions, the past included.
        sampled: tokens and margins, see there.
    """

    motions: list[Motion]
    sampled: Sampled


class MotionGenerator:
    """Generates clips.

        generator = MotionGenerator.from_pretrained("posegpt_gpt")
        clip = generator.generate(["walk", "sit down"], frames=90).motions[0]

    Args:
        sampler: with its networks.
        vocabulary: of the actions that it was trained with.
        skeleton: of its pose vectors.
        metadata: of all clips: source, licence and attribution of the training data.
    """

    def __init__(
        self,
        sampler: PoseGPTSampler,
        vocabulary: Vocabulary,
        skeleton: Skeleton,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.sampler, self.vocabulary, self.skeleton = sampler, vocabulary, skeleton
        self.metadata = dict(metadata or {})

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = MODEL,
        *,
        overlap: int = 16,
        fade: int = 10,
        device: Device = None,
        **sampler: Any,
    ) -> MotionGenerator:
        """The generator of a shipped model, a published folder, a run directory or a checkpoint file.

        Args:
            name_or_path: see `contrapposto.pretrained`.
            overlap, fade, sampler: further options of `PoseGPTSampler`.
            device: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            MissingError: there is no such model.
            ConfigError, InputError: it is another model, or the file is damaged.
        """
        trained = load_pretrained(name_or_path, (MODEL,))
        options = trained.options
        if not options.get("vqvae_network"):
            raise InputError(
                f"{trained.file} is not a checkpoint of {MODEL}.", fix=f"python train.py model={MODEL}"
            )
        skeleton = SKELETONS[options["skeleton"]]
        vocabulary = Vocabulary.of_lines(options["vocabulary"])
        encoder = build_autoencoder(skeleton.num_joints, options["vqvae_network"])
        network = PoseGPT(encoder, num_actions=len(vocabulary), **(options.get("network") or {}))
        trained.load_into(network, "network.")
        windows: dict[str, Any] = {
            "window": options["window"],
            "per_frame": options["per_frame"],
            "canonical": options["heading"] == "canonical",
            "height": options.get("height", "start"),
        }
        data = trained.data
        metadata = {
            f"model_{name}": str(data[name])
            for name in ("source", "licence", "attribution")
            if data.get(name)
        }
        network = network.to(find_device(device))
        pretrained = PoseGPTSampler(network, **windows, overlap=overlap, fade=fade, **sampler)
        return cls(pretrained, vocabulary, skeleton, metadata)

    def parse(self, text: str) -> list[str]:
        """Actions one after the other, from what somebody types: `walk`, `walk, sit down`, `[walk, wave+walk]`.

        A text that is an action as it stands is that action, whatever brackets and commas it has.
        """
        text = text.strip()
        if text in self.vocabulary:
            return [text]
        if text.startswith("[") and text.endswith("]"):
            text = text[1:-1]
        return [part.strip() for part in text.split(",")]

    def matched(self, actions: Sequence[str]) -> tuple[list[str], dict[str, list[Match]]]:
        """Actions with sentences replaced by the nearest action, and what was matched with each sentence.

        A sentence is an unknown text of two words or more; without the extra `sentences` it stays as it is.
        """
        matches: dict[str, list[Match]] = {}
        for text in actions:
            known = all(
                part in self.vocabulary
                for part in (text.split("+") if text not in self.vocabulary else [text])
            )
            if not known and len(text.split()) > 1 and available():
                matches[text] = nearest_actions(text, self.vocabulary.names)
        return [matches[text][0].action if text in matches else text for text in actions], matches

    def segments(self, actions: Sequence[str] | None, frames: int | Sequence[int]) -> list[Segment]:
        """The plan of a motion.

        Args:
            actions: one for each segment; `walk+wave` is both at once. None for generators that take none.
            frames: of each segment; a single number holds for all.

        Raises:
            ConfigError: an unknown action (all are listed), none where one is needed, or one too many.
            InputError: lengths that cannot be.
        """
        lengths = [frames] * max(len(actions or ()), 1) if isinstance(frames, int) else list(frames)
        if self.sampler.model.action_emb is None:
            if actions:
                raise ConfigError("This generator was trained without actions.", fix="leave action= out")
            hot: list[Tensor | None] = [None] * len(lengths)
        elif not actions:
            raise ConfigError(
                "No action was given.", expected="one or more of " + ", ".join(self.vocabulary.names)
            )
        else:
            hot = [self._hot(action) for action in actions]
        if len(hot) != len(lengths):
            raise InputError(
                f"{len(hot)} actions with {len(lengths)} lengths.", expected="one for all, or one for each"
            )
        if any(type(length) is not int or length < 1 for length in lengths) or sum(lengths) > MOST_FRAMES:
            raise InputError(
                f"A motion of {' + '.join(map(str, lengths[:8]))} frames cannot be generated.",
                expected=f"whole numbers from 1, together at most {MOST_FRAMES:,} (an hour at 30 frames/s)",
            )
        return [Segment(row, length) for row, length in zip(hot, lengths)]

    def _hot(self, action: str) -> Tensor:
        parts = action.split("+")
        if action in self.vocabulary or not all(part in self.vocabulary for part in parts):
            parts = [action]
        hot = torch.zeros(len(self.vocabulary))
        hot[[self.vocabulary.index(part) for part in parts]] = 1
        return hot

    def generate(
        self,
        actions: Sequence[str] | None,
        frames: int | Sequence[int] = 120,
        count: int = 1,
        *,
        past: Motion | None = None,
        draw: Draw | None = None,
        cleanup: Cleanup | None = None,
        constraints: Constraints | None = None,
    ) -> Generated:
        """Clips.

        Args:
            actions, frames: see `segments`; without the past.
            count: how many; each is another sample.
            past: a clip that they continue, on any skeleton that can be mapped; they begin with it, where it is.
            draw: how; `USUAL` where absent.
            cleanup: post-processing; that of `Cleanup()` where absent.
            constraints: a path, keyframes, a future; see `constraints`.

        Raises:
            ConfigError, InputError: see `segments` and `PoseGPTSampler.generate`.
        """
        cleanup = cleanup or Cleanup()
        plan, past = self.segments(actions, frames), _mapped(past)
        pose, height = self._past(past)
        sampled = self._sampled(plan, count, pose, draw or USUAL)
        labels = self._labels(actions, plan, sampled.num_past)
        metadata = {**self.metadata, "post_processing": cleanup.describe()}
        if constraints:
            sampled = self._steered(sampled, constraints, past, cleanup)
            cleanup = replace(cleanup, smooth=0.0)
        clips = [
            to_motion(row, self.skeleton, height=height, labels=labels, metadata=metadata)
            for row in sampled.pose
        ]
        cleaned = [cleanup(_placed(clip, past), sampled.num_past) for clip in clips]
        return Generated(cleaned, sampled)

    def _sampled(self, plan: Sequence[Segment], count: int, past: Tensor | None, draw: Draw) -> Sampled:
        """All samples at once, or some at a time where the memory does not suffice: draws are keyed by sample."""

        def run(size: int) -> list[Sampled]:
            return [
                self.sampler.generate(plan, len(ids), past=past, draw=draw, sample_ids=ids)
                for ids in torch.arange(count).split(size)
            ]

        parts, _ = in_chunks(run, count, device=self.sampler.device)
        if len(parts) == 1:
            return parts[0]
        joined: dict[str, Any] = {
            field.name: torch.cat([getattr(part, field.name) for part in parts])
            for field in fields(Sampled)
            if isinstance(getattr(parts[0], field.name), Tensor)
        }
        return replace(parts[0], **joined)

    def _steered(
        self, sampled: Sampled, constraints: Constraints, past: Motion | None, cleanup: Cleanup
    ) -> Sampled:
        """Motions that meet constraints, also after a post-processing that does not smooth them again.

        Raises:
            ConfigError: another auto-encoder than `ours`, or heights from the start.
            InputError: constraints that cannot be met.
        """
        if self.sampler.height != "floor":
            raise ConfigError(
                "Constraints need a generator whose heights count from the floor.", fix="data.height=floor"
            )
        steering = Steering(self.sampler.vqvae, self.skeleton, self.skeleton.offsets)
        future = _mapped(constraints.future)
        origin = (
            (0.0, 0.0)
            if past is None
            else (float(past.root_translation[0, 0]), float(past.root_translation[0, 1]))
        )
        wanted = replace(constraints, future=future).moved(-origin[0], -origin[1])
        pose, num_past = sampled.pose.float(), sampled.num_past
        for _ in range(PASSES):
            clips = [cleanup(to_motion(row, self.skeleton, height="floor"), num_past) for row in pose]
            rows = torch.stack([from_motion(clip, self.skeleton, height="floor") for clip in clips])
            pose = steering(rows, wanted, num_past)
            cleanup = replace(cleanup, smooth=0.0)
        return replace(sampled, pose=pose)

    def stream(
        self,
        actions: Sequence[str] | None,
        frames: int | Sequence[int] = 120,
        *,
        past: Motion | None = None,
        draw: Draw | None = None,
    ) -> Iterator[Motion]:
        """The frames of one clip of `generate`, without the past, some at a time as soon as they are final.

        The figure stands on the floor in the first frames; `generate` looks for the floor in all of them.
        """
        plan, past = self.segments(actions, frames), _mapped(past)
        pose, height = self._past(past)
        for chunk in self.sampler.stream(plan, 1, past=pose, draw=draw or USUAL):
            origin = float(chunk[0, 0, -2])  # of the poses' vertical, which points down
            clip = to_motion(
                chunk[0], self.skeleton, height=height if isinstance(height, str) else height - origin
            )
            if height == "start":  # the floor was found: later frames count from the same height
                height = float(clip.root_translation[0, 2]) + origin
            yield _placed(clip, past)

    def _past(self, past: Motion | None) -> tuple[Tensor | None, float | Height]:
        """Pose vectors of the past, and how heights count: those of the past where the generator knows no floor."""
        height = self.sampler.height
        if past is None:
            return None, height
        pose = from_motion(past, self.skeleton, height=height)
        return pose, height if height == "floor" else float(past.root_translation[0, 2])

    def _labels(self, actions: Sequence[str] | None, plan: Sequence[Segment], num_past: int) -> list[Label]:
        ends = (num_past + np.cumsum([0, *(segment.frames for segment in plan)])) / FPS
        labels = [Label("past", 0.0, num_past / FPS)] if num_past else []
        for name, start, end in zip(actions or (), ends[:-1], ends[1:]):
            labels.append(Label(name, float(start), float(end)))
        return labels


def _mapped(past: Motion | None) -> Motion | None:
    """A clip on a skeleton of the SMPL family.

    Raises:
        InputError: it cannot be mapped.
    """
    if past is None or past.skeleton.name in SKELETONS:
        return past
    from contrapposto.retarget import to_smpl

    return to_smpl(past)


def _placed(clip: Motion, past: Motion | None) -> Motion:
    """On the SMPL-H skeleton, and where the past was: pose vectors begin at the origin."""
    clip = clip.to_skeleton(SMPLH52)
    if past is None:
        return clip
    shift = past.root_translation[0] * np.array([1, 1, 0], np.float32)
    return replace(clip, root_translation=clip.root_translation + shift, betas=past.betas, gender=past.gender)
