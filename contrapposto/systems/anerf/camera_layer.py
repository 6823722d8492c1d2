"""Cameras as parameters: the image loss moves them (the original never does: docs/specs/anerf.md, section 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.systems.anerf.kinematics import rigid


class CameraLayer(nn.Module):
    """Cameras that turn, shift and change their focal length from where they were given.

    Args:
        camera_to_world: (C, 4, 4) as given, NeRF axes.
        focals: (C, 2) as given, pixels.
    """

    camera_to_world: Tensor
    focals: Tensor

    def __init__(self, camera_to_world: Tensor, focals: Tensor) -> None:
        super().__init__()
        count = len(camera_to_world)
        self.register_buffer("camera_to_world", camera_to_world.float())
        self.register_buffer("focals", focals.float())
        self.turn = nn.Parameter(torch.zeros(count, 3))  # axis-angles in the camera's own axes, radians
        self.shift = nn.Parameter(torch.zeros(count, 3))  # in the world
        self.zoom = nn.Parameter(torch.zeros(count, 1))  # logarithm of the focal length's factor

    def __len__(self) -> int:
        return len(self.turn)

    def cameras(self) -> tuple[Tensor, Tensor]:
        """All cameras as they stand: (C, 4, 4) and focal lengths (C, 2)."""
        inputs = self.camera_to_world
        turned = inputs[:, :3, :3] @ rot.axis_angle_to_matrix(self.turn)
        return rigid(turned, inputs[:, :3, 3] + self.shift), self.focals * self.zoom.exp()

    def rays(self, index: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Origins and directions (R, 3) of the rays that cameras (R,) as given sent along `directions` (R, 3)."""
        matrices, _ = self.cameras()
        inputs = self.camera_to_world[:, :3, :3]
        local = torch.einsum("rji,rj->ri", inputs[index], directions)
        scale = torch.cat([(-self.zoom).exp().expand(-1, 2), torch.ones_like(self.zoom)], dim=1)
        turned = torch.einsum("rij,rj->ri", matrices[index, :3, :3], local * scale[index])
        return matrices[index, :3, 3], turned

    def drift(self) -> Tensor:
        """Mean over the cameras of how far they are from where they were given, squared (radians, units, logarithm)."""
        return torch.cat([self.turn, self.shift, self.zoom], dim=1).square().sum(1).mean()
