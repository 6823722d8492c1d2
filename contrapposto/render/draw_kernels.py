"""Warp kernels that colour what pixels show, as sRGB bytes."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018, RUF046

import warp as wp

from contrapposto.render.ground_kernels import background, bytes_of
from contrapposto.render.warp_types import (
    Fine,
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
def shown_color(
    solids: Solids, look: Look, view: View, x: float, y: float, inverse: float, face: int, weights: wp.vec2
) -> wp.vec3:
    """Colour of what a rasteriser found at an image point."""
    direction = ray_direction(view, x, y)
    length = wp.length(direction)
    hit = Hit()
    hit.distance = length / inverse
    hit.face = face
    hit.u = weights[0]
    hit.v = weights[1]
    return solid_color(solids, look, hit, view.position, direction / length)


@wp.kernel
def color_vertices(
    points: wp.array[wp.vec3], solids: Solids, look: Look, eye: wp.vec3, colors: wp.array[wp.vec3]
):
    """Colours of the vertices of closed meshes as the camera sees them; those turned away, roughly."""
    vertex = wp.tid()
    corner = solids.corners[vertex]
    to_eye = wp.normalize(eye - points[vertex])
    colors[vertex] = corner.color * corner.light[0]
    if wp.dot(corner.normal, to_eye) > -0.5:
        colors[vertex] = lit(look, corner.color, corner.normal, to_eye, corner.light[0], corner.light[1])


@wp.kernel
def color_shown(
    solids: Solids,
    look: Look,
    view: View,
    shown: Shown,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    color: wp.array2d[wp.vec3ub],
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
):
    """What a rasteriser found at pixel centres of a row: colour, depth along the viewing axis, id."""
    row = wp.tid() + first_row
    if row < view.top or row >= view.bottom:
        return
    faces = solids.faces
    colors = solids.colors
    smooth = solids.smooth == 1
    for column in range(view.left, view.right):
        inverse = shown.inverse[row, column]
        if inverse > 0.0:
            face = shown.faces[row, column]
            weights = shown.weights[row, column]
            depth[row, column] = 1.0 / inverse
            if smooth and face >= 0:
                corners = faces[face]
                ids[row, column] = corners[3]
                w = 1.0 - weights[0] - weights[1]
                result = (
                    colors[corners[0]] * weights[0] + colors[corners[1]] * weights[1] + colors[corners[2]] * w
                )
                color[row, column] = bytes_of(to_srgb, result)
            else:
                ids[row, column] = hit_id(solids, face)
                result = shown_color(
                    solids, look, view, float(column) + 0.5, float(row) + 0.5, inverse, face, weights
                )
                color[row, column] = bytes_of(to_srgb, result)


@wp.kernel
def cast(
    solids: Solids,
    look: Look,
    view: View,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    color: wp.array2d[wp.vec3ub],
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
):
    """The same by rays, where figures can be, `run` pixels a thread."""
    row, part = wp.tid()
    row += first_row
    if row < view.top or row >= view.bottom:
        return
    y = float(row) + 0.5
    for column in range(wp.max(part * run, view.left), wp.min((part + 1) * run, view.right)):
        x = float(column) + 0.5
        direction = ray_direction(view, x, y)
        unit = wp.normalize(direction)
        hit = trace_mesh(solids, view.position, unit)
        if solids.num_capsules > 0:
            hit = trace_capsules(solids, view.position, unit, x, y, hit)
        if hit.face != -1:
            ids[row, column] = hit_id(solids, hit.face)
            depth[row, column] = hit.distance * wp.dot(unit, view.forward_axis)
            color[row, column] = bytes_of(to_srgb, solid_color(solids, look, hit, view.position, unit))


@wp.func
def ray_color(solids: Solids, look: Look, view: View, x: float, y: float) -> wp.vec4:
    """Colour of the figure at an image point, found by a ray, and 1; zeros where there is none."""
    unit = wp.normalize(ray_direction(view, x, y))
    hit = trace_mesh(solids, view.position, unit)
    if solids.num_capsules > 0:
        hit = trace_capsules(solids, view.position, unit, x, y, hit)
    if hit.face == -1:
        return wp.vec4(0.0, 0.0, 0.0, 0.0)
    color = solid_color(solids, look, hit, view.position, unit)
    return wp.vec4(color[0], color[1], color[2], 1.0)


@wp.kernel
def finish(
    solids: Solids,
    look: Look,
    view: View,
    rasterized: int,
    fine: Fine,
    everywhere: int,
    to_srgb: wp.array[wp.uint8],
    first_row: int,
    run: int,
    color: wp.array2d[wp.vec3ub],
):
    """Take more samples in pixels at edges (or everywhere)."""
    row, part = wp.tid()
    row += first_row
    slots = fine.slots
    places = fine.places
    faces = solids.faces
    colors = solids.colors
    smooth = solids.smooth == 1
    for column in range(part * run, wp.min((part + 1) * run, view.width)):
        slot = slots[row, column]
        if slot < 0 and everywhere == 0:
            continue
        total = wp.vec3(0.0, 0.0, 0.0)
        missed = float(0.0)
        for number in range(places.shape[0]):
            x = float(column) + places[number][0]
            y = float(row) + places[number][1]
            if slot < 0 or rasterized == 0:
                seen = ray_color(solids, look, view, x, y)
                total += wp.vec3(seen[0], seen[1], seen[2])
                missed += 1.0 - seen[3]
            else:
                inverse = fine.inverse[slot, number]
                face = fine.faces[slot, number]
                weights = fine.weights[slot, number]
                if inverse == 0.0:
                    missed += 1.0
                elif smooth and face >= 0:
                    corners = faces[face]
                    w = 1.0 - weights[0] - weights[1]
                    total += (
                        colors[corners[0]] * weights[0]
                        + colors[corners[1]] * weights[1]
                        + colors[corners[2]] * w
                    )
                else:
                    total += shown_color(solids, look, view, x, y, inverse, face, weights)
        if missed > 0.0:  # the ground is averaged over the pixel already: its centre stands for all samples
            x = float(column) + 0.5
            y = float(row) + 0.5
            total += background(view, look, ray_direction(view, x, y), y) * missed
        color[row, column] = bytes_of(to_srgb, total / float(places.shape[0]))


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
