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

        count, outputs = len(inputs[0]), _empty(inputs[0])
        arrays = [wrap(tensor, kind) for tensor, kind in zip(inputs, _PROJECT)]
        results = [wrap(tensor, kind) for tensor, kind in zip(outputs, _PROJECTED)]
        device = device_of(inputs[0])
        warp.launch(projection_kernels.project, dim=count, inputs=arrays, outputs=results, device=device)
        ctx.arrays, ctx.results, ctx.inputs = arrays, results, [tensor.detach() for tensor in inputs]
        ctx.mark_non_differentiable(outputs.depth)
        return tuple(outputs)

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


_PROJECT_FIXED = (
    *("vec3", "mat33", "vec3", "float32", "vec3", "int32", "float32"),
    *("mat33", "vec3", "vec3", "mat33", "vec3", "vec4"),
)


def project_fixed(*inputs: Tensor) -> Projected:
    """`project` without gradients; the tensors are those of the kernel `project_fixed`, in its order."""
    warp = load_warp()
    from contrapposto.systems.anerf.splats import projection_kernels

    outputs = _empty(inputs[0])
    warp.launch(
        projection_kernels.project_fixed,
        dim=len(inputs[0]),
        inputs=[wrap(tensor, kind) for tensor, kind in zip(inputs, _PROJECT_FIXED)],
        outputs=[wrap(tensor, kind) for tensor, kind in zip(outputs, _PROJECTED)],
        device=device_of(inputs[0]),
    )
    return outputs


def _empty(like: Tensor) -> Projected:
    count, new = len(like), like.new_empty
    return Projected(new(count, 2), new(count, 3), new(count), new(count, 3), new(count))


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

        planes = mean.new_zeros(height, 4, width + raster_kernels.LANES)
        planes[:, 3] = 1
        arrays = [wrap(order, "int32")]
        arrays += [wrap(t, k) for t, k in zip((mean, conic, opacity, colour), _PROJECTED)]
        drawn = wrap(planes)

        def work(band: tuple[int, int]) -> None:
            inputs = [*arrays, *band, width]
            warp.launch(raster_kernels.blend, dim=1, inputs=inputs, outputs=[drawn], device="cpu")

        _each(work, _bands(height, threads))
        ctx.gaussians = [tensor.detach() for tensor in (mean, conic, opacity, colour)]
        ctx.arrays, ctx.planes, ctx.threads = arrays, planes, threads
        return planes[:, :3, :width].transpose(1, 2), planes[:, 3, :width]

    @staticmethod
    def backward(ctx: Any, image_gradient: Tensor, final_gradient: Tensor) -> tuple[Any, ...]:
        warp = load_warp()
        from contrapposto.systems.anerf.splats import raster_kernels

        height, width = final_gradient.shape
        image, final = ctx.planes[:, :3], ctx.planes[:, 3]
        planes = image.new_zeros(height, 6, image.shape[2])
        planes[:, :3, :width] = image_gradient.transpose(1, 2)
        planes[:, 3, :width] = final_gradient
        planes[:, 4] = 1
        planes[:, 5] = (planes[:, :3] * image).sum(1) - planes[:, 3] * (1 - final)
        state = wrap(planes)
        bands = _bands(height, ctx.threads)
        result = [[torch.zeros_like(tensor) for tensor in ctx.gaussians] for _ in bands]

        def work(number: int) -> None:
            outputs = [wrap(t, k) for t, k in zip(result[number], _PROJECTED)]
            inputs = [*ctx.arrays, *bands[number], width, state]
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
    # Depth and number as one whole number: its vectorised sort is several times as fast as a stable argsort.
    bits = depth.detach().numpy().view(np.int32).astype(np.int64) << 32
    order = torch.from_numpy(np.sort(bits | np.arange(len(bits))).astype(np.int32))
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
