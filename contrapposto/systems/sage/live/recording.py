"""What live tracking leaves behind, and whole recordings tracked at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.io.devices import DeviceTrack, interpolate_poses
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.live.calibration import Calibration, fitted_betas
from contrapposto.systems.sage.live.tracker import FPS, LiveFrame, SparseTracker
from contrapposto.systems.sage.stream import PoseStream, Streams
from contrapposto.systems.sage.tracker import SageTracker


class Recording:
    """Bodies and devices as they came, and the even clip that they make.

    Args:
        scale: of the wearer; see `SparseTracker`.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.restart(scale)

    def restart(self, scale: float) -> None:
        """Forget all frames; go on with a wearer of this size."""
        self.scale = scale
        self._numbers: list[int] = []
        self._rotations: list[Tensor] = []
        self._places: list[Tensor] = []
        self._devices: list[np.ndarray] = []
        self._turns: list[np.ndarray] = []
        self._seen: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, frame: LiveFrame) -> None:
        """Keep a frame; they come in order."""
        self._numbers.append(frame.number)
        self._rotations.append(rot.matrix_to_quaternion(frame.body.rotations[0].float().cpu()))
        self._places.append(frame.body.root_translation[0].float().cpu())
        self._devices.append(frame.devices)
        self._turns.append(frame.turns)
        self._seen.append(frame.seen)

    def motion(self) -> Motion:
        """The clip at 60 frames/s; frames that were ignored lie between their neighbours.

        A wearer of another size gets a skeleton and a shape of that size.

        Raises:
            InputError: nothing was recorded.
        """
        numbers, wanted = self._span()
        quaternions, places = interpolate_poses(
            numbers, torch.stack(self._rotations), torch.stack(self._places)[:, None], wanted
        )
        rotations = rot.quaternion_to_axis_angle(quaternions).numpy()
        motion = Motion(rotations, places[:, 0].numpy(), FPS, SMPL22, metadata={"source": "SAGE"})
        if self.scale == 1.0:
            return motion
        return replace(
            motion,
            skeleton=SMPL22.with_offsets(self.scale * SMPL22.offsets),
            betas=fitted_betas(self.scale),
            metadata={**motion.metadata, "scale": f"{self.scale:.4f}", "shape_space": "contrapposto"},
        )

    def devices(self) -> DeviceTrack:
        """What the body was computed from, frame by frame like `motion`: times in seconds from its first frame."""
        numbers, wanted = self._span()
        turns = rot.matrix_to_quaternion(torch.from_numpy(np.stack(self._turns)))
        places = torch.from_numpy(np.stack(self._devices))
        quaternions, positions = interpolate_poses(numbers, turns, places, wanted)
        nearest = np.clip(np.searchsorted(numbers, wanted), 0, len(numbers) - 1)
        seen = np.stack(self._seen)[nearest]
        times = (wanted - wanted[0]) / FPS
        return DeviceTrack(rot.quaternion_to_matrix(quaternions), positions, times, seen)

    @property
    def start(self) -> float:
        """Seconds after the first packet at which the clip begins."""
        return self._numbers[0] / FPS

    def _span(self) -> tuple[np.ndarray, np.ndarray]:
        if not self._numbers:
            raise InputError(
                "No body was tracked.", found="no frame in which the head was seen twice within half a second"
            )
        numbers = np.array(self._numbers, np.float64)
        return numbers, np.arange(numbers[0], numbers[-1] + 1)


def track_recording(
    model: SageTracker | PoseStream | Streams,
    tracks: Iterable[DeviceTrack],
    *,
    scale: float = 1.0,
    calibration: Calibration | None = None,
    finishing: Finishing | None = None,
    batch: int = 512,
) -> tuple[Recording, Counter[str]]:
    """A whole recording, stretch by stretch; the same as pushing it packet by packet.

    Args:
        model: see `SparseTracker`; a `SageTracker` computes many frames at once.
        tracks: successive stretches (see `contrapposto.io.tracks.stream_devices`).
        scale, calibration, finishing: see `SparseTracker`.
        batch: frames that are computed at once.

    Returns:
        What was tracked, and the irregularities that were met.

    Raises:
        InputError: nothing could be tracked, and why.
    """
    tracker = SparseTracker(model, scale=scale, calibration=calibration, finishing=finishing)
    recording, frames, unseen = Recording(scale), 0, np.zeros(3, int)
    for track in tracks:
        for time, turns, places, seen in zip(
            track.times, track.rotations.numpy(), track.positions.numpy(), track.tracked
        ):
            if tracker.feed(float(time), turns, places, seen) >= batch:
                _keep(recording, tracker)
        _keep(recording, tracker)
        frames += len(track)
        unseen += (~track.tracked).sum(0)
    counts = Counter(tracker.counts)
    for device, count in zip(("head", "left hand", "right hand"), unseen.tolist()):
        if count:
            counts[f"{device} not tracked"] = count
    if not len(recording):
        raise InputError(
            "Nothing could be tracked.",
            found=f"{frames} frames: " + "; ".join(f"{n} x {kind}" for kind, n in counts.items()),
            expected="at least two successive frames in which the head is tracked",
        )
    return recording, counts


def _keep(recording: Recording, tracker: SparseTracker) -> None:
    for frame in tracker.poses():
        recording.add(frame)
