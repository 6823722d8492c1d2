"""Whole images of a splat avatar, in the form of A-NeRF's renderer."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.devices import device_of
from contrapposto.systems.anerf.cameras import cylinder_box
from contrapposto.systems.anerf.kinematics import joints_of, rendering_cylinder
from contrapposto.systems.anerf.splats.fixed import FixedSplats
from contrapposto.systems.anerf.splats.model import SplatAvatar
from contrapposto.systems.anerf.splats.raster import blend
from contrapposto.systems.anerf.view import Rendered, View


class SplatRenderer:
    """Draws images of a splat avatar as it is now, and where it is; they come back to the device of the pose.

    Args:
        avatar: trained.
        threads: on the CPU.
        depth: also compute the depth, which doubles the time; else it is infinite everywhere.
    """

    def __init__(self, avatar: SplatAvatar, *, threads: int = 1, depth: bool = False) -> None:
        self.threads, self.depth, self.device = threads, depth, device_of(avatar)
        self._splats = FixedSplats(avatar)

    @torch.no_grad()
    def __call__(self, world_to_bone: Tensor, view: View, *, code_index: int | None = None) -> Rendered:
        """An image of one pose (24, 4, 4) before a camera; splat avatars have no frame codes."""
        here = world_to_bone.device
        world_to_bone, view = world_to_bone.to(self.device), view.to(self.device)
        gaussians = self._splats.project(torch.linalg.inv(world_to_bone), view)
        colour, transmittance = blend(gaussians, view.height, view.width, threads=self.threads)
        opacity, depth = 1 - transmittance, torch.full_like(transmittance, torch.inf)
        if self.depth:
            distance = gaussians._replace(colour=gaussians.depth[:, None].expand(-1, 3).contiguous())
            mean = blend(distance, view.height, view.width, threads=self.threads)[0][..., 0]
            depth = torch.where(opacity > 0.1, mean / opacity.clamp_min(1e-6), torch.inf)
        cylinder = rendering_cylinder(joints_of(world_to_bone))
        box = cylinder_box(
            cylinder, view.camera_to_world, view.focal, view.height, view.width, centre=view.centre
        )
        return Rendered(colour, opacity, depth, *box).to(here)
