"""Warp kernels that blend Gaussians into an image, with hand-written adjoints.

CPU (`blend`, `blend_adjoint`): Gaussian-major. Gaussians are sorted by depth once; each walks the rows of its own
ellipse, where its opacity is above 1/255, so that no pixel looks at a Gaussian that does not touch it. Along a row the
value follows from its neighbour's by two products, without an exponential. The image stays in the cache.

CUDA (`blend_tiles`, `blend_tiles_adjoint`): pixel-major over lists of the Gaussians of each tile; gradients by atomics.

Both adjoints go front to back: a pixel keeps its transmittance T and the remainder R, the sum over the Gaussians not yet
met of w_j (c_j . g - g_T), which starts from the finished image. Then dL/d(alpha_i) = T_i e_i - R_i / (1 - alpha_i).

Import this file inside functions only: it imports Warp.
"""

# mypy: ignore-errors
# ruff: noqa: ANN201, UP018

import warp as wp

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)
wp.set_module_options({"enable_backward": False})

LEAST = wp.constant(1.0 / 255.0)
"""Opacity below which a Gaussian does not touch a pixel."""
MOST = wp.constant(0.99)
DARK = wp.constant(1.0e-4)
"""Transmittance below which a pixel is finished."""


@wp.kernel
def blend(
    order: wp.array[wp.int32],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    top: int,
    bottom: int,
    width: int,
    image: wp.array2d[wp.vec3],
    transmittance: wp.array2d[float],
):
    """Rows [top, bottom) of an image; one thread."""
    for y in range(top, bottom):
        for x in range(width):
            transmittance[y, x] = 1.0
            image[y, x] = wp.vec3(0.0, 0.0, 0.0)
    for k in range(order.shape[0]):
        i = order[k]
        o = opacity[i]
        if o > LEAST:
            q = conic[i]
            a = q[0]
            b = q[1]
            c = q[2]
            m = mean[i]
            reach = 2.0 * wp.log(o / LEAST)
            half = wp.sqrt(reach * a / (a * c - b * b))
            first = wp.max(top, int(wp.ceil(m[1] - half)))
            last = wp.min(bottom - 1, int(wp.floor(m[1] + half)))
            if last >= first:
                second = wp.exp(-a)
                own = colour[i]
                for y in range(first, last + 1):
                    dy = float(y) - m[1]
                    inside = b * b * dy * dy - a * (c * dy * dy - reach)
                    if inside > 0.0:
                        root = wp.sqrt(inside)
                        middle = m[0] - b * dy / a
                        left = wp.max(0, int(wp.ceil(middle - root / a)))
                        right = wp.min(width - 1, int(wp.floor(middle + root / a)))
                        dx = float(left) - m[0]
                        g = o * wp.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
                        ratio = wp.exp(-(a * (dx + 0.5) + b * dy))
                        for x in range(left, right + 1):
                            t = transmittance[y, x]
                            if t > DARK:
                                w = t * wp.min(g, MOST)
                                image[y, x] = image[y, x] + w * own
                                transmittance[y, x] = t - w
                            g = g * ratio
                            ratio = ratio * second


@wp.kernel
def blend_adjoint(
    order: wp.array[wp.int32],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    top: int,
    bottom: int,
    width: int,
    image: wp.array2d[wp.vec3],
    final: wp.array2d[float],
    image_gradient: wp.array2d[wp.vec3],
    final_gradient: wp.array2d[float],
    transmittance: wp.array2d[float],
    remainder: wp.array2d[float],
    mean_gradient: wp.array[wp.vec2],
    conic_gradient: wp.array[wp.vec3],
    opacity_gradient: wp.array[float],
    colour_gradient: wp.array[wp.vec3],
):
    """Gradients from rows [top, bottom), written to buffers of these rows' own, which start at zero; one thread."""
    for y in range(top, bottom):
        for x in range(width):
            transmittance[y, x] = 1.0
            remainder[y, x] = wp.dot(image_gradient[y, x], image[y, x]) - final_gradient[y, x] * (
                1.0 - final[y, x]
            )
    for k in range(order.shape[0]):
        i = order[k]
        o = opacity[i]
        if o > LEAST:
            q = conic[i]
            a = q[0]
            b = q[1]
            c = q[2]
            m = mean[i]
            reach = 2.0 * wp.log(o / LEAST)
            half = wp.sqrt(reach * a / (a * c - b * b))
            first = wp.max(top, int(wp.ceil(m[1] - half)))
            last = wp.min(bottom - 1, int(wp.floor(m[1] + half)))
            if last >= first:
                second = wp.exp(-a)
                own = colour[i]
                # Moments of v = alpha dL/dalpha over the ellipse: all gradients but the colour's follow from them.
                s = float(0.0)
                sx = float(0.0)
                sy = float(0.0)
                sxx = float(0.0)
                sxy = float(0.0)
                syy = float(0.0)
                tint = wp.vec3(0.0, 0.0, 0.0)
                for y in range(first, last + 1):
                    dy = float(y) - m[1]
                    inside = b * b * dy * dy - a * (c * dy * dy - reach)
                    if inside > 0.0:
                        root = wp.sqrt(inside)
                        middle = m[0] - b * dy / a
                        left = wp.max(0, int(wp.ceil(middle - root / a)))
                        right = wp.min(width - 1, int(wp.floor(middle + root / a)))
                        dx = float(left) - m[0]
                        g = o * wp.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
                        ratio = wp.exp(-(a * (dx + 0.5) + b * dy))
                        row = float(0.0)
                        row_x = float(0.0)
                        row_xx = float(0.0)
                        for x in range(left, right + 1):
                            t = transmittance[y, x]
                            if t > DARK:
                                alpha = wp.min(g, MOST)
                                w = t * alpha
                                pixel = image_gradient[y, x]
                                e = wp.dot(own, pixel) - final_gradient[y, x]
                                rest = remainder[y, x] - w * e
                                remainder[y, x] = rest
                                transmittance[y, x] = t - w
                                tint += w * pixel
                                if g < MOST:
                                    v = (t * e - rest / (1.0 - alpha)) * alpha
                                    row += v
                                    row_x += v * dx
                                    row_xx += v * dx * dx
                            g = g * ratio
                            ratio = ratio * second
                            dx += 1.0
                        s += row
                        sx += row_x
                        sxx += row_xx
                        sy += row * dy
                        sxy += row_x * dy
                        syy += row * dy * dy
                mean_gradient[i] = wp.vec2(a * sx + b * sy, b * sx + c * sy)
                conic_gradient[i] = wp.vec3(-0.5 * sxx, -sxy, -0.5 * syy)
                opacity_gradient[i] = s / o
                colour_gradient[i] = tint


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
