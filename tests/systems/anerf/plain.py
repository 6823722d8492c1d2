"""A-NeRF as the sheet spells it out (sections 3 to 5): every encoding in full, gathered into the order of depth.

The reference of tests and benchmarks: slow, short, and with nothing shared but the weights and the smallest parts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto.systems.anerf.draws import Draws
from contrapposto.systems.anerf.encoding import to_bones
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.ray_sampling import (
    coarse_depths,
    cylinder_span,
    importance_depths,
    mean_for_misses,
)
from contrapposto.systems.anerf.volume_rendering import Composite, composite


def render(
    model: ANeRF,
    origins: Tensor,
    directions: Tensor,
    bones: Tensor,
    cylinders: Tensor,
    draws: Draws | None = None,
) -> tuple[Composite, Composite]:
    """Coarse and fine results of rays (R, 3) with bones (R, J, 4, 4), those that miss in the mean span of the others."""
    config, draws = model.config, draws or Draws()
    near, far = mean_for_misses(*cylinder_span(origins, directions, cylinders))
    depths = coarse_depths(near, far, config.coarse_samples, jitter=draws.jitter)
    encoded, view = encode(model, origins, directions, bones, depths)
    coarse = composite(model.coarse(encoded, view), depths, directions, noise=draws.coarse_noise)
    new = importance_depths(depths, coarse.weights, config.fine_samples, uniform=draws.uniform)
    encoded_new, view_new = encode(model, origins, directions, bones, new)
    union, order = torch.cat([depths, new], dim=1).sort(dim=1)
    encoded, view = (
        torch.cat(pair, dim=1).gather(1, order[..., None].expand(-1, -1, pair[0].shape[-1]))
        for pair in ((encoded, encoded_new), (view, view_new))
    )
    return coarse, composite(model.fine(encoded, view), union, directions, noise=draws.fine_noise)


def encode(
    model: ANeRF, origins: Tensor, directions: Tensor, bones: Tensor, depths: Tensor
) -> tuple[Tensor, Tensor]:
    """(R, S, 432) and (R, S, 648) encodings of samples (R, S)."""
    points = origins[:, None] + depths[..., None] * directions[:, None]
    local = to_bones(points, bones)
    distance = local.norm(dim=-1)
    turned = F.normalize(torch.einsum("rjik,rk->rji", bones[..., :3, :3], directions), dim=-1)
    turned = turned.flatten(1)[:, None].expand(-1, depths.shape[1], -1)
    density = [model.distance_encoding(distance, distance), F.normalize(local, dim=-1).flatten(-2)]
    return torch.cat(density, dim=-1), model.view_encoding(turned, distance)
