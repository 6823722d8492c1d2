"""A splat avatar that is only drawn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.systems.anerf.splats.model import SplatAvatar
from contrapposto.systems.anerf.splats.raster import Projected, project_fixed
from contrapposto.systems.anerf.view import View


class FixedSplats:
    """The Gaussians of an avatar as it is now: what no pose changes is computed once. Later changes are not seen.

    Args:
        avatar: trained.
    """

    @torch.no_grad()
    def __init__(self, avatar: SplatAvatar) -> None:
        self.avatar = avatar
        axes = avatar.frame @ rot.quaternion_to_matrix(F.normalize(avatar.rotation, dim=1))
        self._position = avatar.position + avatar.offset
        self._known = (
            (axes * avatar.log_scale.exp()[:, None]).contiguous(),
            axes[:, :, 2].contiguous(),
            avatar.opacity.sigmoid(),
            avatar.colour.sigmoid(),
            avatar.joint,
            avatar.weight,
        )

    @torch.no_grad()
    def project(self, bone_to_world: Tensor, view: View) -> Projected:
        """`SplatAvatar.project` without gradients."""
        rotations, shifts, *camera = self.avatar.posed(bone_to_world, view)
        position = self._position
        if self.avatar.wrinkles is not None:
            position = position + self.avatar.folds(rotations)
        return project_fixed(position, *self._known, rotations, shifts, self.avatar.light, *camera)
