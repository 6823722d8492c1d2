"""Streams: device features in, bodies out, a frame at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from contrapposto.devices import device_of
from contrapposto.systems.sage.finishing import Finisher, Finishing
from contrapposto.systems.sage.recurrent_stream import body_of
from contrapposto.systems.sage.tracker import SageStream, SageTracker, TrackedBody


@runtime_checkable
class PoseStream(Protocol):
    """What turns device features into bodies, a frame at a time: `SageStream`, or any other network.

    It may also have `observe(sparse, seen)`: take a frame in without computing a body. Without it a tracker that is
    too slow for its devices shows the network fewer frames than there were.
    """

    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """The body of the newest of the frames so far, with one row.

        Args:
            sparse: (3, 18) device features; devices that are not tracked are filled in.
            seen: (3,) bool, which are tracked; all where None.
        """
        ...

    def reset(self) -> None:
        """Forget all frames."""
        ...


class LiveStream(SageStream):
    """`SageStream` that may pass over frames and still sees all of them.

    Frames that were only observed stand in the window as they should; the refiner, which expects 60 frames/s, gets for
    them what lies between the two bodies that were computed.

    Args:
        tracker: in eval mode.
    """

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        super().reset()
        self._passed = 0
        self._coarse: Tensor | None = None

    def observe(self, sparse: Tensor, seen: Tensor | None = None) -> None:
        """Take one frame of device features, (3, 18) or (54,), without computing the body."""
        self._take(sparse.reshape(3, 18))
        self._passed += 1

    @torch.inference_mode()
    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features, (3, 18) or (54,), complete; returns one frame of the body."""
        sparse = sparse.reshape(3, 18)
        self._take(sparse)
        window = torch.stack(list(self._frames))[None]
        frame = torch.tensor([self._count - 1], device=sparse.device)
        (coarse,) = self._step(window, frame)
        before = coarse if self._coarse is None else self._coarse
        shares = torch.arange(1, self._passed + 2, device=sparse.device)[:, None] / (self._passed + 1)
        between = torch.lerp(before, coarse, shares.to(coarse.dtype))
        correction, self._state = self.tracker.refiner(between[None], self._state)
        self._coarse, self._passed = coarse, 0
        return self.tracker.place(coarse + correction[0, -1:], sparse[None, 0, 12:15])

    @torch.inference_mode()
    def push_block(self, sparse: Tensor, batch: int = 64) -> TrackedBody:
        """Successive frames (N, 3, 18), `batch` windows at a time; N bodies, the same as pushing one by one."""
        if not self._frames:
            self._frames.extend([sparse[0]] * (self.tracker.window - 1))
        history = list(self._frames)[-(self.tracker.window - 1) :]
        windows = torch.cat([torch.stack(history), sparse]).unfold(0, self.tracker.window, 1).movedim(-1, 1)
        frames = torch.arange(self._count, self._count + len(sparse), device=sparse.device)
        coarse = torch.cat(
            [self.tracker.coarse_windows(*part) for part in zip(windows.split(batch), frames.split(batch))]
        )
        correction, self._state = self.tracker.refiner(coarse[None], self._state)
        self._frames.extend(sparse)
        self._count += len(sparse)
        self._coarse, self._passed = coarse[-1:], 0
        return self.tracker.place(coarse + correction[0], sparse[:, 0, 12:15])

    def _take(self, sparse: Tensor) -> None:
        if not self._frames:
            self._frames.extend([sparse] * (self.tracker.window - 1))
        self._frames.append(sparse)
        self._count += 1


class FinishedStream:
    """A stream with `Finishing` on top.

    Args:
        stream: gives the poses.
        finishing: what is done to them.
        offsets: (22, 3) metres, of the skeleton; the default one's where None.
    """

    def __init__(self, stream: PoseStream, finishing: Finishing, offsets: Tensor | None = None) -> None:
        self.stream = stream
        self._finisher = Finisher(finishing, None if offsets is None else offsets.double().cpu().numpy())

    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """As `PoseStream.push`."""
        return self._finish(self.stream.push(sparse, seen), sparse.reshape(1, -1, 18), seen)

    def push_block(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """Successive frames (N, 3, 18), with (N, 3) of those tracked; many at once where the stream can do that."""
        if isinstance(self.stream, LiveStream):
            return self._finish(self.stream.push_block(sparse), sparse, seen)
        flags = [None] * len(sparse) if seen is None else list(seen)
        return joined([self.push(frame, flag) for frame, flag in zip(sparse, flags)])

    def observe(self, sparse: Tensor, seen: Tensor | None = None) -> None:
        """Take one frame in without computing the body, where the stream can do that."""
        observe = getattr(self.stream, "observe", None)
        if observe is not None:
            observe(sparse, seen)

    def reset(self) -> None:
        """Forget all frames."""
        self.stream.reset()
        self._finisher.reset()

    def _finish(self, body: TrackedBody, sparse: Tensor, seen: Tensor | None) -> TrackedBody:
        sixd = body.sixd.float().cpu().numpy()
        flags = None if seen is None else seen.reshape(len(sixd), -1).cpu().numpy()
        return body_of(sixd, self._finisher(sixd, sparse.float().cpu().numpy(), flags))


def stream_device(stream: PoseStream) -> torch.device:
    """Where a stream wants its features: where its networks are, the CPU where it has none (or runs in NumPy)."""
    inner = stream.stream if isinstance(stream, FinishedStream) else stream
    networks = getattr(inner, "tracker", None)
    return device_of(networks) if isinstance(networks, nn.Module) else torch.device("cpu")


def joined(bodies: Sequence[TrackedBody]) -> TrackedBody:
    """Frames of several bodies one after the other."""
    return TrackedBody(*(torch.cat([getattr(body, f.name) for body in bodies]) for f in fields(TrackedBody)))


class Streams(Protocol):
    """A tracker that makes its own streams, such as `StudentTracker`."""

    def stream(self) -> PoseStream:
        """A new stream."""
        ...


def stream_of(model: SageTracker | PoseStream | Streams, finishing: Finishing | None = None) -> PoseStream:
    """A stream for a tracker; what is a stream already comes back as it is.

    Args:
        model: a tracker or a stream.
        finishing: of the poses, for trackers that have none of their own.
    """
    if isinstance(model, PoseStream):
        stream = model
    else:
        stream = LiveStream(model) if isinstance(model, SageTracker) else model.stream()
    if finishing is None or finishing.does_nothing:
        return stream
    kinematics = getattr(model, "kinematics", None)
    return FinishedStream(stream, finishing, None if kinematics is None else kinematics.offsets)
