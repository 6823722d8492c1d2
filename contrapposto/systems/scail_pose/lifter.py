"""From 2D whole-body keypoints over time to 24 SMPL joints in camera space.

A window of keypoints is turned such that an imagined camera looks straight at the person, and scaled to unit size: a
transformer then sees the same numbers wherever in the image and however far away the person is. It gives the joints
about the pelvis in metres, the pelvis's direction and its distance relative to the one that the seen size suggests.
(An imagined camera at the person: Yu et al., PCLs, CVPR 2021; lifting over time: Pavllo et al., VideoPose3D, CVPR 2019.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from contrapposto.devices import Device, device_of, find_device, without_tf32
from contrapposto.errors import InputError
from contrapposto.nn.stacks import Stack
from contrapposto.pretrained import find_checkpoint
from contrapposto.skeleton import SMPL24
from contrapposto.systems.scail_pose.interface import NUM_JOINTS
from contrapposto.systems.scail_pose.lifter_data import KEYPOINTS
from contrapposto.weights import load_file_safely

NUM_POINTS = len(KEYPOINTS)
# Distance in metres of a person whose keypoints spread over one unit of rays about their middle.
_DISTANCE = 0.5

Lift = Callable[[Tensor, Tensor], Tensor]
"""Rays (B, T, 28, 2) and scores (B, T, 28) to joints (B, T, 24, 3), metres in camera space."""


class Lifter(nn.Module):
    """The network, with the imagined camera before and after it.

    Args:
        window: frames at a time.
        width, heads, layers, dropout: of the transformer.
    """

    def __init__(
        self, window: int = 16, width: int = 192, heads: int = 6, layers: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.window = window
        self.embed = nn.Linear(3 * NUM_POINTS + 1, width)
        self.encoder = Stack(
            layers,
            width,
            heads,
            position_every_block=False,
            dropout=dropout,
            entry_dropout=dropout,
            block_size=window,
            persistent_positions=False,
            position_scale=0.1,
        )
        self.head = nn.Linear(width, 3 * NUM_JOINTS + 3)
        nn.init.normal_(self.head.weight, std=0.01)
        # Begin with a figure at rest that looks into the camera.
        rest = torch.from_numpy(SMPL24.rest_positions - SMPL24.rest_positions[0]) * torch.tensor([1, -1, -1])
        with torch.no_grad():
            self.head.bias.copy_(torch.cat([rest.flatten(), torch.zeros(3)]))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, device: Device = None) -> Lifter:
        """A trained lifter in evaluation mode.

        Args:
            name_or_path: checkpoint file, run directory, published folder, or the name of a shipped model.
            device: where it runs, see `contrapposto.devices.find_device`.

        Raises:
            MissingError: there is no such model.
            InputError: a file of something else.
        """
        path = find_checkpoint(name_or_path)
        content = load_file_safely(path)
        options = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
        weights = content.get("state_dict", {}) if options else {}
        state = {k.removeprefix("network."): v for k, v in weights.items() if k.startswith("network.")}
        try:
            network = cls(options["window"], **(options.get("network") or {}))
            network.load_state_dict(state)
        except Exception as error:  # sizes that do not go together fail in many ways
            raise InputError(
                f"{path} holds no lifter.",
                found=str(error).splitlines()[0],
                expected="a checkpoint of model=scail_lifter",
            ) from error
        return network.eval().to(find_device(device))

    def forward(self, rays: Tensor, scores: Tensor) -> Tensor:
        """Joints (B, T, 24, 3), metres in camera space.

        Args:
            rays: (B, T, 28, 2) tangents x / z and y / z of the keypoints `lifter_data.KEYPOINTS`.
            scores: (B, T, 28) in [0, 1]; 0 where nothing was found.
        """
        turn, flat = look_at(rays, scores)
        middle, spread = _extent(flat, scores)
        known = (scores > 0)[..., None]
        scaled = torch.where(known, (flat - middle) / spread, 0.0)
        size = spread.log().expand(-1, rays.shape[1], -1, -1).flatten(2)
        features = torch.cat([scaled.flatten(2), scores, size], dim=-1)
        result = self.head(self.encoder(self.embed(features))[0])
        root = self._root(result[..., -3:], middle[:, :, 0], spread[:, :, 0])
        joints = result[..., :-3].unflatten(-1, (NUM_JOINTS, 3))
        joints = joints - joints[:, :, :1] + root[:, :, None]
        with without_tf32():
            return joints @ turn[:, None]

    def _root(self, values: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
        """The pelvis (B, T, 3) before the imagined camera."""
        depth = _DISTANCE / spread * values[..., 2:].clamp(-3, 3).exp()
        return torch.cat([(values[..., :2] * spread + middle) * depth, depth], -1)


@without_tf32()
def look_at(rays: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the camera to the middle of what was found in a window.

    Returns:
        (B, 3, 3) whose rows are the imagined camera's axes, and the rays (B, T, 28, 2) in it.
    """
    weight = scores[..., None]
    middle = (rays * weight).sum((1, 2)) / weight.sum((1, 2)).clamp_min(1e-6)
    forward = nn.functional.normalize(torch.cat([middle, torch.ones_like(middle[:, :1])], -1), dim=-1)
    down = torch.tensor([0.0, 1.0, 0.0]).to(rays).expand_as(forward)
    right = nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    turn = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    local = torch.cat([rays, torch.ones_like(rays[..., :1])], -1) @ turn[:, None].mT
    return turn, local[..., :2] / local[..., 2:].clamp_min(0.05)


def _extent(flat: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Middle (B, 1, 1, 2) of a window, and how far its keypoints are from each frame's own middle (B, 1, 1, 1)."""
    weight = scores[..., None]
    here = (flat * weight).sum(2, keepdim=True) / weight.sum(2, keepdim=True).clamp_min(1e-6)
    total = weight.sum((1, 2), keepdim=True).clamp_min(1e-6)
    middle = (flat * weight).sum((1, 2), keepdim=True) / total
    square = ((flat - here).square().sum(-1, keepdim=True) * weight).sum((1, 2), keepdim=True) / total
    return middle, square.clamp_min(1e-6).sqrt()


@torch.inference_mode()
def lift_clip(lift: Lift, window: int, rays: Tensor, scores: Tensor, *, batch: int = 64) -> Tensor:
    """Joints (N, 24, 3), metres in camera space, of a clip of any length.

    Windows overlap by half; each frame is a mean of its windows that falls off towards their ends.

    Args:
        lift: a `Lifter` in evaluation mode, or an exported one.
        window: its frames.
        rays, scores: (N, 28, 2) and (N, 28).
        batch: windows at a time.
    """
    count, hop = len(rays), max(window // 2, 1)
    if isinstance(lift, nn.Module):
        rays, scores = rays.to(device_of(lift)), scores.to(device_of(lift))
    starts = [*range(0, max(count - window, 0), hop), max(count - window, 0)]
    # A clip shorter than a window goes on with frames in which nothing is found.
    missing = max(window - count, 0)
    rays = torch.cat([rays, rays.new_zeros(missing, *rays.shape[1:])])
    scores = torch.cat([scores, scores.new_zeros(missing, NUM_POINTS)])
    weight = 1 - ((torch.arange(window) + 0.5) / window - 0.5).abs() * 1.9
    total = torch.zeros(len(rays))
    joints = torch.zeros(len(rays), NUM_JOINTS, 3)
    for first in range(0, len(starts), batch):
        part = starts[first : first + batch]
        lifted = lift(
            torch.stack([rays[start : start + window] for start in part]),
            torch.stack([scores[start : start + window] for start in part]),
        )
        for start, one in zip(part, lifted.float().cpu()):
            joints[start : start + window] += weight[:, None, None] * one
            total[start : start + window] += weight
    return (joints / total[:, None, None])[:count]
