"""Warp kernels that find out what pixels show and colour them; the last one turns linear light into sRGB bytes."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018, RUF046

import warp as wp

from contrapposto.render.warp_types import (
    FAR,
    Hit,
    Look,
    Shown,
    Solids,
    View,
    ray_direction,
    trace_capsules,
    trace_mesh,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def ground_light(look: Look, place: wp.vec2) -> wp.vec3:
    """The texture of blocked light, interpolated; 0 outside."""
    p = (place - look.texture_origin) / look.texel - wp.vec2(0.5, 0.5)
    column = int(wp.floor(p[0]))
    row = int(wp.floor(p[1]))
    if column < 0 or row < 0 or column + 1 >= look.texture.shape[1] or row + 1 >= look.texture.shape[0]:
        return wp.vec3(0.0, 0.0, 0.0)
    a = p[0] - float(column)
    b = p[1] - float(row)
    low = look.texture[row, column] * (1.0 - a) + look.texture[row, column + 1] * a
    high = look.texture[row + 1, column] * (1.0 - a) + look.texture[row + 1, column + 1] * a
    return low * (1.0 - b) + high * b


@wp.func
def stripe(place: float, width: float) -> float:
    """Square wave of period 2 averaged over an interval, from -1 to 1."""
    low = wp.abs((place - 0.5 * width) * 0.5 - wp.floor((place - 0.5 * width) * 0.5) - 0.5)
    high = wp.abs((place + 0.5 * width) * 0.5 - wp.floor((place + 0.5 * width) * 0.5) - 0.5)
    return 2.0 * (low - high) / width


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
    mix = 0.5 - 0.5 * stripe(place[0] * scale, wide) * stripe(place[1] * scale, high)
    color = look.ground_light * (1.0 - mix) + look.ground_dark * mix
    taken = ground_light(look, place)
    color = wp.cw_mul(color, wp.vec3(1.0, 1.0, 1.0) - wp.vec3(0.50, 0.48, 0.44) * taken[0])
    color = color * ((1.0 - 0.50 * taken[1]) * (1.0 - 0.55 * taken[2]))
    fade = wp.clamp((away - look.fade_start) / (look.fade_end - look.fade_start), 0.0, 1.0)
    fade = fade * fade * (3.0 - 2.0 * fade)
    return color * (1.0 - fade) + backdrop * fade


@wp.func
def lit(look: Look, albedo: wp.vec3, normal: wp.vec3, to_eye: wp.vec3, sky: float, key: float) -> wp.vec3:
    """Sky and ground light by the normal's height, a wrapped key light, a faint sheen."""
    up = 0.5 + 0.5 * normal[2]
    soft = (look.bounce * (1.0 - up) + look.sky * up) * sky
    cosine = wp.max((wp.dot(normal, look.key_direction) + 0.12) / 1.12, 0.0)
    direct = look.key * cosine * key
    half = wp.normalize(look.key_direction + to_eye)
    shine = wp.max(wp.dot(normal, half), 0.0)
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine
    shine = shine * shine * key
    edge = 1.0 - wp.max(wp.dot(normal, to_eye), 0.0)
    edge = edge * edge * edge
    light = wp.vec3(0.96, 0.99, 1.06) * soft + wp.vec3(1.03, 1.0, 0.95) * direct  # a cool sky, a warm key
    color = wp.cw_mul(albedo, light) + wp.vec3(0.05, 0.05, 0.05) * shine
    return color * (1.0 - 0.25 * edge)


@wp.func
def solid_color(solids: Solids, look: Look, hit: Hit, origin: wp.vec3, direction: wp.vec3) -> wp.vec3:
    """Colour of a hit; the direction has length 1."""
    if hit.face <= -2:
        capsule = solids.capsules[-2 - hit.face]
        spot = origin + direction * hit.distance
        axis = capsule.end - capsule.start
        along = wp.dot(spot - capsule.start, axis) / wp.max(wp.dot(axis, axis), 1.0e-12)
        centre = capsule.start + axis * wp.clamp(along, 0.0, 1.0)
        return lit(look, capsule.color, wp.normalize(spot - centre), -direction, 1.0, 1.0)
    face = solids.faces[hit.face]
    a = solids.corners[face[0]]
    b = solids.corners[face[1]]
    c = solids.corners[face[2]]
    w = 1.0 - hit.u - hit.v
    normal = wp.normalize(a.normal * hit.u + b.normal * hit.v + c.normal * w)
    light = a.light * hit.u + b.light * hit.v + c.light * w
    color = a.color * hit.u + b.color * hit.v + c.color * w
    if wp.dot(normal, direction) > 0.3:  # the inside of an open surface
        normal = -normal
    return lit(look, color, normal, -direction, light[0], light[1])


@wp.func
def hit_id(solids: Solids, face: int) -> int:
    """The id of what was hit, -1 for nothing."""
    number = int(-1)
    if face <= -2:
        capsule = solids.capsules[-2 - face]
        number = capsule.number
    if face >= 0:
        corners = solids.faces[face]
        number = corners[3]
    return number


@wp.func
def point_color(solids: Solids, look: Look, view: View, x: float, y: float) -> wp.vec3:
    """Colour of one image point."""
    direction = ray_direction(view, x, y)
    unit = wp.normalize(direction)
    hit = trace_capsules(solids, view.position, unit, x, y, trace_mesh(solids, view.position, unit))
    if hit.face == -1:
        return background(view, look, direction, y)
    return solid_color(solids, look, hit, view.position, unit)


@wp.kernel
def project(points: wp.array[wp.vec3], view: View, pixels: wp.array[wp.vec3]):
    """Column, row and inverse depth of points in front of the camera."""
    i = wp.tid()
    offset = points[i] - view.position
    inverse = 1.0 / wp.dot(offset, view.forward_axis)
    x = wp.dot(offset, view.right_axis) * inverse * view.fx + view.cx
    y = wp.dot(offset, view.down_axis) * inverse * view.fy + view.cy
    pixels[i] = wp.vec3(x, y, inverse)


@wp.func
def outside(a: wp.vec3, b: wp.vec3, x: float, y: float) -> float:
    """Twice the signed area of the triangle of two projected points and an image point."""
    return (a[0] - x) * (b[1] - y) - (a[1] - y) * (b[0] - x)


@wp.kernel
def rasterize(
    indices: wp.array[wp.vec4i],
    pixels: wp.array[wp.vec3],
    view: View,
    first_row: int,
    num_rows: int,
    shown: Shown,
):
    """Nearest face at pixel centres of some rows, by one thread: for many small faces, far cheaper on a CPU than rays.

    Edges belong to both their faces, by a hair more, so that rounding leaves no pinholes.
    """
    top = wp.max(first_row, view.top)
    bottom = wp.min(first_row + num_rows, view.bottom)
    for face in range(indices.shape[0]):
        corners = indices[face]
        a = pixels[corners[0]]
        b = pixels[corners[1]]
        c = pixels[corners[2]]
        first = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]) - 0.5)), top)
        last = wp.min(int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]) - 0.5)) + 1, bottom)
        left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]) - 0.5)), view.left)
        right = wp.min(int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]) - 0.5)) + 1, view.right)
        area = outside(b, c, a[0], a[1])
        if first < last and left < right and area != 0.0:
            for row in range(first, last):
                for column in range(left, right):
                    u = outside(b, c, float(column) + 0.5, float(row) + 0.5) / area
                    v = outside(c, a, float(column) + 0.5, float(row) + 0.5) / area
                    w = 1.0 - u - v
                    if u >= -1.0e-5 and v >= -1.0e-5 and w >= -1.0e-5:
                        inverse = u * a[2] + v * b[2] + w * c[2]
                        if inverse > shown.inverse[row, column]:
                            shown.inverse[row, column] = inverse
                            shown.faces[row, column] = face
                            shown.weights[row, column] = wp.vec2(u * a[2] / inverse, v * b[2] / inverse)


@wp.func
def shown_hit(shown: Shown, row: int, column: int, length: float) -> Hit:
    """The rasteriser's finding as a hit; `length` is that of the ray's direction whose depth is 1."""
    hit = Hit()
    hit.distance = FAR
    hit.face = -1
    if shown.inverse[row, column] > 0.0:
        weights = shown.weights[row, column]
        hit.distance = length / shown.inverse[row, column]
        hit.face = shown.faces[row, column]
        hit.u = weights[0]
        hit.v = weights[1]
    return hit


@wp.kernel
def cast(
    solids: Solids,
    look: Look,
    view: View,
    shown: Shown,
    first_row: int,
    run: int,
    linear: wp.array2d[wp.vec3],
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
):
    """What every pixel centre shows: colour, depth along the viewing axis, id. A thread does `run` pixels."""
    row, part = wp.tid()
    row += first_row
    y = float(row) + 0.5
    for column in range(part * run, wp.min((part + 1) * run, view.width)):
        x = float(column) + 0.5
        direction = ray_direction(view, x, y)
        unit = wp.normalize(direction)
        hit = Hit()
        hit.face = -1
        if column >= view.left and column < view.right and row >= view.top and row < view.bottom:
            if shown.known == 1:
                hit = shown_hit(shown, row, column, wp.length(direction))
            else:
                hit = trace_mesh(solids, view.position, unit)
            hit = trace_capsules(solids, view.position, unit, x, y, hit)
        if hit.face == -1:
            ids[row, column] = -1
            depth[row, column] = wp.inf
            linear[row, column] = background(view, look, direction, y)
        else:
            ids[row, column] = hit_id(solids, hit.face)
            depth[row, column] = hit.distance * wp.dot(unit, view.forward_axis)
            linear[row, column] = solid_color(solids, look, hit, view.position, unit)


@wp.func
def is_edge(view: View, depth: wp.array2d[float], ids: wp.array2d[wp.int32], row: int, column: int) -> bool:
    """Whether a neighbour shows another figure, or the same one a step nearer or farther."""
    own = ids[row, column]
    here = depth[row, column]
    for i in range(4):
        other_row = wp.clamp(row + (i % 2) * (i - 2), 0, view.height - 1)  # i = 1: above, i = 3: below
        other_column = wp.clamp(
            column + ((i + 1) % 2) * (i - 1), 0, view.width - 1
        )  # i = 0: left, i = 2: right
        if ids[other_row, other_column] != own:
            return True
        if own >= 0 and wp.abs(depth[other_row, other_column] - here) > 0.02 + 4.0 * here / view.fx:
            return True
    return False


@wp.func
def fine_color(solids: Solids, look: Look, view: View, row: int, column: int, samples: int) -> wp.vec3:
    """Mean colour of samples x samples points of a pixel, a grid turned by 27 degrees.

    (Turned, edges along rows and columns get as many steps as slanted ones.)
    """
    total = wp.vec3(0.0, 0.0, 0.0)
    step = 1.0 / float(samples)
    for i in range(samples):
        for j in range(samples):
            u = (float(i) + 0.5) * step - 0.5
            v = (float(j) + 0.5) * step - 0.5
            x = float(column) + 0.5 + 0.894 * u - 0.447 * v
            y = float(row) + 0.5 + 0.447 * u + 0.894 * v
            total += point_color(solids, look, view, x, y)
    return total * (step * step)


@wp.kernel
def finish(
    solids: Solids,
    look: Look,
    view: View,
    samples: int,
    everywhere: int,
    linear: wp.array2d[wp.vec3],
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    color: wp.array3d[wp.uint8],
):
    """Take more samples in pixels at edges (or everywhere) and turn colours into sRGB bytes."""
    row, part = wp.tid()
    row += first_row
    for column in range(part * run, wp.min((part + 1) * run, view.width)):
        result = linear[row, column]
        if samples > 1 and (everywhere == 1 or is_edge(view, depth, ids, row, column)):
            result = fine_color(solids, look, view, row, column, samples)
        for channel in range(3):
            level = int(wp.clamp(result[channel], 0.0, 1.0) * 4095.0 + 0.5)
            color[row, column, channel] = to_srgb[level]


@wp.kernel
def shade(
    solids: Solids,
    look: Look,
    view: View,
    faces: wp.array2d[wp.int32],
    weights: wp.array2d[wp.vec2],
    linear: wp.array2d[wp.vec3],
):
    """Colours for visibility found by another back-end: face (-1: none) and weights of its first two corners."""
    row, column = wp.tid()
    x = float(column) + 0.5
    y = float(row) + 0.5
    direction = ray_direction(view, x, y)
    hit = Hit()
    hit.face = faces[row, column]
    hit.u = weights[row, column][0]
    hit.v = weights[row, column][1]
    if hit.face < 0:
        linear[row, column] = background(view, look, direction, y)
    else:
        linear[row, column] = solid_color(solids, look, hit, view.position, wp.normalize(direction))
