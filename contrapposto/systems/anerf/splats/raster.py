"""Differentiable projection and blending of Gaussians: torch functions over the Warp kernels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from contrapposto.systems.anerf.splats.tiles import blend_tiles, blend_tiles_adjoint
from contrapposto.systems.anerf.splats.warp_arrays import device_of, load_warp, wrap


class Projected(NamedTuple):
    """Gaussians on an image.

    Args:
        mean: (N, 2) pixels (x, y).
        conic: (N, 3) inverse covariance xx, xy, yy.
        opacity: (N,) at the mean.
        colour: (N, 3) lit.
        depth: (N,) along the viewing axis, world units.
    """

    mean: Tensor
    conic: Tensor
    opacity: Tensor
    colour: Tensor
    depth: Tensor


_PROJECT = (
    *("vec3", "vec3", "vec4", "vec3", "float32", "vec3", "int32", "float32", "mat33"),
    *("mat33", "vec3", "vec3", "mat33", "vec3", "vec4"),
)
_PROJECTED = ("vec2", "vec3", "float32", "vec3", "float32")
_FIXED = frozenset((0, 6, 7, 8, 12, 13, 14))
"""Inputs of `project` that are never learnt: places and skinning of the Gaussians, the camera."""


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> tuple[Tensor, ...]:
        warp = load_warp()
        from contrapposto.systems.anerf.splats import projection_kernels

        count = len(inputs[0])
        new = inputs[0].new_empty
        outputs = (new(count, 2), new(count, 3), new(count), new(count, 3), new(count))
        arrays = [wrap(tensor, kind) for tensor, kind in zip(inputs, _PROJECT)]
        results = [wrap(tensor, kind) for tensor, kind in zip(outputs, _PROJECTED)]
        device = device_of(inputs[0])
        warp.launch(projection_kernels.project, dim=count, inputs=arrays, outputs=results, device=device)
        ctx.arrays, ctx.results, ctx.inputs = arrays, results, [tensor.detach() for tensor in inputs]
        ctx.mark_non_differentiable(outputs[-1])
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        warp = load_warp()
        from contrapposto.systems.anerf.splats import projection_kernels

        inputs = ctx.inputs
        result = [
            None if number in _FIXED else torch.zeros_like(tensor) for number, tensor in enumerate(inputs)
        ]
        into = [None if t is None else wrap(t, kind) for t, kind in zip(result, _PROJECT)]
        # Warp may clear the adjoints of outputs: they are copies.
        values = [wrap(g.clone(), kind) for g, kind in zip(gradients[:-1], _PROJECTED)]
        values.append(wrap(inputs[0].new_zeros(len(inputs[0]))))
        warp.launch(
            projection_kernels.project,
            dim=len(inputs[0]),
            inputs=ctx.arrays,
            outputs=ctx.results,
            adj_inputs=into,
            adj_outputs=values,
            adjoint=True,
            device=device_of(inputs[0]),
        )
        return tuple(result)


def project(*inputs: Tensor) -> Projected:
    """Gaussians of a posed avatar before a camera; the tensors are those of the kernel `project`, in its order."""
    return Projected(*_Project.apply(*(tensor.contiguous() for tensor in inputs)))


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mean: Tensor,
        conic: Tensor,
        opacity: Tensor,
        colour: Tensor,
        order: Tensor,
        height: int,
        width: int,
        threads: int,
    ) -> tuple[Tensor, Tensor]:
        warp = load_warp()
        from contrapposto.systems.anerf.splats import raster_kernels

        image, transmittance = mean.new_empty(height, width, 3), mean.new_empty(height, width)
        shared = [
            wrap(order, "int32"),
            *(wrap(t, k) for t, k in zip((mean, conic, opacity, colour), _PROJECTED)),
        ]
        results = [wrap(image, "vec3"), wrap(transmittance)]

        def work(band: tuple[int, int]) -> None:
            inputs = [*shared, *band, width]
            warp.launch(raster_kernels.blend, dim=1, inputs=inputs, outputs=results, device="cpu")

        _each(work, _bands(height, threads))
        ctx.gaussians = [tensor.detach() for tensor in (mean, conic, opacity, colour)]
        ctx.shared, ctx.results, ctx.threads = shared, results, threads
        return image, transmittance

    @staticmethod
    def backward(ctx: Any, image_gradient: Tensor, final_gradient: Tensor) -> tuple[Any, ...]:
        warp = load_warp()
        from contrapposto.systems.anerf.splats import raster_kernels

        height, width = final_gradient.shape
        values = [wrap(image_gradient, "vec3"), wrap(final_gradient)]
        scratch = [wrap(torch.empty_like(final_gradient)) for _ in range(2)]
        bands = _bands(height, ctx.threads)
        result = [[torch.zeros_like(tensor) for tensor in ctx.gaussians] for _ in bands]

        def work(number: int) -> None:
            outputs = [wrap(t, k) for t, k in zip(result[number], _PROJECTED)]
            inputs = [*ctx.shared, *bands[number], width, *ctx.results, *values, *scratch]
            warp.launch(raster_kernels.blend_adjoint, dim=1, inputs=inputs, outputs=outputs, device="cpu")

        _each(work, range(len(bands)))
        sums = result[0] if len(result) == 1 else [torch.stack(parts).sum(0) for parts in zip(*result)]
        return (*sums, None, None, None, None)


class _BlendTiles(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        mean: Tensor,
        conic: Tensor,
        opacity: Tensor,
        colour: Tensor,
        order: Tensor,
        height: int,
        width: int,
    ) -> tuple[Tensor, Tensor]:
        gaussians = (mean, conic, opacity, colour)
        image, final, lists = blend_tiles(gaussians, order, height, width)
        ctx.kept = ([t.detach() for t in gaussians], image.detach(), final.detach(), lists)
        return image, final

    @staticmethod
    def backward(ctx: Any, image_gradient: Tensor, final_gradient: Tensor) -> tuple[Any, ...]:
        gaussians, image, final, lists = ctx.kept
        result = blend_tiles_adjoint(gaussians, image, final, lists, image_gradient, final_gradient)
        return (*result, None, None, None)


def blend(
    gaussians: Projected, height: int, width: int, *, threads: int = 1, tiles: bool | None = None
) -> tuple[Tensor, Tensor]:
    """The image of projected Gaussians.

    Args:
        gaussians: on the image; pixel centres lie at whole numbers.
        height, width: pixels.
        threads: on the CPU; each takes a band of rows.
        tiles: use the pixel-major kernels; None: on CUDA.

    Returns:
        (H, W, 3) colours premultiplied by the opacity, and (H, W) transmittance: 1 minus the opacity.
    """
    mean, conic, opacity, colour, depth = gaussians
    if tiles or (tiles is None and mean.device.type != "cpu"):
        order = torch.argsort(depth.detach(), stable=True).int()
        return _BlendTiles.apply(mean, conic, opacity, colour, order, height, width)
    order = torch.from_numpy(np.argsort(depth.detach().numpy(), kind="stable").astype(np.int32))
    return _Blend.apply(mean, conic, opacity, colour, order, height, width, threads)


def _bands(height: int, threads: int) -> list[tuple[int, int]]:
    count = max(min(threads, height // 16), 1)
    edges = np.linspace(0, height, count + 1).round().astype(int).tolist()
    return list(pairwise(edges))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8)


def _each(work: Any, items: Any) -> None:
    """All items, at the same time where there are several: Warp's launches release Python's lock."""
    if len(items) == 1:
        work(items[0])
    else:
        list(_pool().map(work, items))
