"""Blending by tiles, one pixel per thread: for CUDA. The same kernels run on the CPU, slowly, for the tests."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.warp_arrays import device_of, load_warp, wrap

SIDE = 16
"""Pixels along each side of a tile."""

Lists = tuple[Tensor, Tensor, int]
"""Start of every tile's list, its members by depth, tiles across."""


def tile_lists(gaussians: Sequence[Tensor], order: Tensor, height: int, width: int) -> Lists:
    """Gaussians that touch each tile, by depth.

    Args:
        gaussians: mean (N, 2), conic (N, 3), opacity (N,), ...
        order: (N,) int32 from the nearest to the farthest.
        height, width: pixels of the image.
    """
    mean, conic, opacity = (part.detach()[order.long()] for part in gaussians[:3])
    across, down = -(-width // SIDE), -(-height // SIDE)
    reach = 2 * torch.log(opacity * 255).clamp_min(0)
    a, b, c = conic.unbind(1)
    determinant = a * c - b * b
    half = torch.stack([(reach * c / determinant).sqrt(), (reach * a / determinant).sqrt()], 1)
    limit = mean.new_tensor([across, down])
    low = ((mean - half) / SIDE).floor().clamp_min(0).minimum(limit).long()
    high = (((mean + half) / SIDE).floor() + 1).clamp_min(0).minimum(limit).long()
    size = torch.where((reach > 0)[:, None], (high - low).clamp_min(0), 0)
    count = size.prod(1)
    owner = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    within = torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]
    columns = size[owner, 0].clamp_min(1)
    row = low[owner, 1] + within.div(columns, rounding_mode="floor")
    tile = row * across + low[owner, 0] + within % columns
    tile, place = torch.sort(tile, stable=True)
    numbers = torch.arange(across * down + 1, device=count.device)
    return torch.searchsorted(tile, numbers).int(), order[owner[place]].contiguous(), across


def blend_tiles(
    gaussians: Sequence[Tensor], order: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Lists]:
    """Image (H, W, 3), transmittance (H, W), and the lists for the adjoint."""
    warp = load_warp()
    from contrapposto.systems.anerf.splats import tile_kernels

    start, members, across = lists = tile_lists(gaussians, order, height, width)
    image, final = gaussians[0].new_empty(height, width, 3), gaussians[0].new_empty(height, width)
    warp.launch(
        tile_kernels.blend_tiles,
        dim=(height, width),
        inputs=[*_arrays(gaussians, start, members), SIDE, across],
        outputs=[wrap(image, "vec3"), wrap(final)],
        device=device_of(image),
    )
    return image, final, lists


def blend_tiles_adjoint(
    gaussians: Sequence[Tensor],
    image: Tensor,
    final: Tensor,
    lists: Lists,
    image_gradient: Tensor,
    final_gradient: Tensor,
) -> list[Tensor]:
    """Gradients of mean, conic, opacity and colour."""
    warp = load_warp()
    from contrapposto.systems.anerf.splats import tile_kernels

    start, members, across = lists
    result = [torch.zeros_like(tensor) for tensor in gaussians]
    inputs = [wrap(image, "vec3"), wrap(final), wrap(image_gradient, "vec3"), wrap(final_gradient)]
    warp.launch(
        tile_kernels.blend_tiles_adjoint,
        dim=tuple(final.shape),
        inputs=[*_arrays(gaussians, start, members), SIDE, across, *inputs],
        outputs=[wrap(t, k) for t, k in zip(result, ("vec2", "vec3", "float32", "vec3"))],
        device=device_of(image),
    )
    return result


def _arrays(gaussians: Sequence[Tensor], start: Tensor, members: Tensor) -> list[object]:
    kinds = ("vec2", "vec3", "float32", "vec3")
    return [wrap(start, "int32"), wrap(members, "int32"), *(wrap(t, k) for t, k in zip(gaussians, kinds))]
