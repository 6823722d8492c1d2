"""The recurrent tracker live, frame by frame, in NumPy: a step of torch operators would take several times as long.

The same numbers as `Tracker.track` to rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import erf, expit
from torch import Tensor

from contrapposto.systems.sage.finishing import Finisher, Posed, matrices
from contrapposto.systems.sage.head_frame import HEAD_HEIGHT, SCALES, TRACKER_JOINTS, VALUES
from contrapposto.systems.sage.joints import NUM_JOINTS
from contrapposto.systems.sage.tracker import TrackedBody

if TYPE_CHECKING:
    from contrapposto.systems.sage.recurrent_tracker import Tracker

_STILL = np.array([1, 0, 0, 0, 1, 0], np.float32)


class TrackerStream:
    """Live tracking: push a frame, get the body. Equal to `Tracker.track` on the frames so far.

    Args:
        tracker: in evaluation mode; later changes of its weights do not show.
    """

    def __init__(self, tracker: Tracker) -> None:
        network = tracker.network
        self._embed = _linear(network.embed[0])
        self._out = _linear(network.out)
        weights = {
            name: value.detach().cpu().float().numpy() for name, value in network.recurrent.named_parameters()
        }
        self._cells = [
            tuple(weights[f"{name}_l{layer}"] for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh"))
            for layer in range(network.recurrent.num_layers)
        ]
        self._width = network.recurrent.hidden_size
        self._finisher = Finisher(tracker.finishing, tracker.kinematics.offsets.double().cpu().numpy())
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        self._state = [np.zeros(self._width, np.float32) for _ in self._cells]
        self._finisher.reset()

    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features.

        Args:
            sparse: (D, 18) or (D * 18,), see `head_frame.device_inputs`.
            seen: (D,) bool, which devices are tracked; all where None.
        """
        devices = sparse.detach().cpu().float().numpy().reshape(-1, 18)
        flags = None if seen is None else seen.cpu().numpy()
        return body_of(*self._step(devices, flags))

    def observe(self, sparse: Tensor, seen: Tensor | None = None) -> None:
        """Take one frame in whose body nobody asks for; arguments of `push`."""
        self.push(sparse, seen)

    def _step(self, devices: np.ndarray, seen: np.ndarray | None) -> tuple[np.ndarray, Posed]:
        inputs, cosine, sine = _inputs(devices, seen)
        features = self._embed[0] @ inputs + self._embed[1]
        features = features * (0.5 + 0.5 * erf(features * np.float32(0.5**0.5)))
        for number, cell in enumerate(self._cells):
            features = self._state[number] = _cell(features, self._state[number], *cell)
        sixd = self._out[0] @ features + self._out[1]
        x, y = sixd[0:6:3].copy(), sixd[1:6:3].copy()
        sixd[0:6:3], sixd[1:6:3] = cosine * x - sine * y, sine * x + cosine * y
        posed = self._finisher(sixd[None], devices[None, :3], None if seen is None else seen[None, :3])
        return sixd[None], posed


def body_of(sixd: np.ndarray, posed: Posed) -> TrackedBody:
    """A `TrackedBody` of finished poses; `sixd` is what the network gave, with or without contacts."""
    local, joints = torch.from_numpy(posed.local).float(), torch.from_numpy(posed.positions).float()
    root = torch.from_numpy(posed.root_translation).float()
    return TrackedBody(torch.from_numpy(sixd[:, : 6 * NUM_JOINTS]), local, root, joints)


def _linear(layer: torch.nn.Module) -> tuple[np.ndarray, np.ndarray]:
    values = (layer.get_parameter(name).detach().cpu().float().numpy() for name in ("weight", "bias"))
    weight, bias = values
    return np.ascontiguousarray(weight), bias


def _cell(
    features: np.ndarray,
    state: np.ndarray,
    input_weight: np.ndarray,
    input_bias: np.ndarray,
    state_weight: np.ndarray,
    state_bias: np.ndarray,
) -> np.ndarray:
    """One step of a gated recurrent unit as torch computes it."""
    width = len(state)
    new = input_weight @ features + input_bias
    old = state_weight @ state + state_bias
    gates = expit(new[: 2 * width] + old[: 2 * width])
    candidate = np.tanh(new[2 * width :] + gates[:width] * old[2 * width :])
    return candidate + gates[width:] * (state - candidate)


def _inputs(devices: np.ndarray, seen: np.ndarray | None) -> tuple[np.ndarray, float, float]:
    """`head_frame.device_inputs` of one frame: inputs, and cosine and sine of the heading."""
    position_scale, step_scale, turn_scale = SCALES
    orientation = matrices(devices[:, :6])
    cosine, sine = _heading(orientation[0])
    frame = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
    relative = devices[:, 12:15] - devices[0, 12:15]
    relative[0, 2] = devices[0, 14] - HEAD_HEIGHT
    turned = frame.T @ orientation
    values = np.zeros((len(TRACKER_JOINTS), VALUES), np.float32)
    part = values[: len(devices)]
    part[:, :3] = position_scale * (relative @ frame)
    part[:, 3:6], part[:, 6:9] = turned[:, :, 0], turned[:, :, 1]
    part[:, 9:12] = step_scale * (devices[:, 15:] @ frame)
    part[:, 12:18] = turn_scale * (devices[:, 6:12] - _STILL)
    part[:, 18] = 1
    if seen is not None:
        part[~seen] = 0
    before = _heading(orientation[0] @ matrices(devices[:1, 6:12])[0].T)
    # Back by the heading now, forward by the one before: sine (with its sign in the first row) and cosine.
    spin = (cosine * -before[1] + sine * before[0], cosine * before[0] + sine * before[1] - 1)
    inputs = np.concatenate([values.ravel(), np.multiply(turn_scale, spin, dtype=np.float32)])
    return inputs, cosine, sine


def _heading(head: np.ndarray) -> tuple[float, float]:
    """Cosine and sine, as `head_frame.heading`."""
    sine, cosine = float(head[1, 0] + head[0, 2]), float(head[0, 0] - head[1, 2])
    size = (sine * sine + cosine * cosine) ** 0.5
    return (cosine / size, sine / size) if size > 1e-6 else (1.0, 0.0)
