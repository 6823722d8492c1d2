"""Trackers as ONNX files for other runtimes: one frame in, one pose out, the memory carried by the caller.

Inputs: `sparse` (1, 3, 18), the device features of one frame at 60 frames/s (`features.sparse_features`); then the
memory. Outputs: `rotations` (1, 22, 3, 3) local, `root_translation` (1, 3) metres, `joints` (1, 22, 3) metres, world, z
up; then the memory for the next frame, `next_<name>` for every `<name>`. Before the first frame `window` (1, T, 3, 18)
holds that frame T times, all other memory is zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.errors import InputError
from contrapposto.onnx_files import open_onnx, write_onnx
from contrapposto.systems.sage.fast import prepare_tracker
from contrapposto.systems.sage.joints import NUM_JOINTS
from contrapposto.systems.sage.recurrent_tracker import Tracker
from contrapposto.systems.sage.student import StudentTracker
from contrapposto.systems.sage.tracker import SageTracker, TrackedBody, place

Exportable = SageTracker | StudentTracker | Tracker
_POSE = ("rotations", "root_translation", "joints", "sixd")


class StudentStep(nn.Module):
    """One frame of a `StudentTracker`; memory: `state` (layers, 1, width)."""

    names = ("state",)

    def __init__(self, tracker: StudentTracker) -> None:
        super().__init__()
        self.network, self.kinematics = tracker.network, tracker.kinematics

    def memory(self) -> tuple[Tensor, ...]:
        """Memory before the first frame."""
        return (torch.zeros(len(self.network.units), 1, self.network.width),)

    def forward(self, sparse: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, 18) and the memory to pose and memory."""
        sixd, state = self.network(sparse[None], state)
        return (*_pose(place(self.kinematics, sixd[0], sparse[:, 0, 12:15])), state)


class RecurrentStep(nn.Module):
    """One frame of a `Tracker` with three devices that are all seen, without its finishing; memory: `state`
    (layers, 1, width).
    """

    names = ("state",)

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self.network, self.kinematics = tracker.network, tracker.kinematics

    def memory(self) -> tuple[Tensor, ...]:
        """Memory before the first frame."""
        recurrent = self.network.recurrent
        return (torch.zeros(recurrent.num_layers, 1, recurrent.hidden_size),)

    def forward(self, sparse: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, 18) and the memory to pose and memory."""
        sixd, state = self.network(sparse[None], None, state)
        return (*_pose(place(self.kinematics, sixd[0, :, : 6 * NUM_JOINTS], sparse[:, 0, 12:15])), state)


class TrackerStep(nn.Module):
    """One frame of a `SageTracker`, its samplers started from zero; memory: `window` (1, T, 3, 18) and `hidden`
    (layers, 1, width) of the refiner.

    Args:
        tracker: prepared, with plain linear layers (`prepare_tracker`).
    """

    names = ("window", "hidden")

    def __init__(self, tracker: SageTracker) -> None:
        super().__init__()
        self.tracker = tracker

    def memory(self) -> tuple[Tensor, ...]:
        """Memory before the first frame, for a first frame of zeros."""
        gru = self.tracker.refiner.refine_net
        return (
            torch.zeros(1, self.tracker.window, 3, 18),
            torch.zeros(gru.num_layers, 1, gru.hidden_size),
        )

    def forward(self, sparse: Tensor, window: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, 18) and the memory to pose and memory."""
        window = torch.cat([window[:, 1:], sparse[:, None]], dim=1)
        tracker, start = self.tracker, torch.zeros(1, *self.tracker.first.latent_shape)
        frames = torch.zeros(1, dtype=torch.int64)  # they only key the noise
        coarse = tracker.coarse_windows(window, frames, {"upper": start, "lower": start})
        correction, hidden = tracker.refiner(coarse[None], hidden)
        body = tracker.place(coarse + correction[0], sparse[:, 0, 12:15])
        return (*_pose(body), window, hidden)


def _pose(body: TrackedBody) -> tuple[Tensor, ...]:
    return tuple(getattr(body, name) for name in _POSE)


def step_module(tracker: Exportable, steps: int | None = None) -> RecurrentStep | StudentStep | TrackerStep:
    """The network of one frame, in evaluation mode; `steps` of the samplers, those of the tracker where absent."""
    if isinstance(tracker, Tracker):
        return RecurrentStep(tracker).eval()
    if isinstance(tracker, StudentTracker):
        return StudentStep(tracker).eval()
    return TrackerStep(prepare_tracker(tracker, steps=steps, linears="plain")).eval()


def export_onnx(
    tracker: Exportable,
    path: str | Path,
    *,
    steps: int | None = None,
    int8: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a tracker as one ONNX file.

    Args:
        tracker: on the CPU.
        path: to write.
        steps: of the samplers of a `SageTracker`; its own where absent.
        int8: round the weights of the linear layers to 8 bits (not exact).
        metadata: put into the file, such as the licence of the training data.

    Raises:
        MissingError: the packages for it are not installed.
    """
    step = step_module(tracker, steps)
    return write_onnx(
        step,
        (torch.zeros(1, 3, 18), *step.memory()),
        path,
        input_names=["sparse", *step.names],
        output_names=[*_POSE, *(f"next_{name}" for name in step.names)],
        metadata={**(metadata or {}), "fps": "60", "joints": "SMPL, 22"},
        int8=int8,
    )


class ExportedStream:
    """Live tracking by an exported file: the interface of `SageStream`, needing onnxruntime alone.

    Args:
        path: an ONNX file of `export_onnx`.
        threads: of the runtime.

    Raises:
        MissingError: no such file, or ONNX Runtime is not installed.
        InputError: the file cannot be read, or is of something else.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        self.session = open_onnx(path, threads=threads)
        self.inputs = {value.name: value.shape for value in self.session.get_inputs()}
        self.outputs = [value.name for value in self.session.get_outputs()]
        if "sparse" not in self.inputs or not set(_POSE) <= set(self.outputs):
            raise InputError(
                f"{path} holds no tracker.", found=f"outputs {', '.join(self.outputs)}", expected="joints"
            )
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        self._memory: dict[str, np.ndarray] = {}

    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features, (3, 18) or (54,), complete; returns one frame of the body."""
        frame = np.ascontiguousarray(sparse.reshape(1, 3, 18).numpy(), dtype=np.float32)
        if not self._memory:
            self._memory = {name: self._start(name, frame) for name in self.inputs if name != "sparse"}
        values = self.session.run(None, {"sparse": frame, **self._memory})
        outputs = dict(zip(self.outputs, values))
        self._memory = {name: outputs[f"next_{name}"] for name in self._memory}
        return TrackedBody(**{name: torch.from_numpy(outputs[name]) for name in _POSE})

    def _start(self, name: str, frame: np.ndarray) -> np.ndarray:
        memory = np.zeros(self.inputs[name], np.float32)
        return memory + frame if name == "window" else memory
