"""A small recurrent network that does in one pass per frame what SAGE's samplers do in many: for CPUs and headsets.

Our own design. It is trained on the ground truth and on the refined output of a trained tracker (knowledge
distillation: Hinton et al., 2015). Three choices keep it small: memory is carried along (every weight is read once per
frame, nothing is computed twice), it sees the world from where the head is and looks, and it gives the root's
orientation in that frame, so that turning and moving the user in the room changes nothing else.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto.devices import Device, device_of, find_device
from contrapposto.nn.constants import constant
from contrapposto.nn.replay import Replay
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.sage.body_losses import BodyKinematics, align_heads, mean_of_sequences
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.joints import HANDS
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.tracker import TrackedBody, place

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
# Turns and steps per frame are small: brought to the size of the other inputs.
_TURN_SCALE, _STEP_SCALE = 20.0, 30.0


class StudentNetwork(nn.Module):
    """Device features to 6D rotations, causal, with a state that is carried from frame to frame.

    Args:
        width: of the recurrent layers.
        layers: gated recurrent units, each added to what it gets.
    """

    def __init__(self, width: int = 512, layers: int = 3) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Sequential(nn.Linear(54, width), nn.SiLU(), nn.Linear(width, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.units = nn.ModuleList(nn.GRU(width, width, batch_first=True) for _ in range(layers))
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 132)
        )
        last: nn.Linear = self.head[3]  # type: ignore[assignment]
        nn.init.normal_(last.weight, std=0.01)
        with torch.no_grad():
            last.bias.copy_(torch.tensor(_IDENTITY).repeat(22))

    def forward(self, sparse: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Track.

        Args:
            sparse: (B, N, 3, 18) device features of consecutive frames at 60 frames/s.
            state: (layers, B, width) after the frame before; zero where absent.

        Returns:
            Local 6D rotations (B, N, 132), columns layout, and the state after the last frame.
        """
        facing = heading(sparse)
        features = self.embed(seen_from_head(sparse, facing))
        states = [None] * len(self.units) if state is None else [s[None] for s in state.unbind(0)]
        after = []
        for norm, unit, before in zip(self.norms, self.units, states):
            update, final = unit(norm(features), before)
            features = features + update
            after.append(final)
        sixd = self.head(features)
        root = _turn(sixd[..., :6].unflatten(-1, (2, 3)), facing, back=True).flatten(-2)
        return torch.cat([root, sixd[..., 6:]], dim=-1), torch.cat(after)


def heading(sparse: Tensor) -> Tensor:
    """Cosine and sine (..., 2) of the angle about z that the head's left axis has turned from the x axis.

    The left axis stays level when one looks up or down. Where it is vertical (lying on the side) the angle is zero.
    """
    left = sparse[..., 0, :2]
    size = torch.linalg.vector_norm(left, dim=-1, keepdim=True)
    level = left / size.clamp_min(1e-6)
    return torch.where(size > 1e-6, level, constant((1, 0), left))


def seen_from_head(sparse: Tensor, facing: Tensor) -> Tensor:
    """Device features (..., 3, 18) with the room turned by -`facing` and the head above the origin, (..., 54)."""
    orientation, turn, position, step = sparse.split([6, 6, 3, 3], dim=-1)
    above = position[..., :1, :] * constant((1, 1, 0), position)
    vectors = torch.stack([orientation[..., :3], orientation[..., 3:], position - above, step], dim=-2)
    vectors = _turn(vectors.flatten(-3, -2), facing, back=False).unflatten(-2, (3, 4))
    still = constant(_IDENTITY, turn)
    parts = [
        vectors[..., :3, :].flatten(-2),
        _STEP_SCALE * vectors[..., 3, :],
        _TURN_SCALE * (turn - still),
    ]
    return torch.cat(parts, dim=-1).flatten(-2)


def _turn(vectors: Tensor, facing: Tensor, *, back: bool) -> Tensor:
    """Vectors (..., K, 3) turned about z by the angle of `facing` (..., 2), or back."""
    x, y, z = vectors.unbind(-1)
    cosine, sine = facing[..., :1], facing[..., 1:]
    sine = sine if back else -sine
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], dim=-1)


class StudentTracker(nn.Module):
    """The student with a body: clips and live frames, with the interface of `SageTracker`.

    `finishing` states what is done to its poses in evaluation and use.

    Args:
        network: the network; a freshly initialised one where absent.
        rest_positions: (22, 3) of the body, metres; the default skeleton's where absent.
    """

    def __init__(self, network: StudentNetwork | None = None, rest_positions: Tensor | None = None) -> None:
        super().__init__()
        self.network = network or StudentNetwork()
        self.kinematics = BodyKinematics(rest_positions)
        self.finishing = Finishing.none()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> StudentTracker:
        """Build it, without weights, from the options of its training (`network`, `body`)."""
        tracker = cls(StudentNetwork(**(options.get("network") or {})), rest_positions(options.get("body")))
        tracker.finishing = Finishing.of(options)
        return tracker

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = "sage_student", *, device: Device = None
    ) -> StudentTracker:
        """Load a trained student: a shipped model, a run directory, a published folder or a checkpoint.

        `device`: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            ContrappostoError: see `load_pretrained`.
        """
        pretrained = load_pretrained(name_or_path, models=("sage_student",))
        tracker = cls.from_options(pretrained.options)
        pretrained.load_into(tracker, "tracker.")
        return tracker.eval().requires_grad_(False).to(find_device(device))

    @torch.inference_mode()
    def track(self, sparse: Tensor) -> TrackedBody:
        """A whole clip of device features (N, 3, 18) at 60 frames/s."""
        sparse = sparse.to(device_of(self))
        sixd, _ = self.network(sparse[None])
        return place(self.kinematics, sixd[0], sparse[:, 0, 12:15])

    def stream(self) -> StudentStream:
        """Live tracking by this network."""
        return StudentStream(self)


def eight_bits(tracker: StudentTracker) -> StudentTracker:
    """A copy with 8-bit weights (a scale per matrix) and inputs, for the CPU: faster where reading weights is the limit.

    Not exact: see docs/benchmarks.md.
    """
    from torch.ao.quantization import quantize_dynamic

    copied = copy.deepcopy(tracker).cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces another place for these layers
        copied.network = quantize_dynamic(copied.network, {nn.GRU, nn.Linear}, dtype=torch.qint8)
    return copied


class StudentStream:
    """Live tracking: push a frame, get the body. Equal to `StudentTracker.track` on the frames so far.

    Args:
        tracker: in eval mode.
    """

    def __init__(self, tracker: StudentTracker) -> None:
        self.tracker = tracker
        self._step = Replay(tracker.network)
        self.reset()

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        self._state: Tensor | None = None

    @torch.inference_mode()
    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features, (3, 18) or (54,), complete; returns one frame of the body."""
        sparse = sparse.reshape(1, 1, 3, 18)
        if self._state is None:
            sixd, self._state = self.tracker.network(sparse)
        else:
            sixd, self._state = self._step(sparse, self._state)
        return place(self.tracker.kinematics, sixd[0], sparse[0, :, 0, 12:15])


@dataclass(frozen=True)
class StudentLosses:
    """Scalars, means over the frames of a sequence, then over sequences; `total` is the weighted sum of the others.

    Args:
        total: what is minimised.
        root: norm of the root's 6D error.
        body: norm of the 6D errors of the other joints.
        aligned: joint distance in metres once both heads stand in the same place.
        hands: the same for both wrists alone.
        velocity: norm of the error of the aligned joints' differences of neighbouring frames, metres per frame.
        jitter: norm of the third difference of the predicted aligned joints, metres per frame^3.
        teacher: norm of the 6D difference to the teacher, all joints; zero without one.
    """

    total: Tensor
    root: Tensor
    body: Tensor
    aligned: Tensor
    hands: Tensor
    velocity: Tensor
    jitter: Tensor
    teacher: Tensor


class StudentLoss(nn.Module):
    """Loss of the student on padded sequences: the decoder's terms on every frame, and how they move.

    Args:
        rest_positions: see `BodyKinematics`.
        weights: of the terms in the order of `StudentLosses`.
    """

    def __init__(
        self,
        rest_positions: Tensor | None = None,
        *,
        weights: tuple[float, ...] = (0.5, 1.0, 5.0, 2.0, 30.0, 5.0, 0.5),
    ) -> None:
        super().__init__()
        self.kinematics = BodyKinematics(rest_positions)
        self.weights = weights

    def forward(
        self, prediction: Tensor, target: Tensor, lengths: Tensor, teacher: Tensor | None = None
    ) -> StudentLosses:
        """Every term for 6D (B, N, 132) of sequences with `lengths` (B,), padded at the end."""
        valid = torch.arange(prediction.shape[1], device=lengths.device) < lengths[:, None]
        error = _norms((prediction - target).unflatten(-1, (22, 6)))
        origin = prediction.new_zeros(3)
        joints = align_heads(self.kinematics(prediction), origin)
        with torch.no_grad():
            true = align_heads(self.kinematics(target), origin)
        difference = joints - true
        near = prediction.new_zeros(())
        if teacher is not None:
            near = mean_of_sequences(_norms((prediction - teacher).unflatten(-1, (22, 6))), valid)
        terms = (
            mean_of_sequences(error[..., :1], valid),
            mean_of_sequences(error[..., 1:], valid),
            mean_of_sequences(_norms(difference), valid),
            mean_of_sequences(_norms(difference[..., list(HANDS), :]), valid),
            mean_of_sequences(_norms(difference.diff(dim=1)), valid[:, 1:]),
            mean_of_sequences(_norms(joints.diff(n=3, dim=1)), valid[:, 3:]),
            near,
        )
        total = torch.stack([weight * term for weight, term in zip(self.weights, terms)]).sum()
        return StudentLosses(total, *terms)


def _norms(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=-1)
