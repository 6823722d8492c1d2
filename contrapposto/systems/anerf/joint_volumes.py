"""Features in small volumes around the joints, for a narrow network (after DANBO, ECCV 2022).

See docs/specs/anerf.md, section 14.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapposto.systems.anerf.kinematics import NUM_JOINTS

_CORNERS = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])


class BoneVolumes(nn.Module):
    """A cube of features that moves with each joint; a point reads those of its nearest joints, blended.

    Args:
        channels: numbers per feature.
        size: grid points along each side of a cube.
        extent: half its side, world units; a joint's share falls to nothing there.
        joints: how many of the nearest are read.
    """

    def __init__(self, channels: int, size: int, extent: float, joints: int = 3) -> None:
        super().__init__()
        self.channels, self.size, self.extent, self.joints = channels, size, extent, joints
        self.table = nn.Parameter(0.1 * torch.randn(NUM_JOINTS * size**3, channels))

    def forward(self, local: Tensor, distance: Tensor) -> Tensor:
        """(N, channels) at local points (N, J, 3), `distance` (N, J) away from the joints."""
        near, joint = distance.topk(self.joints, dim=1, largest=False)
        place = local.gather(1, joint[..., None].expand(-1, -1, 3))
        window = (1 - (near / self.extent).square()).clamp_min(0).square()
        window = window / (window.sum(1, keepdim=True) + 1e-6)
        grid = ((place / self.extent + 1) / 2 * (self.size - 1)).clamp(0, self.size - 1.001)
        low = grid.detach().floor()
        share = (grid - low)[:, :, None]
        corners = _CORNERS.to(local.device)
        weights = torch.where(corners > 0, share, 1 - share).prod(-1) * window[..., None]
        cell = low.long()[:, :, None] + corners
        index = ((joint[..., None] * self.size + cell[..., 0]) * self.size + cell[..., 1]) * self.size
        index = index + cell[..., 2]
        return F.embedding_bag(
            index.flatten(1), self.table, per_sample_weights=weights.flatten(1), mode="sum"
        )
