"""Parts of a person that no image shows: Gaussians there take after the nearest ones that are seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.model import SplatAvatar
from contrapposto.systems.anerf.splats.raster import blend
from contrapposto.systems.anerf.view import View

_NEIGHBOURS = 12
_ROUNDS = 100
_ALONG = 3.0
_ARMS = (16, 17, 18, 19, 20, 21, 22, 23)  # at rest they point sideways
_BEHIND = 4.0  # spacings
_SOLID = 0.5
_HEAD = 15


@torch.no_grad()
def visibility(avatar: SplatAvatar, images: Iterable[tuple[Tensor, View]]) -> Tensor:
    """(N,) bool: Gaussians that lie on the surface that some image shows, and face its camera.

    Several Gaussians share a pixel, and in a small image none of them has one of its own: how much of each is drawn tells
    little. So the depth of the drawn surface is compared with theirs.

    Args:
        avatar: trained.
        images: poses (24, 4, 4), bone to world, with their cameras.
    """
    seen = torch.zeros(len(avatar), dtype=torch.bool)
    for bones, view in images:
        gaussians = avatar.project(bones, view)
        depths = gaussians.depth[:, None].expand(-1, 3).contiguous()
        drawn, transmittance = blend(gaussians._replace(colour=depths), view.height, view.width)
        solid = 1 - transmittance
        surface = drawn[..., 0] / solid.clamp_min(1e-3)
        column, row = (gaussians.mean.floor().long()).unbind(1)
        inside = (column >= 0) & (column < view.width) & (row >= 0) & (row < view.height)
        place = row.clamp(0, view.height - 1), column.clamp(0, view.width - 1)
        front = gaussians.depth < surface[place] + _BEHIND * avatar.spacing
        facing = _facing(avatar, bones, view) > 0
        seen |= inside & front & facing & (solid[place] > _SOLID)
    return seen


def _facing(avatar: SplatAvatar, bones: Tensor, view: View) -> Tensor:
    """(N,) cosine of the angle between a Gaussian's normal and the direction to the camera."""
    rotations, shifts = avatar.blends(bones)
    first = avatar.joint[:, 0].long()  # of the joint with the largest weight
    place = (rotations[first] @ avatar.position[..., None])[..., 0] + shifts[first]
    normal = (rotations[first] @ avatar.frame[:, :, 2:])[..., 0]
    return torch.nn.functional.cosine_similarity(normal, view.camera_to_world[:3, 3] - place, dim=1)


@torch.no_grad()
def fill_unseen(avatar: SplatAvatar, seen: Tensor) -> int:
    """Give Gaussians that are not seen the mean of their neighbours' colour, offset, size and opacity, again and again.

    Those that are seen but half transparent lie beside the person and show what is behind: they take a colour only.
    Neighbours lie on the same side of the body, where their normals differ by less than a right angle, and around the
    trunk or limb rather than along it. The back of the head takes after the crown: hair, where there is some.

    Args:
        avatar: changed in place.
        seen: (N,) bool.

    Returns:
        How many were filled.
    """
    from scipy.spatial import cKDTree

    if bool(seen.all()) or not bool(seen.any()):
        return 0
    places, normals = _stretched(avatar), avatar.frame[:, :, 2].numpy()
    _, index = cKDTree(places).query(places, k=_NEIGHBOURS + 1)
    index = index[:, 1:]
    share = (np.einsum("nd,nkd->nk", normals, normals[index]) > 0).astype(np.float32) + 1e-3
    weight = torch.from_numpy(share / share.sum(1, keepdims=True))
    neighbours, count = torch.from_numpy(index), int((~seen).sum())
    seen = _with_hair(avatar, seen)
    solid = avatar.opacity > 0
    for table in (avatar.colour, avatar.offset, avatar.log_scale, avatar.opacity):
        known = seen & solid if table is avatar.colour else seen
        if not bool(known.any()):
            continue
        unknown, known = ((~known).nonzero().squeeze(1), known.nonzero().squeeze(1))
        nearest = cKDTree(places[known]).query(places[unknown])[1]
        table[unknown] = table[known[nearest]]
        for _ in range(_ROUNDS):
            around = table[neighbours[unknown]]
            own = weight[unknown].view(*weight[unknown].shape, *[1] * (table.ndim - 1))
            table[unknown] = (own * around).sum(1)
    avatar.rotation[~seen] = avatar.rotation.new_tensor([1.0, 0, 0, 0])
    return count


def _stretched(avatar: SplatAvatar) -> np.ndarray:
    """(N, 3) places at rest, far apart along the limbs and the trunk: clothes end across them."""
    along = avatar.position.new_tensor([1.0, _ALONG, 1.0]).repeat(len(avatar), 1)
    along[torch.isin(avatar.joint[:, 0], torch.tensor(_ARMS))] = along.new_tensor([_ALONG, 1.0, 1.0])
    result: np.ndarray = (avatar.position * along).numpy()
    return result


def _with_hair(avatar: SplatAvatar, seen: Tensor) -> Tensor:
    """Give the unseen back of the head the crown's colour, if the crown is seen; returns what counts as seen then."""
    own = (avatar.weight * (avatar.joint == _HEAD)).sum(1) > 0.5
    if not bool(own.any()):
        return seen
    height, depth = avatar.position[:, 1], avatar.frame[:, 2, 2]  # at rest y is up, z the front
    low, high = height[own].min(), height[own].max()
    level = (height - low) / (high - low)
    crown = own & seen & (level > 0.8) & (avatar.opacity > 0)
    back = own & ~seen & (depth < 0) & (level > 0.25)
    if int(crown.sum()) < 5 or not bool(back.any()):
        return seen
    for table in (avatar.colour, avatar.offset, avatar.log_scale, avatar.opacity):
        table[back] = table[crown].median(0).values
    avatar.offset[back] = 0
    avatar.rotation[back] = avatar.rotation.new_tensor([1.0, 0, 0, 0])
    return seen | back
