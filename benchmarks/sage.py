"""SAGE's whole tracker at full size: live frames, windows in batches, and training steps with cached frozen outputs.

Weights are random: the speed does not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measure import Row, compare, floor_share, flops, matmul_speed, seconds
from contrapposto.io.amass import read_amass
from contrapposto.shipped import FOLDER
from contrapposto.systems.sage.body_losses import DecoderLoss, RefinerLoss
from contrapposto.systems.sage.diffusion import MotionDiffusion
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.features import sage_features
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.recurrent_stream import TrackerStream
from contrapposto.systems.sage.recurrent_tracker import Tracker
from contrapposto.systems.sage.student import StudentTracker
from contrapposto.systems.sage.tracker import SageTracker, TrackedBody, start_noise

BATCH = 64
PLAIN = "5 calls of each network, all recomputed"


def run(threads: int) -> Iterator[Row]:
    """Every figure, one by one."""
    torch.manual_seed(0)
    tracker = SageTracker().eval()
    yield from _recurrent()
    yield _student(1)
    yield _student(2)
    yield from _live(tracker, threads)
    yield _windows(tracker, threads)
    yield from _training(tracker, threads)


def _live(tracker: SageTracker, threads: int) -> Iterator[Row]:
    """Batch 1: one frame in, one pose out."""
    frame = 0.3 * torch.randn(3, 18)
    plain = PlainStream(tracker)
    for steps in (5, 2, 1):
        for linears in ("packed", "int8"):
            stream = prepare_tracker(tracker, steps=steps, linears=linears).stream()
            taken, ratio = compare(_pusher(stream, frame), _pusher(plain, frame), repeats=3)
            exact = prepare_tracker(tracker, steps=steps, linears="plain").stream()
            share = floor_share(flops(_pusher(exact, frame)), taken, matmul_speed())
            yield Row(
                f"sage, live, {steps} step{'s' if steps > 1 else ''}, {linears}",
                1 / taken,
                "frames/s",
                threads,
                "int8" if linears == "int8" else "float32",
                share,
                ratio,
                PLAIN,
            )


def _pusher(stream: object, frame: Tensor) -> Callable[[], object]:
    return lambda: stream.push(frame)  # type: ignore[attr-defined]


def _recurrent() -> Iterator[Row]:
    """The shipped recurrent tracker, live on a shipped clip, on one core, with all of finishing and without."""
    clip = sage_features(read_amass(FOLDER / "cmu_01_03.npz").resample(60.0))["sparse"]
    tracker = Tracker.from_pretrained("tracker")
    for finishing in (Finishing(), Finishing.none()):
        tracker.finishing = finishing
        stream, frames = tracker.stream(), cycle(clip)
        taken = seconds(partial(_push_next, stream, frames), minimum=2.0)
        yield Row(f"tracker, live, {finishing}", 1 / taken, "frames/s", 1)


def _push_next(stream: TrackerStream, frames: Iterator[Tensor]) -> None:
    stream.push(next(frames))


def _student(threads: int) -> Row:
    """The student, live, with its own number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    tracker = StudentTracker().eval()
    taken = seconds(_pusher(tracker.stream(), 0.3 * torch.randn(3, 18)), minimum=2.0)
    size = sum(p.numel() for p in tracker.network.parameters())
    row = Row(f"sage student ({size / 1e6:.1f} M weights), live", 1 / taken, "frames/s", threads)
    torch.set_num_threads(before)
    return row


def _windows(tracker: SageTracker, threads: int) -> Row:
    """A clip: all its windows in batches of 64."""
    sparse = 0.3 * torch.randn(BATCH, 3, 18)
    prepared, counted = prepare_tracker(tracker), prepare_tracker(tracker, linears="plain")
    plain = PlainStream(tracker)
    taken, ratio = compare(
        lambda: prepared.track(sparse, batch_size=BATCH), lambda: plain.track(sparse), repeats=2
    )
    share = floor_share(flops(lambda: counted.track(sparse, batch_size=BATCH)), taken, matmul_speed())
    name = f"sage, clip, 5 steps, batch {BATCH}"
    return Row(name, BATCH / taken, "frames/s", threads, floor_share=share, ratio=ratio, plain=PLAIN)


def _training(tracker: SageTracker, threads: int) -> Iterator[Row]:
    """Steps of the decoder (32 windows) and the refiner (one sequence of 61): docs/specs/sage.md, section 10."""
    decoder, refiner = tracker.decoder, tracker.refiner
    decoder_step = _step(decoder, _decoder_loss(decoder, 32))
    refiner_step = _step(refiner, _refiner_loss(refiner, 61))
    windows, clip = 0.3 * torch.randn(32, 20, 3, 18), 0.3 * torch.randn(61, 3, 18)
    frames = torch.arange(32)

    def sampled() -> None:
        with torch.no_grad():
            tracker.latents(windows, frames)
        decoder_step()

    def decoded() -> None:
        with torch.no_grad():
            tracker.coarse(clip)
        refiner_step()

    for name, cached, uncached in (
        ("decoder, training step, batch 32", decoder_step, sampled),
        ("refiner, training step, 61 frames", refiner_step, decoded),
    ):
        taken, ratio = compare(cached, uncached, repeats=2)
        taken = min(taken, seconds(cached, minimum=1.0))
        share = floor_share(flops(cached), taken, matmul_speed())
        yield Row(f"sage {name}", 1 / taken, "steps/s", threads, "float32", share, ratio, "frozen not cached")


def _step(network: torch.nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        network.train()
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        network.eval()

    return step


def _decoder_loss(decoder: torch.nn.Module, batch: int) -> Callable[[], Tensor]:
    criterion, latents = DecoderLoss(), torch.randn(2, batch, 10, 384)
    sparse, target = torch.randn(batch, 20, 3, 18), torch.randn(batch, 132)
    return lambda: criterion(decoder(*latents, sparse, last_only=True)[:, 0], target, sparse[:, -1]).total


def _refiner_loss(refiner: torch.nn.Module, frames: int) -> Callable[[], Tensor]:
    criterion, coarse = RefinerLoss(), torch.randn(1, frames, 132)
    sparse, target = torch.randn(frames, 3, 18), torch.randn(frames, 132)
    return lambda: criterion((coarse + refiner(coarse)[0])[0], target, sparse).total


class PlainStream:
    """The tracker of docs/specs/sage.md, sections 1 to 2.5: five calls of each network, nothing cached between them."""

    def __init__(self, tracker: SageTracker) -> None:
        self.tracker = tracker
        self.frames: list[Tensor] = []
        self.state: Tensor | None = None

    @torch.inference_mode()
    def push(self, frame: Tensor) -> TrackedBody:
        """One frame (3, 18)."""
        self.frames = [*(self.frames or [frame] * 19)[-19:], frame]
        coarse = self._coarse(torch.stack(self.frames)[None], torch.zeros(1, dtype=torch.int64))
        correction, self.state = self.tracker.refiner(coarse, self.state)
        return self.tracker.place((coarse + correction)[0], frame[None, 0, 12:15])

    @torch.inference_mode()
    def track(self, sparse: Tensor) -> TrackedBody:
        """All frames (N, 3, 18) of a clip in one batch."""
        coarse = self._coarse(self.tracker.windows(sparse), torch.arange(len(sparse))).transpose(0, 1)
        return self.tracker.place((coarse + self.tracker.refiner(coarse)[0])[0], sparse[:, 0, 12:15])

    def _coarse(self, windows: Tensor, frames: Tensor) -> Tensor:
        upper = self._sample(self.tracker.first, windows, frames, "upper", None)
        lower = self._sample(self.tracker.second, windows, frames, "lower", upper)
        decoded: Tensor = self.tracker.decoder(upper, lower, windows)
        return decoded[:, -1:]

    def _sample(
        self, network: MotionDiffusion, windows: Tensor, frames: Tensor, part: str, upper: Tensor | None
    ) -> Tensor:
        inner, batch = network.denoiser_upper, len(windows)
        latent = network.start_scale * start_noise(0, frames, network.latent_shape, part)
        for step, previous in network.schedule.transitions(5, skip_idle=False):
            slots = F.conv1d(windows.flatten(0, 1), network.cond_encoder.weight, network.cond_encoder.bias)
            condition = network.cond_encoder2(slots.view(batch, 20, -1))
            modulations = inner.modulations(torch.full((batch,), step))
            clean = inner(latent, inner.prepare(condition, upper), modulations)
            latent = network.schedule.step(clean, latent, step, previous)
        return latent
