"""Warp kernels that blend Gaussians into an image on a CPU, with hand-written adjoints.

Gaussians are sorted by depth once; each walks the rows of its own ellipse, where its opacity is above 1/255, so that few
pixels look at a Gaussian that does not touch them. Along a row eight pixels are computed at a time, in the vectors of
clang, Warp's compiler for CPUs. An image is an array (rows, channels, columns): the three colours and the transmittance.

The adjoint goes front to back too: a pixel keeps its transmittance T and the remainder R, the sum over the Gaussians not
yet met of w_j (c_j . g - g_T), which starts from the finished image. Then dL/d(alpha_i) = T_i e_i - R_i / (1 - alpha_i).

Import this file inside functions only: it imports Warp.
"""

# mypy: ignore-errors
# ruff: noqa: ANN201

import warp as wp

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)
wp.set_module_options({"enable_backward": False})

LEAST = wp.constant(1.0 / 255.0)
"""Opacity below which a Gaussian does not touch a pixel."""
MOST = wp.constant(0.99)
DARK = wp.constant(1.0e-4)
"""Transmittance below which a pixel is finished."""
LANES = 8
"""Pixels at a time. Rows of images end with as many that are not shown, which the last ones of a row may write to."""

Moments = wp.types.vector(length=9, dtype=float)

_START = f"""
    #pragma clang fp contract(fast)
    typedef float lanes __attribute__((vector_size(4 * {LANES}), aligned(4)));
    typedef int flags __attribute__((vector_size(4 * {LANES})));
    const lanes zero = {{}}, step = {{0, 1, 2, 3, 4, 5, 6, 7}};
    const float log2e = 1.44269504f, xx = -0.5f * log2e * conic[0], xy = -log2e * conic[1], yy = -0.5f * log2e * conic[2];
    const float red = colour[0], green = colour[1], blue = colour[2];
    const int stride = image.shape[2];
    auto where = [](flags condition, lanes value) {{ return (lanes)((flags)value & condition); }};
    auto power_of_two = [&](lanes x) {{
        x = x > -126.0f ? x : zero - 126.0f;
        const float rounding = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to whole numbers
        const lanes sum = x + rounding, part = x - (sum - rounding);
        lanes value = part * 1.5403530e-4f + 1.3333558e-3f;  // Taylor: 1e-7 from -1/2 to 1/2
        value = value * part + 9.6181291e-3f;
        value = value * part + 5.5504109e-2f;
        value = value * part + 2.4022651e-1f;
        value = value * part + 6.9314718e-1f;
        value = value * part + 1.0f;
        return (lanes)((flags)value + ((flags)sum << 23));
    }};
"""
_PIXELS = f"""
    for (int y = first; y <= last; ++y) {{
        const float dy = (float)y - mean[1], middle = mean[0] - conic[1] / conic[0] * dy;
        const int left = wp::max(0, (int)ceilf(middle - half));
        const int right = wp::min(width - 1, (int)floorf(middle + half));
        for (int x = left; x <= right; x += {LANES}) {{
            const lanes dx = step + ((float)x - mean[0]);
            const lanes value = power_of_two(dx * (dx * xx + dy * xy) + (dy * dy * yy + level));
            const lanes alpha = value < {MOST}f ? value : zero + {MOST}f;
            auto at = [&](int channel) {{ return (lanes*)(image.data + (y * image.shape[1] + channel) * stride + x); }};
"""
"""Both directions begin so; it ends inside of the loop over the pixels of a row."""


@wp.func_native(
    f"""{_START}{_PIXELS}
            const lanes light = *at(3);
            const lanes share = where((value > {LEAST}f) & (light > {DARK}f), light * alpha);
            *at(0) += share * red;
            *at(1) += share * green;
            *at(2) += share * blue;
            *at(3) = light - share;
        }}
    }}
    """
)
def blend_rows(
    mean: wp.vec2,
    conic: wp.vec3,
    level: float,
    half: float,
    colour: wp.vec3,
    first: int,
    last: int,
    width: int,
    image: wp.array3d[float],
):
    """One Gaussian: `level` is the logarithm of its opacity to base 2, `half` half of its longest row."""
    ...


@wp.func_native(
    f"""{_START}
    lanes s = zero, sx = zero, sy = zero, sxx = zero, sxy = zero, syy = zero;
    lanes reds = zero, greens = zero, blues = zero;
    {_PIXELS}
            const lanes light = *at(4);
            const flags seen = (value > {LEAST}f) & (light > {DARK}f);
            const lanes share = where(seen, light * alpha);
            const lanes wanted_red = *at(0), wanted_green = *at(1), wanted_blue = *at(2);
            const lanes e = wanted_red * red + wanted_green * green + wanted_blue * blue - *at(3);
            const lanes rest = *at(5) - share * e;
            *at(4) = light - share;
            *at(5) = rest;
            reds += share * wanted_red;
            greens += share * wanted_green;
            blues += share * wanted_blue;
            const lanes v = where(seen & (value < {MOST}f), (light * e - rest / (1.0f - alpha)) * alpha);
            const lanes vx = v * dx, vy = v * dy;
            s += v;
            sx += vx;
            sy += vy;
            sxx += vx * dx;
            sxy += vx * dy;
            syy += vy * dy;
        }}
    }}
    const lanes sums[9] = {{s, sx, sy, sxx, sxy, syy, reds, greens, blues}};
    wp::vec_t<9, float> result;
    for (int lane = 0; lane < {LANES}; ++lane)
        for (int number = 0; number < 9; ++number)
            result[number] += sums[number][lane];
    return result;
    """
)
def adjoint_rows(
    mean: wp.vec2,
    conic: wp.vec3,
    level: float,
    half: float,
    colour: wp.vec3,
    first: int,
    last: int,
    width: int,
    image: wp.array3d[float],
) -> Moments:
    """Moments 1, x, y, xx, xy, yy of v = alpha dL/dalpha over one Gaussian, and the gradient of its colour."""
    ...


@wp.func
def half_height(conic: wp.vec3, reach: float):
    """Half of the rows of an ellipse."""
    return wp.sqrt(reach * conic[0] / (conic[0] * conic[2] - conic[1] * conic[1]))


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
    image: wp.array3d[float],
):
    """Rows [top, bottom) of an image (H, 4, width + LANES) that starts at 0, 0, 0 and 1; one thread."""
    for k in range(order.shape[0]):
        i = order[k]
        if opacity[i] > LEAST:
            m = mean[i]
            q = conic[i]
            reach = 2.0 * wp.log(opacity[i] / LEAST)
            tall = half_height(q, reach)
            first = wp.max(top, int(wp.ceil(m[1] - tall)))
            last = wp.min(bottom - 1, int(wp.floor(m[1] + tall)))
            level = wp.log2(opacity[i])
            blend_rows(m, q, level, wp.sqrt(reach / q[0]), colour[i], first, last, width, image)


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
    image: wp.array3d[float],
    mean_gradient: wp.array[wp.vec2],
    conic_gradient: wp.array[wp.vec3],
    opacity_gradient: wp.array[float],
    colour_gradient: wp.array[wp.vec3],
):
    """Gradients from rows [top, bottom), written to buffers of these rows' own, which start at zero; one thread.

    Channels of the image: gradients of the colours and of the transmittance, and T and R, which are used up.
    """
    for k in range(order.shape[0]):
        i = order[k]
        if opacity[i] > LEAST:
            m = mean[i]
            q = conic[i]
            reach = 2.0 * wp.log(opacity[i] / LEAST)
            tall = half_height(q, reach)
            first = wp.max(top, int(wp.ceil(m[1] - tall)))
            last = wp.min(bottom - 1, int(wp.floor(m[1] + tall)))
            if last >= first:
                level = wp.log2(opacity[i])
                s = adjoint_rows(m, q, level, wp.sqrt(reach / q[0]), colour[i], first, last, width, image)
                mean_gradient[i] = wp.vec2(q[0] * s[1] + q[1] * s[2], q[1] * s[1] + q[2] * s[2])
                conic_gradient[i] = wp.vec3(-0.5 * s[3], -s[4], -0.5 * s[5])
                opacity_gradient[i] = s[0] / opacity[i]
                colour_gradient[i] = wp.vec3(s[6], s[7], s[8])
