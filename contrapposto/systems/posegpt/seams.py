"""Continuing a motion by a decoded one without a jump."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.systems.posegpt.poses import Height, join_pose, split_pose


class Seam:
    """Moves decoded frames so that they go on where the frames before ended.

    What the decoder makes of the frames before differs from them a little. The difference at the last common
    frame is added to what follows and fades out along half a cosine, as in "inertialization" (Bollo, GDC 2018);
    the horizontal difference of the root stays, for a figure may stand anywhere.

    Args:
        before: (B, C, D) the frames before, in their own place.
        decoded: (B, C, D) the same frames as decoded, starting anywhere.
        fade: frames until the difference is gone.
        height: of both; with `floor` a difference of heights is an error and fades.
    """

    def __init__(self, before: Tensor, decoded: Tensor, fade: int = 10, *, height: Height = "start") -> None:
        rotations, position = split_pose(before[:, -1])
        own_rotations, own_position = split_pose(decoded[:, -1])
        turn = rot.axis_angle_to_matrix(rotations)
        own = rot.axis_angle_to_matrix(own_rotations)
        self.turn = rot.matrix_to_axis_angle(turn @ own.transpose(-1, -2))  # (B, J, 3)
        # Heights are compared where the common frames begin: only the error made since then fades.
        self.start = before[:, 0, -3:] - decoded[:, 0, -3:]
        if height == "floor":
            self.start = self.start * self.start.new_tensor([1.0, 0.0, 1.0])
        self.shift = position - (own_position + self.start)
        self.fade, self.done = fade, 0

    def apply(self, frames: Tensor) -> Tensor:
        """The next decoded frames (B, n, D), in place."""
        count = frames.shape[1]
        time = torch.arange(self.done + 1, self.done + count + 1, device=frames.device, dtype=frames.dtype)
        self.done += count
        share = 0.5 + 0.5 * torch.cos(math.pi * (time / (self.fade + 1)).clamp_max(1))
        rotations, position = split_pose(frames)
        turn = rot.axis_angle_to_matrix(self.turn[:, None] * share[:, None, None])
        turned = rot.matrix_to_axis_angle(turn @ rot.axis_angle_to_matrix(rotations))
        # y is the vertical of these poses.
        kept = torch.stack([torch.ones_like(share), share, torch.ones_like(share)], dim=-1)
        return join_pose(turned, position + self.start[:, None] + self.shift[:, None] * kept)
