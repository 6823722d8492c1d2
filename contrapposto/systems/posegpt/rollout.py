"""Tokens one after the other, and motion frames as soon as tokens make them final."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple, cast

import torch
from torch import Tensor

from contrapposto.nn.stacks import Stack
from contrapposto.nn.streaming import StackStream
from contrapposto.systems.posegpt.autoencoder import DecodedMotion, MotionAutoEncoder, decoded_features
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.poses import pose_of
from contrapposto.systems.posegpt.prepared import PreparedGPT, TokenStream
from contrapposto.systems.posegpt.root_motion import RootState
from contrapposto.systems.posegpt.token_loop import TokenLoops, choose_codes, draw_codes
from contrapposto.systems.posegpt.token_sampling import Draw
from contrapposto.systems.posegpt.vqvae import PoseVQVAE

Noise = Callable[[int], Tensor]
"""Position of a token to its Exp(1) numbers (B, K, classes)."""


class Step(NamedTuple):
    """One token of every sample: codes (B, K), -1 for the end, and the margin of the choice (B,)."""

    codes: Tensor
    margin: Tensor


@torch.inference_mode()
def roll_out(
    model: PoseGPT,
    count: int,
    actions: Tensor | None,
    lengths: Tensor | None,
    *,
    draw: Draw,
    noise: Noise | None = None,
    past: Tensor | None = None,
    batch: int = 1,
    may_end_after: int | None = None,
    cached: bool = True,
    prepared: PreparedGPT | None = None,
    loops: TokenLoops | None = None,
) -> Iterator[Step]:
    """Generate tokens.

    Args:
        model: the generator, in eval mode.
        count: number of tokens of the whole motion, the past included.
        actions: see `PoseGPT.condition`.
        lengths: see `PoseGPT.condition`.
        draw: how.
        noise: for everything but greedy draws.
        past: (B, C, K) codes that the motion begins with.
        batch: B, where no other argument has it.
        may_end_after: tokens (counted from the motion's beginning) before which no end may come; None lets no
            end come at all. Only for generators with an end token.
        cached: keep what was computed for earlier tokens; False computes everything anew for every token, to the
            same numbers.
        prepared: `PreparedGPT(model.gpt)`, where there are many calls; made anew where absent.
        loops: of it, for CUDA devices: all tokens but the first are made by a CUDA graph.
    """
    condition, prepended = model.condition(actions, lengths)
    size = next((len(value) for value in (actions, lengths, past) if value is not None), batch)
    device = model.gpt.pos_emb.device
    known = (
        past if past is not None else torch.zeros(size, 0, model.gpt.num_books, dtype=torch.long).to(device)
    )
    stream: TokenStream | None = None
    if cached and model.gpt.causal:
        stream = (prepared or PreparedGPT(model.gpt)).start(size, count, condition, prepended)
    with loops.joined(stream, draw) if loops and stream else nullcontext() as loop:
        fresh, first = known, known.shape[1]
        for position in range(first, count):
            numbers = None if noise is None else noise(position)
            may_end = may_end_after is not None and position >= may_end_after
            if loop is not None and position > first:
                codes, margin = loop.next(fresh[:, 0], position, may_end, numbers)
            elif model.gpt.depth is not None:
                features = (
                    stream.advance(fresh)
                    if stream
                    else model.gpt.features(known, condition, prepended)[:, -1]
                )
                codes, margin = draw_codes(model.gpt, features, draw, numbers)
            else:
                logits = stream.extend(fresh) if stream else model.gpt(known, condition, prepended)[:, -1]
                codes, margin = choose_codes(model.gpt, logits, draw, numbers, may_end)
            yield Step(codes, margin)
            fresh = codes[:, None]
            known = torch.cat([known, fresh], dim=1)


class FrameStream(ABC):
    """Poses from tokens, fed piece by piece; needs an auto-encoder with a causal decoder."""

    @staticmethod
    def of(vqvae: MotionAutoEncoder, capacity: int) -> FrameStream:
        """The stream of an auto-encoder for at most `capacity` tokens."""
        if isinstance(vqvae, PoseVQVAE):
            return _StackFrames(vqvae, capacity)
        assert isinstance(vqvae, ConvAutoEncoder)
        return _ConvFrames(vqvae)

    @abstractmethod
    def push(self, codes: Tensor) -> Tensor:
        """Poses (B, m, 3 J + 3) that are final after the next tokens (B, n, K)."""

    def finish(self) -> Tensor | None:
        """Poses that were held back, or None."""
        return None


class _ConvFrames(FrameStream):
    """Decodes the last tokens that a frame depends on: a token costs the same whatever went before."""

    def __init__(self, vqvae: ConvAutoEncoder) -> None:
        self.vqvae = vqvae
        self._codes: Tensor | None = None
        self._state: RootState | None = None

    def push(self, codes: Tensor) -> Tensor:
        """See `FrameStream.push`."""
        context = codes if self._codes is None else torch.cat([self._codes, codes], dim=1)
        latent = self.vqvae.quantizer.lookup(context)
        features = self.vqvae.decode_features(latent)[:, -codes.shape[1] * self.vqvae.factor :]
        motion, self._state = decoded_features(features, state=self._state)
        self._codes = context[:, -self.vqvae.context_tokens :]
        return pose_of(motion.matrices, motion.translation())


class _StackFrames(FrameStream):
    """Frames of the variants `streaming` and, one frame late, `online`."""

    def __init__(self, vqvae: PoseVQVAE, capacity: int) -> None:
        self.vqvae = vqvae
        self.stacks: list[StackStream] = []
        for stack in vqvae.decoder_stacks:
            self.stacks.append(StackStream(cast(Stack, stack), capacity))
            capacity *= 2
        self._position: Tensor | None = None
        self._state: RootState | None = None

    def push(self, codes: Tensor) -> Tensor:
        """See `FrameStream.push`."""
        features = self.vqvae.post_quant_emb(self.vqvae.quantizer.lookup(codes))
        for stack in self.stacks:
            features = stack.push(features)
        return self._poses(features)

    def finish(self) -> Tensor | None:
        """See `FrameStream.finish`."""
        tails = []
        for index, stack in enumerate(self.stacks):
            tail = stack.finish()
            if tail is not None:
                for later in self.stacks[index + 1 :]:
                    tail = later.push(tail)
                tails.append(tail)
        return self._poses(torch.cat(tails, dim=1)) if tails else None

    def _poses(self, features: Tensor) -> Tensor:
        if self.vqvae.standardizer is not None:
            raw = self.vqvae.standardizer.restore(self.vqvae.raw_heads(features))
            motion, self._state = decoded_features(raw, state=self._state)
            return poses_of(motion)
        motion = self.vqvae.heads(features)
        position = motion.translation()
        if self._position is not None:
            position = position + self._position
        self._position = position[:, -1:]
        return pose_of(motion.matrices, position)


def poses_of(motion: DecodedMotion) -> Tensor:
    """(B, T, 3 J + 3) pose vectors of decoded motion."""
    return pose_of(motion.matrices, motion.translation())
