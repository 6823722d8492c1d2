"""Motion from actions, lengths and a past: PoseGPT's inference path, for batches, long motions and live use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.posegpt.gpt import PoseGPT
from contrapposto.systems.posegpt.plan import Plan, Segment
from contrapposto.systems.posegpt.poses import (
    Height,
    face_forward,
    network_input,
    num_joints_of,
    repeat_last_valid,
    turn_world,
    zero_start,
)
from contrapposto.systems.posegpt.prepared import PreparedGPT
from contrapposto.systems.posegpt.rollout import FrameStream, Noise, poses_of, roll_out
from contrapposto.systems.posegpt.seams import Seam
from contrapposto.systems.posegpt.token_loop import TokenLoops
from contrapposto.systems.posegpt.token_sampling import Draw, keyed_exponential

_STEPS_PER_WINDOW = 1 << 20  # draws of window w, token i are keyed by the step w * this + i


@dataclass(frozen=True)
class Sampled:
    """Generated motion.

    Args:
        pose: (B, T, 3 J + 3) pose vectors at 30 frames/s; frames that are not valid repeat the last valid one.
        valid: (B, T) bool.
        tokens: (B, L, K) codes, window after window, -1 where not valid.
        margin: (B,) the smallest margin of all choices, see `Draw.choose`.
        num_past: how many of the frames are the given past.
    """

    pose: Tensor
    valid: Tensor
    tokens: Tensor
    margin: Tensor
    num_past: int = 0


@dataclass
class _Record:
    """What windows of B motions leave behind beside their frames."""

    batch: int
    tokens: list[Tensor] = field(default_factory=list)
    margins: list[Tensor] = field(default_factory=list)


class PoseGPTSampler(nn.Module):
    """Draws motions.

    Draws are keyed by (seed, window, token, sample id): a sample is the same in a batch of 1 or 32, up to
    choices with a margin near rounding error.

    Args:
        model: the generator with its auto-encoder.
        window: frames that the generator was trained on; longer motions are made window by window, each
            beginning with the last `overlap` frames of the one before.
        overlap: see above; a multiple of the auto-encoder's factor.
        fade: frames over which the seam between windows fades, see `Seam`.
        per_frame: the generator was trained with actions frame by frame; segments may then meet inside a
            window. Else a window ends where a segment does.
        height: of the root in the networks' windows, see `poses.Height`.
        canonical: the networks were trained on windows whose first frame faces forward (`poses.face_forward`): a
            past is turned before it is encoded, and what continues it is turned back.
        original_decode: decode code 0 beyond a motion's end, seen by the tokens before it, as the original
            does, in place of nothing.
        cached: see `roll_out`; the weights are taken over when the first motion is sampled.

    Raises:
        ConfigError: no auto-encoder, or sizes that do not fit together.
    """

    def __init__(
        self,
        model: PoseGPT,
        *,
        window: int = 64,
        overlap: int = 16,
        fade: int = 10,
        per_frame: bool = False,
        canonical: bool = False,
        height: Height = "start",
        original_decode: bool = False,
        cached: bool = True,
    ) -> None:
        super().__init__()
        if model.vqvae is None:
            raise ConfigError(
                "A sampler needs the generator with its auto-encoder.", fix="PoseGPT(vqvae, ...)"
            )
        most = (model.gpt.block_size - 1) * model.factor
        if window > most or window % model.factor or overlap % model.factor or not 0 < overlap < window:
            raise ConfigError(
                f"A window of {window} frames with an overlap of {overlap} cannot be generated.",
                expected=f"multiples of {model.factor}; overlap < window <= {most}",
            )
        if per_frame and not model.every_step:
            raise ConfigError("Actions frame by frame need a generator with every_step=true.")
        model.check_lengths(0, window)
        self.model, self.vqvae = model.eval(), model.vqvae
        self.window, self.overlap, self.fade, self.per_frame = window, overlap, fade, per_frame
        self.canonical, self.height = canonical, height
        self.original_decode, self.cached = original_decode, cached
        self._prepared: PreparedGPT | None = None
        self._loops: TokenLoops | None = None

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.model.gpt.pos_emb.device

    @torch.inference_mode()
    def sample(
        self,
        actions: Tensor | None,
        lengths: Tensor,
        *,
        past: Tensor | None = None,
        draw: Draw | None = None,
        sample_ids: Tensor | None = None,
    ) -> Sampled:
        """Motions of one window each, all conditions by sample: what evaluation needs.

        Args:
            actions: (B, A), or (B, T, A) frame by frame; None for generators that take none.
            lengths: (B,) frames of each motion, the past included, 1 to `window`.
            past: (B, P, D) pose vectors that the motions begin with.
            draw: how.
            sample_ids: (B,) keys of the draws; 0, 1, ... where absent.

        Raises:
            InputError: a length out of range, a past that cannot be used, or a condition that is missing.
        """
        if lengths.ndim != 1 or not len(lengths) or lengths.min() < 1 or lengths.max() > self.window:
            raise InputError(
                f"Motions of {lengths.tolist()[:8]} frames cannot be sampled in one window.",
                expected=f"1 to {self.window} frames each",
                fix="generate() makes longer ones window by window",
            )
        draw, factor, longest = draw or Draw(), self.model.factor, int(lengths.max())
        lengths = lengths.to(self.device)
        ids = self._ids(len(lengths), sample_ids)
        known, turn = (None, None) if past is None else self._encode(past)
        count = -(-longest // factor)
        steps = [] if known is None else [known]
        margins = [torch.full((len(ids),), torch.inf, device=self.device)]
        for step in roll_out(
            self.model, count, self._to_device(actions), lengths, draw=draw, noise=self._noise(draw, ids, 0),
            past=known, batch=len(ids), may_end_after=1, **self._way(),
        ):  # fmt: skip
            steps.append(step.codes[:, None])
            margins.append(step.margin)
        tokens = torch.cat(steps, dim=1)
        token_valid = torch.arange(count, device=self.device) < (-(-lengths // factor))[:, None]
        token_valid &= ~(tokens < 0).any(-1).cumsum(1).bool()
        pose, frame_valid = self._decode(tokens, token_valid, lengths, longest)
        pose = _turned_back(pose, turn)
        num_past = 0 if known is None else known.shape[1] * factor
        codes = tokens.masked_fill(~token_valid[..., None], -1)
        return Sampled(pose, frame_valid, codes, torch.stack(margins).amin(0), num_past)

    def _decode(
        self, tokens: Tensor, token_valid: Tensor, lengths: Tensor, longest: int
    ) -> tuple[Tensor, Tensor]:
        if self.original_decode:
            ended = (tokens < 0).any(-1).cumsum(1).bool()
            motion = self.vqvae.decode_tokens(tokens.masked_fill(ended[..., None], 0), ~ended)
        else:
            motion = self.vqvae.decode_tokens(tokens.masked_fill(~token_valid[..., None], -1), token_valid)
        frames = torch.arange(motion.deltas.shape[1], device=self.device)
        valid = (frames < lengths[:, None]) & token_valid.repeat_interleave(self.model.factor, dim=1)
        return repeat_last_valid(poses_of(motion), valid)[:, :longest], valid[:, :longest]

    def _encode(self, past: Tensor) -> tuple[Tensor, Tensor | None]:
        """Codes (B, C, K) of pose vectors (B, P, D), and the turns (B, 3, 3) that were made before encoding.

        Of an odd past the first frame is left out.

        Raises:
            ConfigError: the auto-encoder of the variant `offline` cannot be conditioned on a past.
            InputError: the past is shorter than one token, fills the window, or has other joints.
        """
        if not self.vqvae.causal_encoder:
            raise ConfigError(
                "An auto-encoder of the variant offline sees the future, so it cannot encode a past alone.",
                fix="train the variant causal, online or streaming",
            )
        factor = self.model.factor
        joints = num_joints_of(past.shape[-1])
        if joints != self.vqvae.num_joints:
            raise InputError(
                f"The past has {joints} joints.",
                expected=f"{self.vqvae.num_joints}",
                fix="map the clip with Motion.to_skeleton or contrapposto.retarget.to_smpl",
            )
        if not factor <= past.shape[1] < self.window:
            raise InputError(
                f"A past of {past.shape[1]} frames cannot be continued in a window of {self.window}.",
                expected=f"{factor} to {self.window - 1} frames",
            )
        kept = zero_start(past[:, past.shape[1] % factor :].to(self.device), height=self.height)
        turn = None
        if self.canonical:
            kept, turn = face_forward(kept)
        return self.vqvae.tokens(network_input(kept))[0], turn

    def generate(
        self,
        segments: Sequence[Segment],
        count: int = 1,
        *,
        past: Tensor | None = None,
        draw: Draw | None = None,
        sample_ids: Tensor | None = None,
    ) -> Sampled:
        """Motions of any length, one segment after the other without a jump.

        Args:
            segments: what happens, and for how long.
            count: number of motions B.
            past: (P, D) or (B, P, D) pose vectors to continue; they stand unchanged at the beginning of the
                result. Only the last `overlap` frames are looked at.
            draw: how.
            sample_ids: (B,) keys of the draws; 0, 1, ... where absent.

        Raises:
            InputError: no segments, a length that is not positive, a past shorter than one token.
        """
        record = _Record(count)
        parts = list(
            self._stream(segments, count, past, draw or Draw(), self._ids(count, sample_ids), record)
        )
        before = self._past(past, count)
        pose = torch.cat(parts if before is None else [before, *parts], dim=1)
        valid = torch.ones(pose.shape[:2], dtype=torch.bool, device=pose.device)
        num_past = 0 if before is None else before.shape[1]
        margin = torch.stack(record.margins).amin(0)
        return Sampled(pose, valid, torch.cat(record.tokens, dim=1), margin, num_past)

    def stream(
        self,
        segments: Sequence[Segment],
        count: int = 1,
        *,
        past: Tensor | None = None,
        draw: Draw | None = None,
        sample_ids: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The frames of `generate` (without the past) as soon as they are final: (B, n, D) at a time.

        With the variant `streaming` a token's frames come at once, with `online` one frame late; the decoders
        of the other two see the future, so their frames come window by window. Same arguments and errors.
        """
        draw = draw or Draw()
        yield from self._stream(segments, count, past, draw, self._ids(count, sample_ids), _Record(count))

    @torch.inference_mode()
    def _stream(
        self,
        segments: Sequence[Segment],
        count: int,
        past: Tensor | None,
        draw: Draw,
        ids: Tensor,
        record: _Record,
    ) -> Iterator[Tensor]:
        plan = Plan.of(segments, count, self.device)
        tail = self._past(past, count)
        done = number = 0
        while done < plan.total:
            context = None if tail is None else self._context(tail)
            seen = 0 if context is None else context.shape[1]
            new = min(self.window - seen, plan.total - done if self.per_frame else plan.left(done))
            actions = plan.actions(done - seen, done + new, self.per_frame)
            decoded = self._frames(context, seen + new, actions, self._noise(draw, ids, number), draw, record)
            for chunk in _after(decoded, context, new, self.fade, self.height):
                tail = chunk if tail is None else torch.cat([tail, chunk], dim=1)[:, -self.overlap :]
                yield chunk
            done, number = done + new, number + 1

    def _context(self, tail: Tensor) -> Tensor:
        """The last frames (B, C, D), C a multiple of the factor; of a single frame, that frame held."""
        factor = self.model.factor
        tail = tail[:, -self.overlap :]
        if tail.shape[1] < factor:
            return torch.cat([tail[:, :1].expand(-1, factor - tail.shape[1], -1), tail], dim=1)
        return tail[:, tail.shape[1] % factor :]

    @torch.inference_mode()
    def _frames(
        self,
        context: Tensor | None,
        frames: int,
        actions: Tensor | None,
        noise: Noise | None,
        draw: Draw,
        record: _Record,
    ) -> Iterator[Tensor]:
        """Decoded frames of one window, the context's first, as soon as they are final."""
        count = -(-frames // self.model.factor)
        known, turn = (None, None) if context is None else self._encode(context)
        lengths = torch.full((record.batch,), frames, device=self.device)
        stream = FrameStream.of(self.vqvae, count) if self.vqvae.causal_decoder else None
        tokens = [] if known is None else [known]
        if stream is not None and known is not None:
            yield _turned_back(stream.push(known), turn)
        for step in roll_out(
            self.model, count, actions, lengths, draw=draw, noise=noise, past=known, batch=record.batch,
            **self._way(),
        ):  # fmt: skip
            tokens.append(step.codes[:, None])
            record.tokens.append(tokens[-1])
            record.margins.append(step.margin)
            if stream is not None:
                yield _turned_back(stream.push(tokens[-1]), turn)
        if stream is None:
            yield _turned_back(poses_of(self.vqvae.decode_tokens(torch.cat(tokens, dim=1))), turn)
        else:
            last = stream.finish()
            if last is not None:
                yield _turned_back(last, turn)

    def _way(self) -> dict[str, Any]:
        """How to roll out; the prepared generator follows this module to its device."""
        if not self.cached or not self.model.gpt.causal:
            return {"cached": False}
        if self._prepared is None or self._prepared.bias.device != self.device:
            self._prepared = PreparedGPT(self.model.gpt)
            self._loops = TokenLoops(self._prepared) if self.device.type == "cuda" else None
        return {"prepared": self._prepared, "loops": self._loops}

    def _noise(self, draw: Draw, ids: Tensor, window: int) -> Noise | None:
        if draw.greedy:
            return None
        gpt = self.model.gpt
        shape = (gpt.num_books, gpt.book_size + int(gpt.end_token))
        return lambda token: keyed_exponential(draw.seed, window * _STEPS_PER_WINDOW + token, ids, shape)

    def _ids(self, count: int, sample_ids: Tensor | None) -> Tensor:
        if count < 1:
            raise InputError(f"{count} motions were asked for.", expected="1 or more")
        ids = torch.arange(count) if sample_ids is None else sample_ids
        if tuple(ids.shape) != (count,):
            raise InputError(f"{tuple(ids.shape)} sample ids for {count} motions.")
        return ids.to(self.device)

    def _past(self, past: Tensor | None, count: int) -> Tensor | None:
        if past is None:
            return None
        past = past.to(self.device).float()
        past = past.expand(count, *past.shape[-2:]) if past.ndim == 2 else past
        if past.shape[1] < self.model.factor:
            raise InputError(
                f"A past of {past.shape[1]} frames is shorter than one token.",
                expected=f"{self.model.factor} frames or more at 30 frames/s",
            )
        return past

    def _to_device(self, value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(self.device)


def _turned_back(pose: Tensor, turn: Tensor | None) -> Tensor:
    """Poses (B, T, D) in the world that `turn` (B, 3, 3) was made from."""
    return pose if turn is None else turn_world(pose, turn.mT[:, None])


def _after(
    decoded: Iterator[Tensor], context: Tensor | None, new: int, fade: int, height: Height
) -> Iterator[Tensor]:
    """The `new` frames after the context's from the decoded frames of both, placed where the context ends."""
    seen = 0 if context is None else context.shape[1]
    held: list[Tensor] = []
    seam: Seam | None = None
    count = 0
    for chunk in decoded:
        if context is not None and seam is None:
            held.append(chunk)
            joined = torch.cat(held, dim=1)
            if joined.shape[1] < seen:
                continue
            seam = Seam(context, joined[:, :seen], fade, height=height)
            chunk = joined[:, seen:]
        chunk = chunk[:, : new - count]
        count += chunk.shape[1]
        if chunk.shape[1]:
            yield chunk if seam is None else seam.apply(chunk)
