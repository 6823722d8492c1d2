"""`Tracker`: from head and hands to the whole body by one recurrent network, for clips and live.

Our own design (docs/sage_tracker.md). It works in the heading frame of the head, carries its memory from frame to frame,
and copes with hands that are lost for seconds and with further trackers on pelvis and ankles that may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.devices import Device, device_of, find_device, without_tf32
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.finishing import Finisher, Finishing
from contrapposto.systems.sage.head_frame import NUM_INPUTS, device_inputs
from contrapposto.systems.sage.held_pose import hanging_arms
from contrapposto.systems.sage.joints import NUM_JOINTS
from contrapposto.systems.sage.recurrent_stream import TrackerStream, body_of
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.tracker import TrackedBody


class TrackerNetwork(nn.Module):
    """Device features to 6D rotations: one causal recurrent pass.

    Args:
        width: of the recurrent layers.
        layers: of gated recurrent units.
        dropout: rate before the output layer.
        contacts: whether the output also tells which feet stand.
    """

    def __init__(
        self, width: int = 384, layers: int = 1, dropout: float = 0.0, contacts: bool = False
    ) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(NUM_INPUTS, width), nn.GELU())
        self.recurrent = nn.GRU(width, width, layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, 6 * NUM_JOINTS + 2 * contacts)
        nn.init.normal_(self.out.weight, std=0.1 * width**-0.5)
        with torch.no_grad():
            self.out.bias.zero_()
            self.out.bias[: 6 * NUM_JOINTS] = _standing().flatten()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Weights of a network without contacts fit one with them, whose contacts then start at zero."""
        for name in ("out.weight", "out.bias"):
            value = state_dict.get(prefix + name)
            missing = 0 if value is None else self.get_parameter(name).shape[0] - value.shape[0]
            if value is not None and missing == 2:
                state_dict[prefix + name] = torch.cat([value, value.new_zeros(2, *value.shape[1:])])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(
        self, devices: Tensor, seen: Tensor | None = None, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Track consecutive frames at 60 frames/s.

        Args:
            devices: (B, N, D, 18), see `device_inputs`.
            seen: (B, N, D) bool; all where None.
            state: (layers, B, width) after the frame before; zero where None.

        Returns:
            Local 6D rotations (B, N, 132), columns layout, the root's in the world, and the state after the last
            frame. With `contacts` (B, N, 134): then the logits that the toes of the left and the right foot stand.
        """
        inputs, frame = device_inputs(devices, seen)
        features, state = self.recurrent(self.embed(inputs), state)
        sixd = self.out(self.dropout(features))
        with without_tf32():
            root = (sixd[..., :6].unflatten(-1, (2, 3)) @ frame.mT).flatten(-2)
        return torch.cat([root, sixd[..., 6:]], dim=-1), state


class Tracker(nn.Module):
    """The recurrent tracker with a body, for clips and live frames, with the interface of `SageTracker`.

    Args:
        network: a freshly initialised one where None.
        rest_positions: (22, 3) of the body, metres; the default skeleton's where None.
        finishing: what is done to the network's poses.
    """

    def __init__(
        self,
        network: TrackerNetwork | None = None,
        rest_positions: Tensor | None = None,
        finishing: Finishing | None = None,
    ) -> None:
        super().__init__()
        self.network = network or TrackerNetwork()
        self.kinematics = BodyKinematics(rest_positions)
        self.finishing = finishing or Finishing()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Tracker:
        """Build it, without weights, from the options of its training (`network`, `finishing`, `body`)."""
        return cls(
            TrackerNetwork(**(options.get("network") or {})),
            rest_positions(options.get("body")),
            Finishing(**(options.get("finishing") or {})),
        )

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path = "tracker", *, device: Device = None) -> Tracker:
        """Load a trained tracker: a shipped model, a run directory, a published folder or a checkpoint.

        `device`: where whole clips are tracked, see `contrapposto.devices.find_device`; `stream` is always on the CPU.

        Raises:
            ContrappostoError: see `load_pretrained`.
        """
        pretrained = load_pretrained(name_or_path, models=("tracker",))
        tracker = cls.from_options(pretrained.options)
        pretrained.load_into(tracker, "tracker.")
        return tracker.eval().requires_grad_(False).to(find_device(device))

    @torch.inference_mode()
    def predict(self, devices: Tensor, seen: Tensor | None = None) -> Tensor:
        """The network's output (N, 132), or (N, 134) with contacts; arguments of `track`."""
        here = device_of(self)
        flags = None if seen is None else seen[None].to(here)
        return self.network(devices[None].to(here), flags)[0][0]

    def track(self, devices: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """A whole clip, with `finishing`.

        Args:
            devices: (N, D, 18) at 60 frames/s, see `device_inputs`.
            seen: (N, D) bool; all where None.
        """
        sixd = self.predict(devices, seen).float().cpu().numpy()
        finisher = Finisher(self.finishing, self.kinematics.offsets.double().cpu().numpy())
        flags = None if seen is None else seen[:, :3].cpu().numpy()
        return body_of(sixd, finisher(sixd, devices[:, :3].cpu().numpy(), flags))

    def stream(self) -> TrackerStream:
        """Live tracking by this network."""
        return TrackerStream(self)


def _standing() -> Tensor:
    """(22, 6) of a standing figure with hanging arms that faces -y."""
    pose = hanging_arms()
    pose[0] = pose.new_tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return rot.matrix_to_sixd_columns(pose)
