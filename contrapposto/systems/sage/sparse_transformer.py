"""Baseline: from the three devices to the whole body by one transformer encoder, without latents or diffusion.

The idea of AvatarPoser (Jiang et al., ECCV 2022): a window of device features in, the pose of its last frame out, the
root's orientation by a head of its own. Differences from that paper: blocks are pre-norm with a sine position table,
and its final refinement of the arms by inverse kinematics is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from contrapposto.devices import Device, device_of, find_device
from contrapposto.nn.stacks import Stack
from contrapposto.pretrained import load_pretrained
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.head_frame import NUM_INPUTS, device_inputs
from contrapposto.systems.sage.rest import rest_positions
from contrapposto.systems.sage.tracker import TrackedBody, WindowBuffer, place, windows_of

Frame = Literal["world", "heading"]


class SparseTransformer(nn.Module):
    """6D rotations of the last frame of a window.

    Args:
        window: frames.
        width, heads, layers: of the encoder. 256, 8, 3 are the paper's; 1024, 16, 10 have as many weights (129 M) as
            SAGE's networks at inference (123 M).
        dropout: rate in the blocks and at their entry.
        frame: `world`: coordinates as they are; `heading`: inputs and the root in the heading frame of the head (not in
            the paper).
    """

    def __init__(
        self,
        window: int = 40,
        width: int = 256,
        heads: int = 8,
        layers: int = 3,
        dropout: float = 0.1,
        frame: Frame = "world",
    ) -> None:
        super().__init__()
        if frame not in ("world", "heading"):
            raise ValueError(f"frame: expected world or heading, got {frame!r}")
        self.frame = frame
        self.embed = nn.Linear(54 if frame == "world" else NUM_INPUTS, width)
        self.encoder = Stack(
            layers,
            width,
            heads,
            position_every_block=False,
            dropout=dropout,
            entry_dropout=dropout,
            block_size=window,
            persistent_positions=False,
        )
        self.root, self.body = _head(width, 6), _head(width, 126)

    def forward(self, sparse: Tensor) -> Tensor:
        """Device features (B, T, 3, 18), T at most `window`, to 6D (B, 132), columns layout."""
        inputs, frame = (sparse.flatten(2), None) if self.frame == "world" else device_inputs(sparse)
        features, _ = self.encoder(self.embed(inputs), last_only=True)
        last = features[:, -1]
        root = self.root(last)
        if frame is not None:
            root = (root.unflatten(-1, (2, 3)) @ frame[:, -1].mT).flatten(-2)
        return torch.cat([root, self.body(last)], dim=-1)


class TransformerTracker(nn.Module):
    """The transformer with a body, for clips and live frames, with the interface of `SageTracker`.

    `finishing` states what is done to its poses in evaluation and use.

    Args:
        window: frames.
        network: options of `SparseTransformer`.
        rest_positions: (22, 3) of the body, metres; the default skeleton's where None.
    """

    def __init__(
        self,
        window: int = 40,
        network: Mapping[str, Any] | None = None,
        rest_positions: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.window = window
        self.network = SparseTransformer(window, **(network or {}))
        self.kinematics = BodyKinematics(rest_positions)
        self.finishing = Finishing.none()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> TransformerTracker:
        """Build it, without weights, from the options of its training (`window`, `network`, `body`)."""
        window = int(options.get("window", 40))
        tracker = cls(window, options.get("network"), rest_positions(options.get("body")))
        tracker.finishing = Finishing.of(options)
        return tracker

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, device: Device = None) -> TransformerTracker:
        """Load a trained one: a shipped model, a run directory, a published folder or a checkpoint.

        `device`: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            ContrappostoError: see `load_pretrained`.
        """
        pretrained = load_pretrained(name_or_path, models=("sparse_transformer",))
        tracker = cls.from_options(pretrained.options)
        pretrained.load_into(tracker.network, "network.")
        return tracker.eval().requires_grad_(False).to(find_device(device))

    def predict(self, sparse: Tensor, *, batch_size: int = 512) -> Tensor:
        """(N, 3, 18) to 6D (N, 132): every frame is the last of its window, padded at the start with frame 0."""
        frames = torch.arange(len(sparse), device=sparse.device).split(batch_size)
        return torch.cat([self.network(windows_of(sparse, part, self.window)) for part in frames])

    @torch.inference_mode()
    def track(self, sparse: Tensor) -> TrackedBody:
        """A whole clip of device features (N, 3, 18) at 60 frames/s."""
        sparse = sparse.to(device_of(self))
        return place(self.kinematics, self.predict(sparse), sparse[:, 0, 12:15])

    def stream(self) -> TransformerStream:
        """Live tracking by this network."""
        return TransformerStream(self)


class TransformerStream:
    """Live tracking: push a frame, get the body. Equal to `TransformerTracker.track` on the frames so far.

    Args:
        tracker: in evaluation mode.
    """

    def __init__(self, tracker: TransformerTracker) -> None:
        self.tracker = tracker
        self._frames = WindowBuffer(tracker.window)

    def reset(self) -> None:
        """Forget everything, for a new clip."""
        self._frames.clear()

    def observe(self, sparse: Tensor, seen: Tensor | None = None) -> None:
        """Take one frame in without computing the body; arguments of `push`."""
        self._frames.add(sparse.reshape(3, 18))

    @torch.inference_mode()
    def push(self, sparse: Tensor, seen: Tensor | None = None) -> TrackedBody:
        """One frame of device features, (3, 18) or (54,), complete; returns one frame of the body."""
        self.observe(sparse)
        sixd = self.tracker.network(self._frames.window()[None])
        return place(self.tracker.kinematics, sixd, sparse.reshape(1, 3, 18)[:, 0, 12:15])


def _head(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
