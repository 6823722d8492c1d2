"""Warp kernels that blend Gaussians by tiles, one pixel per thread: for CUDA. Gradients go by atomics.

The adjoint is that of `raster_kernels`. Import this file inside functions only: it imports Warp.
"""

# mypy: ignore-errors
# ruff: noqa: ANN201, UP018

import warp as wp

from contrapposto.systems.anerf.splats.raster_kernels import DARK, LEAST, MOST

wp.set_module_options({"enable_backward": False})


@wp.kernel
def blend_tiles(
    start: wp.array[wp.int32],
    members: wp.array[wp.int32],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    side: int,
    across: int,
    image: wp.array2d[wp.vec3],
    transmittance: wp.array2d[float],
):
    """One pixel per thread; `members[start[n]:start[n + 1]]` are the Gaussians of tile n by depth."""
    y, x = wp.tid()
    tile = (y / side) * across + x / side
    t = float(1.0)
    sum = wp.vec3(0.0, 0.0, 0.0)
    k = start[tile]
    end = start[tile + 1]
    while k < end:
        i = members[k]
        dx = float(x) - mean[i][0]
        dy = float(y) - mean[i][1]
        q = conic[i]
        g = opacity[i] * wp.exp(-0.5 * (q[0] * dx * dx + q[2] * dy * dy) - q[1] * dx * dy)
        if g > LEAST:
            w = t * wp.min(g, MOST)
            sum += w * colour[i]
            t -= w
            if t <= DARK:
                k = end
        k += 1
    image[y, x] = sum
    transmittance[y, x] = t


@wp.kernel
def blend_tiles_adjoint(
    start: wp.array[wp.int32],
    members: wp.array[wp.int32],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    side: int,
    across: int,
    image: wp.array2d[wp.vec3],
    final: wp.array2d[float],
    image_gradient: wp.array2d[wp.vec3],
    final_gradient: wp.array2d[float],
    mean_gradient: wp.array[wp.vec2],
    conic_gradient: wp.array[wp.vec3],
    opacity_gradient: wp.array[float],
    colour_gradient: wp.array[wp.vec3],
):
    """See `blend_tiles`; gradients are added to what is there."""
    y, x = wp.tid()
    tile = (y / side) * across + x / side
    t = float(1.0)
    pixel = image_gradient[y, x]
    last = final_gradient[y, x]
    rest = wp.dot(pixel, image[y, x]) - last * (1.0 - final[y, x])
    k = start[tile]
    end = start[tile + 1]
    while k < end:
        i = members[k]
        dx = float(x) - mean[i][0]
        dy = float(y) - mean[i][1]
        q = conic[i]
        g = opacity[i] * wp.exp(-0.5 * (q[0] * dx * dx + q[2] * dy * dy) - q[1] * dx * dy)
        if g > LEAST:
            alpha = wp.min(g, MOST)
            w = t * alpha
            e = wp.dot(colour[i], pixel) - last
            rest = rest - w * e
            wp.atomic_add(colour_gradient, i, w * pixel)
            if g < MOST:
                v = (t * e - rest / (1.0 - alpha)) * alpha
                wp.atomic_add(
                    mean_gradient, i, wp.vec2(v * (q[0] * dx + q[1] * dy), v * (q[1] * dx + q[2] * dy))
                )
                wp.atomic_add(
                    conic_gradient, i, wp.vec3(-0.5 * v * dx * dx, -v * dx * dy, -0.5 * v * dy * dy)
                )
                wp.atomic_add(opacity_gradient, i, v / opacity[i])
            t -= w
            if t <= DARK:
                k = end
        k += 1
