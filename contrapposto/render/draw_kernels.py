"""Warp kernels that find out what pixels show and colour them; the last one turns linear light into sRGB bytes."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018, RUF046

import warp as wp

from contrapposto.render.warp_types import (
    FAR,
    Fine,
    Hit,
    Look,
    Shown,
    Solids,
    View,
    floor_of,
    outside,
    ray_direction,
    trace_capsules,
    trace_mesh,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


@wp.func
def ground_light(look: Look, place: wp.vec2) -> wp.vec3:
    """The texture of blocked light, interpolated; 0 outside."""
    p = (place - look.texture_origin) / look.texel - wp.vec2(0.5, 0.5)
    column = int(floor_of(p[0]))
    row = int(floor_of(p[1]))
    if column < 0 or row < 0 or column + 1 >= look.texture.shape[1] or row + 1 >= look.texture.shape[0]:
        return wp.vec3(0.0, 0.0, 0.0)
    a = p[0] - float(column)
    b = p[1] - float(row)
    low = look.texture[row, column] * (1.0 - a) + look.texture[row, column + 1] * a
    high = look.texture[row + 1, column] * (1.0 - a) + look.texture[row + 1, column + 1] * a
    return low * (1.0 - b) + high * b


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
    taken = ground_light(look, place)
    color = darkened(color, taken)
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


@wp.kernel
def project(points: wp.array[wp.vec3], view: View, pixels: wp.array[wp.vec3]):
    """Column, row and inverse depth of points in front of the camera."""
    i = wp.tid()
    offset = points[i] - view.position
    inverse = 1.0 / wp.dot(offset, view.forward_axis)
    x = wp.dot(offset, view.right_axis) * inverse * view.fx + view.cx
    y = wp.dot(offset, view.down_axis) * inverse * view.fy + view.cy
    pixels[i] = wp.vec3(x, y, inverse)


@wp.kernel
def rasterize(
    indices: wp.array[wp.vec4i],
    closed: int,
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
    start = view.left
    end = view.right
    for face in range(indices.shape[0]):
        corners = indices[face]
        a = pixels[corners[0]]
        b = pixels[corners[1]]
        c = pixels[corners[2]]
        area = outside(b, c, a[0], a[1])
        if area == 0.0 or (closed == 1 and area > 0.0):
            continue
        first = wp.max(int(floor_of(wp.min(wp.min(a[1], b[1]), c[1]) + 0.5)), top)
        last = wp.min(int(floor_of(wp.max(wp.max(a[1], b[1]), c[1]) + 0.5)), bottom)
        left = wp.max(int(floor_of(wp.min(wp.min(a[0], b[0]), c[0]) + 0.5)), start)
        right = wp.min(int(floor_of(wp.max(wp.max(a[0], b[0]), c[0]) + 0.5)), end)
        if first < last and left < right:
            share = 1.0 / area
            for row in range(first, last):
                for column in range(left, right):
                    u = outside(b, c, float(column) + 0.5, float(row) + 0.5) * share
                    v = outside(c, a, float(column) + 0.5, float(row) + 0.5) * share
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


@wp.func
def table_index(linear: float) -> int:
    """Where linear light stands in the table of sRGB bytes."""
    return int(wp.clamp(linear, 0.0, 1.0) * 4095.0 + 0.5)


@wp.func
def srgb_of(to_srgb: wp.array[wp.uint8], linear: wp.vec3) -> wp.vec3i:
    """sRGB bytes of linear light."""
    return wp.vec3i(
        int(to_srgb[table_index(linear[0])]),
        int(to_srgb[table_index(linear[1])]),
        int(to_srgb[table_index(linear[2])]),
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
    color: wp.array3d[wp.uint8],
):
    """The background of `run` pixels of a row, between two columns, where the rasteriser found no figure, as sRGB bytes.

    As `background`, with what a row shares computed once. A camera whose image rows are horizontal sees every pixel of
    a row at the same depth, and the ground's squares equally large; other cameras compute both for every pixel.
    (Warp copies structures into every function that takes them, on a CPU at every call: the fast path calls none.)
    """
    row, part = wp.tid()
    row += first_row
    y = float(row) + 0.5
    share = wp.clamp(y / float(view.height), 0.0, 1.0)
    backdrop = look.background_top * (1.0 - share) + look.background_bottom * share
    base = view.forward_axis + view.down_axis * ((y - view.cy) / view.fy)
    right = view.right_axis / view.fx
    down = view.down_axis / view.fy
    eye = view.position
    drop = look.ground_height - eye[2]
    centre = look.centre
    texture = look.texture
    origin = look.texture_origin
    finer = 1.0 / look.texel
    scale = 1.0 / look.square
    mean = (look.ground_light + look.ground_dark) * 0.5
    contrast = (look.ground_dark - look.ground_light) * 0.5
    fade_start = look.fade_start
    fade_range = 1.0 / (look.fade_end - fade_start)
    start_squared = fade_start * fade_start
    end_squared = look.fade_end * look.fade_end
    last_row = float(texture.shape[0] - 1)
    last_column = float(texture.shape[1] - 1)
    level = wp.abs(right[2]) < 1.0e-9
    ground = look.has_ground == 1 and (not level or base[2] * drop > 1.0e-9)
    # what all pixels of a row share where the rows are horizontal: depth, and how far the spot moves with the pixel
    depth = drop / base[2]
    tilt = down[2] / base[2]
    step_x = right[0] * depth
    step_y = right[1] * depth
    inverse = depth * scale
    moved_x = wp.abs(right[0]) * inverse
    moved_y = wp.abs(right[1]) * inverse
    known = shown.known == 1
    light_bytes = srgb_of(to_srgb, look.ground_light)
    dark_bytes = srgb_of(to_srgb, look.ground_dark)
    for column in range(wp.max(part * run, start), wp.min((part + 1) * run, stop)):
        if known and shown.inverse[row, column] > 0.0:
            continue
        result = backdrop
        if ground:
            offset = float(column) + 0.5 - view.cx
            if level:
                across = eye[0] + base[0] * depth + step_x * offset
                along = eye[1] + base[1] * depth + step_y * offset
                away_x = across - centre[0]
                away_y = along - centre[1]
                away = away_x * away_x + away_y * away_y
                if away < end_squared:
                    tilted_x = wp.abs(down[0] - (base[0] + right[0] * offset) * tilt)
                    tilted_y = wp.abs(down[1] - (base[1] + right[1] * offset) * tilt)
                    wide = wp.max(moved_x + tilted_x * inverse, 1.0e-4)
                    high = wp.max(moved_y + tilted_y * inverse, 1.0e-4)
                    u = across * scale
                    v = along * scale
                    square_u = floor_of(u)
                    square_v = floor_of(v)
                    off_u = wp.abs(u - square_u - 0.5) + 0.5 * wide
                    off_v = wp.abs(v - square_v - 0.5) + 0.5 * high
                    shade = float(1.0)
                    inside = off_u < 0.5 and off_v < 0.5  # the pixel shows one square only
                    if inside:
                        if (int(square_u) + int(square_v)) % 2 == 0:
                            shade = -1.0
                    else:
                        shade = -4.0 * wave(u, wide) * wave(v, high) / (wide * high)
                    p = (across - origin[0]) * finer - 0.5
                    q = (along - origin[1]) * finer - 0.5
                    darker = p >= 0.0 and q >= 0.0 and p < last_column and q < last_row
                    if inside and not darker and away <= start_squared:
                        entry = light_bytes
                        if shade > 0.0:
                            entry = dark_bytes
                        color[row, column, 0] = wp.uint8(entry[0])
                        color[row, column, 1] = wp.uint8(entry[1])
                        color[row, column, 2] = wp.uint8(entry[2])
                        continue
                    result = mean + contrast * shade
                    if darker:
                        i = int(q)
                        j = int(p)
                        a = p - float(j)
                        b = q - float(i)
                        low = texture[i, j] * (1.0 - a) + texture[i, j + 1] * a
                        top = texture[i + 1, j] * (1.0 - a) + texture[i + 1, j + 1] * a
                        result = darkened(result, low * (1.0 - b) + top * b)
                    if away > start_squared:
                        fade = (wp.sqrt(away) - fade_start) * fade_range
                        fade = fade * fade * (3.0 - 2.0 * fade)
                        result = result * (1.0 - fade) + backdrop * fade
            else:
                result = background(view, look, base + right * offset, y)
        color[row, column, 0] = to_srgb[table_index(result[0])]
        color[row, column, 1] = to_srgb[table_index(result[1])]
        color[row, column, 2] = to_srgb[table_index(result[2])]


@wp.kernel
def cast(
    solids: Solids,
    look: Look,
    view: View,
    shown: Shown,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    color: wp.array3d[wp.uint8],
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
):
    """What pixel centres show where figures can be: colour, depth along the viewing axis, id. `run` pixels a thread."""
    row, part = wp.tid()
    row += first_row
    if row < view.top or row >= view.bottom:
        return
    y = float(row) + 0.5
    rasterized = shown.known == 1 and solids.num_capsules == 0
    for column in range(wp.max(part * run, view.left), wp.min((part + 1) * run, view.right)):
        if rasterized and shown.inverse[row, column] == 0.0:
            continue
        x = float(column) + 0.5
        direction = ray_direction(view, x, y)
        unit = wp.normalize(direction)
        hit = Hit()
        if shown.known == 1:
            hit = shown_hit(shown, row, column, wp.length(direction))
        else:
            hit = trace_mesh(solids, view.position, unit)
        if solids.num_capsules > 0:
            hit = trace_capsules(solids, view.position, unit, x, y, hit)
        if hit.face != -1:
            ids[row, column] = hit_id(solids, hit.face)
            depth[row, column] = hit.distance * wp.dot(unit, view.forward_axis)
            result = solid_color(solids, look, hit, view.position, unit)
            color[row, column, 0] = to_srgb[table_index(result[0])]
            color[row, column, 1] = to_srgb[table_index(result[1])]
            color[row, column, 2] = to_srgb[table_index(result[2])]


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


@wp.kernel
def mark_edges(
    view: View,
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
    count: wp.array[wp.int32],
    slots: wp.array2d[wp.int32],
):
    """Number the pixels at edges; -1 elsewhere. A thread does a row."""
    row = wp.tid()
    if row < view.top - 1 or row > view.bottom:
        return
    for column in range(wp.max(view.left - 1, 0), wp.min(view.right + 1, view.width)):
        if is_edge(view, depth, ids, row, column):
            slots[row, column] = wp.atomic_add(count, 0, 1)


@wp.kernel
def rasterize_edges(
    indices: wp.array[wp.vec4i],
    closed: int,
    pixels: wp.array[wp.vec3],
    view: View,
    first_row: int,
    num_rows: int,
    fine: Fine,
):
    """Nearest face at the sample points of the numbered pixels of some rows, by one thread; as `rasterize`."""
    top = wp.max(first_row, wp.max(view.top - 1, 0))
    bottom = wp.min(first_row + num_rows, wp.min(view.bottom + 1, view.height))
    start = wp.max(view.left - 1, 0)
    end = wp.min(view.right + 1, view.width)
    places = fine.places
    slots = fine.slots
    for face in range(indices.shape[0]):
        corners = indices[face]
        a = pixels[corners[0]]
        b = pixels[corners[1]]
        c = pixels[corners[2]]
        area = outside(b, c, a[0], a[1])
        if area == 0.0 or (closed == 1 and area > 0.0):
            continue
        first = wp.max(int(floor_of(wp.min(wp.min(a[1], b[1]), c[1]) - 0.2)), top)
        last = wp.min(int(floor_of(wp.max(wp.max(a[1], b[1]), c[1]) + 0.2)) + 1, bottom)
        left = wp.max(int(floor_of(wp.min(wp.min(a[0], b[0]), c[0]) - 0.2)), start)
        right = wp.min(int(floor_of(wp.max(wp.max(a[0], b[0]), c[0]) + 0.2)) + 1, end)
        if first < last and left < right:
            share = 1.0 / area
            for row in range(first, last):
                for column in range(left, right):
                    slot = slots[row, column]
                    if slot >= 0:
                        for number in range(places.shape[0]):
                            x = float(column) + places[number][0]
                            y = float(row) + places[number][1]
                            u = outside(b, c, x, y) * share
                            v = outside(c, a, x, y) * share
                            w = 1.0 - u - v
                            if u >= -1.0e-5 and v >= -1.0e-5 and w >= -1.0e-5:
                                inverse = u * a[2] + v * b[2] + w * c[2]
                                if inverse > fine.inverse[slot, number]:
                                    fine.inverse[slot, number] = inverse
                                    fine.faces[slot, number] = face
                                    fine.weights[slot, number] = wp.vec2(
                                        u * a[2] / inverse, v * b[2] / inverse
                                    )


@wp.func
def fine_color(
    solids: Solids, look: Look, view: View, shown: Shown, fine: Fine, row: int, column: int
) -> wp.vec3:
    """Mean colour of the samples of a pixel: by what the rasteriser found, or by rays."""
    total = wp.vec3(0.0, 0.0, 0.0)
    missed = float(0.0)
    slot = int(-1)
    if shown.known == 1:
        slot = fine.slots[row, column]
    for number in range(fine.places.shape[0]):
        place = wp.vec2(float(column), float(row)) + fine.places[number]
        direction = ray_direction(view, place[0], place[1])
        unit = wp.normalize(direction)
        hit = Hit()
        hit.distance = FAR
        hit.face = -1
        if slot < 0:
            hit = trace_mesh(solids, view.position, unit)
        elif fine.inverse[slot, number] > 0.0:
            weights = fine.weights[slot, number]
            hit.distance = wp.length(direction) / fine.inverse[slot, number]
            hit.face = fine.faces[slot, number]
            hit.u = weights[0]
            hit.v = weights[1]
        if solids.num_capsules > 0:
            hit = trace_capsules(solids, view.position, unit, place[0], place[1], hit)
        if hit.face == -1:
            missed += 1.0
        else:
            total += solid_color(solids, look, hit, view.position, unit)
    if missed > 0.0:  # the ground is averaged over the pixel already: its centre stands for all samples
        x = float(column) + 0.5
        y = float(row) + 0.5
        total += background(view, look, ray_direction(view, x, y), y) * missed
    return total / float(fine.places.shape[0])


@wp.kernel
def finish(
    solids: Solids,
    look: Look,
    view: View,
    shown: Shown,
    fine: Fine,
    everywhere: int,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    color: wp.array3d[wp.uint8],
):
    """Take more samples in pixels at edges (or everywhere)."""
    row, part = wp.tid()
    row += first_row
    slots = fine.slots
    for column in range(part * run, wp.min((part + 1) * run, view.width)):
        if everywhere == 1 or slots[row, column] >= 0:
            result = fine_color(solids, look, view, shown, fine, row, column)
            color[row, column, 0] = to_srgb[table_index(result[0])]
            color[row, column, 1] = to_srgb[table_index(result[1])]
            color[row, column, 2] = to_srgb[table_index(result[2])]


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
