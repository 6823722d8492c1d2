"""Parts of a person that no image shows: Gaussians there take after the nearest ones that are seen."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.model import SplatAvatar
from contrapposto.systems.anerf.splats.raster import blend
from contrapposto.systems.anerf.view import View

_NEIGHBOURS = 12
_ROUNDS = 300
LEAST = 0.25
"""Share of a Gaussian that has to be seen in one image."""


def visibility(avatar: SplatAvatar, images: Iterable[tuple[Tensor, View]]) -> Tensor:
    """(N,) share of every Gaussian that nothing hides, in the image that shows it best; small ones count less.

    Args:
        avatar: trained.
        images: poses (24, 4, 4), bone to world, with their cameras.
    """
    best = avatar.position.new_zeros(len(avatar))
    for bones, view in images:
        probe = torch.zeros_like(avatar.colour, requires_grad=True)
        gaussians = avatar.project(bones.detach(), view)
        detached = gaussians._replace(
            **{name: getattr(gaussians, name).detach() for name in ("mean", "conic", "opacity", "depth")},
            colour=probe,
        )
        image, _ = blend(detached, view.height, view.width)
        # The image is linear in the colours: its gradient is the sum of the weights.
        (weight,) = torch.autograd.grad(image[..., 0].sum(), probe)
        a, b, c = detached.conic.unbind(1)
        pixels = 2 * math.pi * detached.opacity / (a * c - b * b).clamp_min(1e-12).sqrt()
        best = torch.maximum(best, weight[:, 0] / pixels.clamp_min(1.0))
    return best


@torch.no_grad()
def fill_unseen(avatar: SplatAvatar, seen: Tensor) -> int:
    """Give Gaussians that are not seen the mean of their neighbours' colour, offset, size and opacity, again and again.

    Neighbours lie on the same side of the body: their normals differ by less than a right angle.

    Args:
        avatar: changed in place.
        seen: (N,) bool.

    Returns:
        How many were filled.
    """
    from scipy.spatial import cKDTree

    if bool(seen.all()) or not bool(seen.any()):
        return 0
    places, normals = avatar.position.numpy(), avatar.frame[:, :, 2].numpy()
    _, index = cKDTree(places).query(places, k=_NEIGHBOURS + 1)
    index = index[:, 1:]
    share = (np.einsum("nd,nkd->nk", normals, normals[index]) > 0).astype(np.float32) + 1e-3
    weight = torch.from_numpy(share / share.sum(1, keepdims=True))
    neighbours, hidden = torch.from_numpy(index), (~seen).nonzero().squeeze(1)
    tables = [avatar.colour, avatar.offset, avatar.log_scale, avatar.opacity]
    for table in tables:
        mean = table[seen].mean(0)
        table[hidden] = mean
        for _ in range(_ROUNDS):
            around = table[neighbours[hidden]]
            own = weight[hidden].view(*weight[hidden].shape, *[1] * (table.ndim - 1))
            table[hidden] = (own * around).sum(1)
    avatar.rotation[hidden] = avatar.rotation.new_tensor([1.0, 0, 0, 0])
    return len(hidden)
