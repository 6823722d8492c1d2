"""Live use of SAGE: push poses of three devices with time stamps as they come, get the body (docs/live.md)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.sage.features import sparse_features
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.live.calibration import Calibration
from contrapposto.systems.sage.live.lost_devices import DropoutGuard
from contrapposto.systems.sage.live.resampling import PoseSampler, Tick
from contrapposto.systems.sage.stream import (
    FinishedStream,
    LiveStream,
    PoseStream,
    Streams,
    joined,
    stream_device,
    stream_of,
)
from contrapposto.systems.sage.tracker import SageTracker, TrackedBody

FPS = 60.0


@dataclass(frozen=True)
class LiveFrame:
    """The body at one frame of the even sequence.

    Args:
        number: the frame; its time is number / 60 seconds after the first packet.
        body: one row, in the wearer's size.
        devices: (3, 3) metres, where head and hands were taken to be.
        turns: (3, 3, 3) their orientations as joints.
        seen: (3,) which of them were tracked.
        passed: frames before this one that were observed without computing a body.
    """

    number: int
    body: TrackedBody
    devices: np.ndarray
    turns: np.ndarray
    seen: np.ndarray
    passed: int = 0

    @property
    def time(self) -> float:
        """Seconds after the first packet, by the device's clock."""
        return self.number / FPS


class SparseTracker:
    """Three 6-DoF poses with a time stamp in, a body out; for devices of any rate, with gaps, jitter and losses.

    Packets are resampled by their time stamps to 60 frames/s, so the body can never drift away from them; repeated and
    late ones are ignored, clocks that are set anew and long silences restart the window, devices that are not seen
    are filled in (see `DeviceClock`, `PoseSampler`, `DropoutGuard`).

    Args:
        model: a tracker in evaluation mode, or anything with `push` and `reset` (`PoseStream`).
        scale: size of the wearer relative to the default figure (see `calibration.scale_of_height`). The network then
            sees positions divided by it and works in the proportions that it knows; the body comes back multiplied.
            1, the original's way, takes everybody for the default figure.
        calibration: from devices to joints; none for poses that are those of the joints already.
        finishing: of the poses (filter, reach, floor), in the proportions of the network; for models that have none of
            their own.
        max_gap: seconds of silence after which the window restarts.
        device: where the stream wants its features; None: where the model is, the CPU for streams that are in NumPy.
    """

    def __init__(
        self,
        model: SageTracker | PoseStream | Streams,
        *,
        scale: float = 1.0,
        calibration: Calibration | None = None,
        finishing: Finishing | None = None,
        max_gap: float = 0.5,
        device: torch.device | str | None = None,
    ) -> None:
        self.stream = stream_of(model, finishing)
        self.device, self.max_gap = torch.device(device or stream_device(self.stream)), max_gap
        self.scale, self.calibration = scale, calibration
        self.reset()

    @property
    def counts(self) -> Counter[str]:
        """Irregularities of the time stamps so far: repeated, late, without a time, clock set anew."""
        return self.sampler.clock.counts

    @property
    def waiting(self) -> bool:
        """Whether the head has not been seen yet: there is no body without it."""
        return self._last is None

    @property
    def time(self) -> float:
        """Seconds of the device's clock from the first packet to the newest."""
        return self.sampler.clock.time

    def reset(self) -> None:
        """Forget everything, for a new recording."""
        self.sampler = PoseSampler(FPS, self.max_gap, DropoutGuard(self.scale))
        self.stream.reset()
        self._last: Tick | None = None
        self._fresh = True
        self._pending: list[_Waiting] = []

    def configure(self, *, scale: float | None = None, calibration: Calibration | None = None) -> None:
        """Another size or calibration from now on; the window restarts, time goes on."""
        self.scale = self.scale if scale is None else scale
        self.calibration = self.calibration if calibration is None else calibration
        self.sampler.guard = DropoutGuard(self.scale)
        self._pending.clear()
        self._last = None

    def feed(
        self, time: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray | None = None
    ) -> int:
        """Take one packet in without computing a body; returns how many frames wait for `pose` or `poses`.

        Args:
            time: seconds of the device's clock.
            rotations: (3, 3, 3) of head, left and right, z up.
            positions: (3, 3) metres.
            seen: (3,) which of them are tracked; NaN counts as not seen.
        """
        if self.calibration is not None:
            rotations, positions = self.calibration.apply(np.asarray(rotations), np.asarray(positions))
        for tick in self.sampler.push(time, rotations, positions, seen):
            if tick.restart or self._last is None:
                self._fresh = True
            else:
                self._pending.append(_Waiting(tick, self._features(self._last, tick), self._fresh))
                self._fresh = False
            self._last = tick
        return len(self._pending)

    def pose(self) -> LiveFrame | None:
        """The body at the newest frame; older ones that wait are only observed. None where none waits."""
        if not self._pending:
            return None
        observe = getattr(self.stream, "observe", None)
        pending, self._pending = self._pending, []
        for waiting in pending:
            if waiting.fresh:
                self.stream.reset()
            if waiting is not pending[-1] and observe is not None:
                observe(waiting.features, waiting.seen)
        newest = pending[-1]
        return self._frames([newest], self.stream.push(newest.features, newest.seen), len(pending) - 1)[0]

    def poses(self) -> list[LiveFrame]:
        """The bodies at all frames that wait."""
        result: list[LiveFrame] = []
        pending, self._pending = deque(self._pending), []
        while pending:
            run = [pending.popleft()]
            while pending and not pending[0].fresh:
                run.append(pending.popleft())
            if run[0].fresh:
                self.stream.reset()
            result += self._frames(run, self._block(run))
        return result

    def _block(self, run: Sequence[_Waiting]) -> TrackedBody:
        """The bodies of successive frames, many at once where the stream can do that."""
        features = torch.stack([waiting.features for waiting in run])
        if isinstance(self.stream, LiveStream):
            return self.stream.push_block(features)
        if isinstance(self.stream, FinishedStream):
            return self.stream.push_block(features, torch.stack([waiting.seen for waiting in run]))
        return joined([self.stream.push(waiting.features, waiting.seen) for waiting in run])

    def push(
        self, time: float, rotations: np.ndarray, positions: np.ndarray, seen: np.ndarray | None = None
    ) -> LiveFrame | None:
        """One packet in, the newest body out; None where no new frame is complete. Arguments as in `feed`."""
        self.feed(time, rotations, positions, seen)
        return self.pose()

    def _features(self, before: Tick, tick: Tick) -> Tensor:
        rotations = torch.from_numpy(np.stack([before.rotations, tick.rotations]))
        positions = torch.from_numpy(np.stack([before.positions, tick.positions])) / self.scale
        return sparse_features(rotations, positions)[0].float().to(self.device)

    def _frames(self, waiting: Sequence[_Waiting], body: TrackedBody, passed: int = 0) -> list[LiveFrame]:
        body = scaled(body, self.scale)
        rows = zip(body.sixd, body.rotations, body.root_translation, body.joints)
        return [
            LiveFrame(
                item.tick.number,
                TrackedBody(*(part[None] for part in row)),
                item.tick.positions,
                item.tick.rotations,
                item.tick.seen,
                passed,
            )
            for item, row in zip(waiting, rows)
        ]


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame whose body was not computed yet; `fresh` where the network must forget what was before."""

    tick: Tick
    features: Tensor
    fresh: bool

    @property
    def seen(self) -> Tensor:
        """(3,) bool, which devices are tracked."""
        return torch.from_numpy(self.tick.seen)


def scaled(body: TrackedBody, scale: float) -> TrackedBody:
    """The same pose of a figure whose bones are `scale` times as long, above the same floor."""
    if scale == 1.0:
        return body
    return replace(body, root_translation=scale * body.root_translation, joints=scale * body.joints)
