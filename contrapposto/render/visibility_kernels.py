"""Warp kernels that find out what pixels show: a rasteriser for CPUs, and which pixels are at edges."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, SIM102

import warp as wp

from contrapposto.render.warp_types import (
    NEAR,
    Capsule,
    Fine,
    Shown,
    View,
    floor_of,
    hit_capsule,
    outside,
    ray_direction,
)

wp.set_module_options({"enable_backward": False, "fast_math": True})


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
def capsule_inverse(view: View, capsule: Capsule, x: float, y: float) -> float:
    """Inverse depth of a capsule at an image point; 0 where it is missed."""
    direction = ray_direction(view, x, y)
    length = wp.length(direction)
    distance = hit_capsule(view.position, direction / length, capsule.start, capsule.end, capsule.radius)
    if distance < 0.0:
        return 0.0
    return length / wp.max(distance, NEAR)


@wp.kernel
def draw_capsules(
    capsules: wp.array[Capsule], count: int, view: View, first_row: int, num_rows: int, shown: Shown
):
    """Nearest capsule at pixel centres of some rows, by one thread, where no face is nearer: rays within its rectangle."""
    for number in range(count):
        capsule = capsules[number]
        box = capsule.box
        top = wp.max(int(wp.max(box[2], 0.0)), wp.max(first_row, view.top))
        bottom = wp.min(
            int(wp.min(box[3], float(view.height))) + 1, wp.min(first_row + num_rows, view.bottom)
        )
        left = wp.max(int(wp.max(box[0], 0.0)), view.left)
        right = wp.min(int(wp.min(box[1], float(view.width))) + 1, view.right)
        for row in range(top, bottom):
            for column in range(left, right):
                inverse = capsule_inverse(view, capsule, float(column) + 0.5, float(row) + 0.5)
                if inverse > shown.inverse[row, column]:
                    shown.inverse[row, column] = inverse
                    shown.faces[row, column] = -2 - number


@wp.kernel
def draw_fine_capsules(
    capsules: wp.array[Capsule], count: int, view: View, first_row: int, num_rows: int, fine: Fine
):
    """The same at the sample points of the numbered pixels."""
    places = fine.places
    slots = fine.slots
    for number in range(count):
        capsule = capsules[number]
        box = capsule.box
        top = wp.max(int(wp.max(box[2] - 1.0, 0.0)), first_row)
        bottom = wp.min(
            int(wp.min(box[3], float(view.height))) + 1, wp.min(first_row + num_rows, view.height)
        )
        left = int(wp.max(box[0] - 1.0, 0.0))
        right = wp.min(int(wp.min(box[1], float(view.width))) + 1, view.width)
        for row in range(top, bottom):
            for column in range(left, right):
                slot = slots[row, column]
                if slot >= 0:
                    for i in range(places.shape[0]):
                        x = float(column) + places[i][0]
                        y = float(row) + places[i][1]
                        inverse = capsule_inverse(view, capsule, x, y)
                        if inverse > fine.inverse[slot, i]:
                            fine.inverse[slot, i] = inverse
                            fine.faces[slot, i] = -2 - number


@wp.func
def parted(number: int, depth: float, other_number: int, other_depth: float, pixel: float) -> bool:
    """Whether two neighbouring pixels show different figures, or the same one a step nearer or farther."""
    if number != other_number:
        return True
    if number < 0:
        return False
    return wp.abs(depth - other_depth) > 0.02 + pixel * wp.min(depth, other_depth)


@wp.kernel
def mark_edges(
    view: View,
    depth: wp.array2d[float],
    ids: wp.array2d[wp.int32],
    first_row: int,
    slots: wp.array2d[wp.int32],
):
    """Set the slots of pixels at edges to 0. A thread does a row, and pixels of the next."""
    row = wp.tid() + first_row
    if row < view.top - 1 or row > view.bottom:
        return
    pixel = 4.0 / view.fx
    last_row = view.height - 1
    last_column = view.width - 1
    for column in range(wp.max(view.left - 1, 0), wp.min(view.right + 1, view.width)):
        own = ids[row, column]
        here = depth[row, column]
        edge = 0
        if column < last_column:
            if parted(own, here, ids[row, column + 1], depth[row, column + 1], pixel):
                edge = 1
                slots[row, column + 1] = 0
        if row < last_row:
            if parted(own, here, ids[row + 1, column], depth[row + 1, column], pixel):
                edge = 1
                slots[row + 1, column] = 0
        if edge == 1:
            slots[row, column] = 0


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
