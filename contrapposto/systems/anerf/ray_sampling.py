"""Where rays are sampled: cylinder entry and exit, coarse depths, importance samples.

See docs/specs/anerf.md, section 5.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cylinder_span(
    origins: Tensor, directions: Tensor, cylinders: Tensor, near: float = 0.0, far: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Depths at which rays (R, 3) enter and leave upright cylinders (R, 5).

    Caps are not tested. A near plane inside the circle is kept. `near` and `far` are parameters of the line, not limits
    of the exit.

    Returns:
        Entry and exit (R,), and whether the ray hits (R,); where it misses, entry and exit are `near` and `far`.
    """
    flat_o, flat_d = origins[:, [0, 2]], directions[:, [0, 2]]
    start, step = flat_o + near * flat_d, (far - near) * flat_d
    length = torch.linalg.vector_norm(step, dim=-1)
    to_centre = cylinders[:, :2] - start
    offset = (to_centre[:, 0] * step[:, 1] - to_centre[:, 1] * step[:, 0]).abs() / length
    squared = cylinders[:, 2] ** 2 - offset**2
    hit = squared >= 0  # False for the NaN of a ray that is parallel to the axis
    half = squared.clamp_min(0).sqrt()
    along = (to_centre * step).sum(-1) / length
    speed = length / abs(far - near)
    entry = near + torch.where(half < along, along - half, torch.zeros_like(along)) / speed
    leave = near + (along + half) / speed
    return torch.where(hit, entry, near), torch.where(hit, leave, far), hit


def mean_for_misses(entry: Tensor, leave: Tensor, hit: Tensor) -> tuple[Tensor, Tensor]:
    """The original's span of a ray that misses: the mean of the rays that hit in the same chunk.

    Only for parity: what a ray shows then depends on its neighbours.
    """
    if not bool(hit.any()):
        return entry, leave
    return torch.where(hit, entry, entry[hit].mean()), torch.where(hit, leave, leave[hit].mean())


def coarse_depths(
    near: Tensor, far: Tensor, count: int, *, jitter: Tensor | None = None, inverse: bool = False
) -> Tensor:
    """(R, count) depths between near and far (R,), uniform in depth or in inverse depth.

    Args:
        near, far: spans.
        count: samples per ray.
        jitter: (R, count) uniform numbers: each depth moves inside its stratum (Mildenhall et al. 2020).
        inverse: uniform in 1 / depth.
    """
    t = torch.linspace(0, 1, count, dtype=near.dtype, device=near.device)
    near, far = near[:, None], far[:, None]
    depths = 1 / (1 / near * (1 - t) + 1 / far * t) if inverse else near * (1 - t) + far * t
    if jitter is None:
        return depths
    middle = (depths[:, 1:] + depths[:, :-1]) / 2
    low = torch.cat([depths[:, :1], middle], dim=1)
    high = torch.cat([middle, depths[:, -1:]], dim=1)
    return low + (high - low) * jitter


def importance_depths(
    depths: Tensor, weights: Tensor, count: int, *, uniform: Tensor | None = None, smoothed: bool = False
) -> Tensor:
    """(R, count) depths drawn by the weights of the coarse pass; they carry no gradient.

    Args:
        depths, weights: (R, S) of the coarse pass.
        count: samples per ray.
        uniform: (R, count) numbers in [0, 1); evenly spaced where absent.
        smoothed: the single network's weights: mean of the larger neighbours, plus 0.01.
    """
    depths, weights = depths.detach(), weights.detach()
    bins = (depths[:, 1:] + depths[:, :-1]) / 2
    if smoothed:
        larger = torch.maximum(weights[:, :-1], weights[:, 1:])
        density = (larger[:, :-1] + larger[:, 1:]) / 2 + 0.01
    else:
        density = weights[:, 1:-1]
    density = density + 1e-5
    cumulative = torch.cumsum(density / density.sum(-1, keepdim=True), dim=-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    if uniform is None:
        uniform = torch.linspace(0, 1, count, dtype=depths.dtype, device=depths.device).expand(
            len(depths), count
        )
    above = torch.searchsorted(cumulative, uniform.contiguous(), right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(cumulative.shape[-1] - 1)
    low, high = cumulative.gather(1, below), cumulative.gather(1, above)
    span = high - low
    fraction = (uniform - low) / torch.where(span < 1e-5, torch.ones_like(span), span)
    start, end = bins.gather(1, below), bins.gather(1, above)
    return start + fraction * (end - start)
