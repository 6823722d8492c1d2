"""Warp kernels of the background: the ground with its squares and the light on it."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201

import warp as wp

from contrapposto.render.warp_types import Look, Shown, View, floor_of, ray_direction

wp.set_module_options({"enable_backward": False, "fast_math": True})

BLOCK = wp.constant(8)
"""Pixels of a row whose background is decided about at once; blocks begin at multiples of it."""


@wp.func
def wave(place: float, width: float) -> float:
    """Half the integral of a square wave of period 2 over an interval."""
    start = (place - 0.5 * width) * 0.5
    end = (place + 0.5 * width) * 0.5
    return wp.abs(start - floor_of(start) - 0.5) - wp.abs(end - floor_of(end) - 0.5)


@wp.func
def darkened(color: wp.vec3, taken: wp.vec3) -> wp.vec3:
    """The ground without the blocked shares of the key light, the near sky and contact."""
    key = wp.vec3(1.0 - 0.50 * taken[0], 1.0 - 0.48 * taken[0], 1.0 - 0.44 * taken[0])
    return wp.cw_mul(color, key) * ((1.0 - 0.50 * taken[1]) * (1.0 - 0.55 * taken[2]))


@wp.func
def darkened_by(color: wp.vec3, texture: wp.array2d[wp.vec3], p: float, q: float) -> wp.vec3:
    """The ground's colour at a place of the texture of blocked light, interpolated; unchanged outside."""
    if p < 0.0 or q < 0.0 or p >= float(texture.shape[1] - 1) or q >= float(texture.shape[0] - 1):
        return color
    i = int(q)
    j = int(p)
    a = p - float(j)
    b = q - float(i)
    low = texture[i, j] * (1.0 - a) + texture[i, j + 1] * a
    top = texture[i + 1, j] * (1.0 - a) + texture[i + 1, j + 1] * a
    return darkened(color, low * (1.0 - b) + top * b)


@wp.func
def background(view: View, look: Look, direction: wp.vec3, y: float) -> wp.vec3:
    """Colour where there is no figure: the ground with squares averaged over the pixel, fading into the backdrop."""
    part = wp.clamp(y / float(view.height), 0.0, 1.0)
    backdrop = look.background_top * (1.0 - part) + look.background_bottom * part
    depth = (look.ground_height - view.position[2]) / direction[2]
    if look.has_ground == 0 or direction[2] * (look.ground_height - view.position[2]) <= 1.0e-9:
        return backdrop
    spot = view.position + direction * depth
    place = wp.vec2(spot[0], spot[1])
    away = wp.length(place - look.centre)
    if away > look.fade_end:
        return backdrop
    # how far the spot moves when the image point moves by a pixel: derivative of position + direction * depth
    step_x = (view.right_axis - direction * (view.right_axis[2] / direction[2])) * (depth / view.fx)
    step_y = (view.down_axis - direction * (view.down_axis[2] / direction[2])) * (depth / view.fy)
    scale = 1.0 / look.square
    wide = wp.max((wp.abs(step_x[0]) + wp.abs(step_y[0])) * scale, 1.0e-4)
    high = wp.max((wp.abs(step_x[1]) + wp.abs(step_y[1])) * scale, 1.0e-4)
    mix = 0.5 - 2.0 * wave(place[0] * scale, wide) * wave(place[1] * scale, high) / (wide * high)
    color = look.ground_light * (1.0 - mix) + look.ground_dark * mix
    spot_on = (place - look.texture_origin) / look.texel - wp.vec2(0.5, 0.5)
    color = darkened_by(color, look.texture, spot_on[0], spot_on[1])
    fade = wp.clamp((away - look.fade_start) / (look.fade_end - look.fade_start), 0.0, 1.0)
    fade = fade * fade * (3.0 - 2.0 * fade)
    return color * (1.0 - fade) + backdrop * fade


@wp.func
def table_index(linear: float) -> int:
    """Where linear light stands in the table of sRGB bytes."""
    return int(wp.clamp(linear, 0.0, 1.0) * 4095.0 + 0.5)


@wp.func
def faded(away_squared: float, start: float, share: float) -> float:
    """How much of the backdrop shows at a distance from the centre: 0 to 1, smoothly."""
    fade = wp.clamp((wp.sqrt(away_squared) - start) * share, 0.0, 1.0)
    return fade * fade * (3.0 - 2.0 * fade)


@wp.func
def squared(x: float, y: float) -> float:
    """Of a length."""
    return x * x + y * y


@wp.func
def one_square(first: float, last: float, half: float) -> bool:
    """Whether an interval between two places, widened by `half`, holds no border between squares."""
    return floor_of(wp.min(first, last) - half) == floor_of(wp.max(first, last) + half)


@wp.func
def without(first: float, last: float, end: float) -> bool:
    """Whether an interval of a texture's places lies outside of it."""
    return wp.max(first, last) < 0.0 or wp.min(first, last) >= end


@wp.func
def bytes_of(to_srgb: wp.array[wp.uint8], linear: wp.vec3) -> wp.vec3ub:
    """Linear light as sRGB bytes."""
    return wp.vec3ub(
        to_srgb[table_index(linear[0])], to_srgb[table_index(linear[1])], to_srgb[table_index(linear[2])]
    )


@wp.kernel
def paint(
    view: View,
    look: Look,
    shown: Shown,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    start: int,
    stop: int,
    color: wp.array2d[wp.vec3ub],
):
    """The ground on `run` pixels of a row, between two columns, where the rasteriser found no figure, as sRGB bytes."""
    row, part = wp.tid()
    row += first_row
    y = float(row) + 0.5
    for column in range(wp.max(part * run, start), wp.min((part + 1) * run, stop)):
        if shown.known == 0 or shown.inverse[row, column] == 0.0:
            direction = ray_direction(view, float(column) + 0.5, y)
            color[row, column] = bytes_of(to_srgb, background(view, look, direction, y))


@wp.kernel
def paint_level(
    view: View,
    look: Look,
    shown: Shown,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    start: int,
    stop: int,
    color: wp.array2d[wp.vec3ub],
):
    """As `paint`, by a camera whose image rows are horizontal; pixels that show the backdrop stay as they are.

    All pixels of a row are at the same depth then, and the ground's squares equally large. Where a few pixels side by
    side show one square, no shadow and no border, the colours of the first and the last decide.
    (Warp copies structures into every function that takes them, on a CPU at every call: none is called here.)
    """
    row, part = wp.tid()
    row += first_row
    y = float(row) + 0.5
    share = wp.clamp(y / float(view.height), 0.0, 1.0)
    backdrop = look.background_top * (1.0 - share) + look.background_bottom * share
    base = view.forward_axis + view.down_axis * ((y - view.cy) / view.fy)
    right = view.right_axis / view.fx
    down = view.down_axis / view.fy
    # what all pixels of a row share: depth, and how far the spot moves with the pixel
    depth = (look.ground_height - view.position[2]) / base[2]
    tilt = down[2] / base[2]
    step_x = right[0] * depth
    step_y = right[1] * depth
    origin_x = (
        view.position[0] + base[0] * depth - look.centre[0]
    )  # all places count from the centre of fading
    origin_y = view.position[1] + base[1] * depth - look.centre[1]
    nearest = -(origin_x * step_x + origin_y * step_y) / wp.max(squared(step_x, step_y), 1.0e-20)
    start_squared = look.fade_start * look.fade_start
    end_squared = look.fade_end * look.fade_end
    closest = squared(origin_x + step_x * nearest, origin_y + step_y * nearest)
    if base[2] * (look.ground_height - view.position[2]) <= 1.0e-9 or closest >= end_squared:
        return
    scale = 1.0 / look.square
    first_u = look.centre[0] * scale
    first_v = look.centre[1] * scale
    inverse = depth * scale
    moved_x = wp.abs(right[0]) * inverse
    moved_y = wp.abs(right[1]) * inverse
    texture = look.texture
    finer = 1.0 / look.texel
    first_p = (look.centre[0] - look.texture_origin[0]) * finer - 0.5
    first_q = (look.centre[1] - look.texture_origin[1]) * finer - 0.5
    fade_start = look.fade_start
    fade_share = 1.0 / (look.fade_end - fade_start)
    light = look.ground_light
    dark = look.ground_dark
    mean = (light + dark) * 0.5
    contrast = (dark - light) * -2.0
    known = shown.known == 1
    last = wp.min((part + 1) * run, stop)
    line = color[row]
    for left in range(wp.max(part * run, start), last, BLOCK):
        end = wp.min(left + BLOCK, last)
        a = float(left) + 0.5 - view.cx
        b = float(end) - 0.5 - view.cx
        ax = origin_x + step_x * a
        ay = origin_y + step_y * a
        bx = origin_x + step_x * b
        by = origin_y + step_y * b
        away_a = squared(ax, ay)
        away_b = squared(bx, by)
        if wp.min(away_a, away_b) >= end_squared and (nearest <= a or nearest >= b):
            continue
        tilted_a = wp.abs(down[0] - (base[0] + right[0] * a) * tilt)
        tilted_b = wp.abs(down[0] - (base[0] + right[0] * b) * tilt)
        half_u = 0.5 * (moved_x + wp.max(tilted_a, tilted_b) * inverse)
        tilted_a = wp.abs(down[1] - (base[1] + right[1] * a) * tilt)
        tilted_b = wp.abs(down[1] - (base[1] + right[1] * b) * tilt)
        half_v = 0.5 * (moved_y + wp.max(tilted_a, tilted_b) * inverse)
        u = first_u + ax * scale
        v = first_v + ay * scale
        alone = one_square(u, first_u + bx * scale, half_u) and one_square(v, first_v + by * scale, half_v)
        lit_x = without(first_p + ax * finer, first_p + bx * finer, float(texture.shape[1] - 1))
        lit_y = without(first_q + ay * finer, first_q + by * finer, float(texture.shape[0] - 1))
        if alone and (lit_x or lit_y):
            tint = light
            if (int(floor_of(u)) + int(floor_of(v))) % 2 != 0:
                tint = dark
            fade_a = faded(away_a, fade_start, fade_share)
            fade_b = faded(away_b, fade_start, fade_share)
            first = tint * (1.0 - fade_a) + backdrop * fade_a
            step = (backdrop - tint) * ((fade_b - fade_a) / float(wp.max(end - left - 1, 1)))
            entry = bytes_of(to_srgb, first)
            for column in range(left, end):
                if fade_a + fade_b > 0.0:
                    entry = bytes_of(to_srgb, first + step * float(column - left))
                line[column] = entry
            continue
        for column in range(left, end):
            if known and shown.inverse[row, column] > 0.0:
                continue
            offset = float(column) + 0.5 - view.cx
            x = origin_x + step_x * offset
            z = origin_y + step_y * offset
            tilted_x = wp.abs(down[0] - (base[0] + right[0] * offset) * tilt)
            tilted_y = wp.abs(down[1] - (base[1] + right[1] * offset) * tilt)
            wide = wp.max(moved_x + tilted_x * inverse, 1.0e-4)
            high = wp.max(moved_y + tilted_y * inverse, 1.0e-4)
            waves = wave(first_u + x * scale, wide) * wave(first_v + z * scale, high)
            result = mean + contrast * (waves / (wide * high))
            result = darkened_by(result, texture, first_p + x * finer, first_q + z * finer)
            away = squared(x, z)
            if away > start_squared:
                fade = faded(away, fade_start, fade_share)
                result = result * (1.0 - fade) + backdrop * fade
            line[column] = bytes_of(to_srgb, result)
