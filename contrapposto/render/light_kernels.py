"""Warp kernels that find out how much light reaches vertices and the ground."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018

import warp as wp

from contrapposto.render.warp_types import FAR, Capsule, Corner, blocked, floor_of, hit_capsule, outside

wp.set_module_options({"enable_backward": False, "fast_math": True})

SKY_REACH = wp.constant(0.5)  # metres within which the sky above the ground is blocked
LEAST_SKY = wp.constant(
    0.2
)  # light that covered surfaces throw at each other: where limbs touch, nothing is black
CONTACT_REACH = wp.constant(0.12)  # height in metres above which nothing touches the ground


@wp.kernel
def add_face_normals(points: wp.array[wp.vec3], indices: wp.array[wp.int32], normals: wp.array[wp.vec3]):
    """Sum of the normals of the faces around each vertex, weighted by area."""
    face = wp.tid()
    i, j, k = indices[3 * face], indices[3 * face + 1], indices[3 * face + 2]
    normal = wp.cross(points[j] - points[i], points[k] - points[i])
    wp.atomic_add(normals, i, normal)
    wp.atomic_add(normals, j, normal)
    wp.atomic_add(normals, k, normal)


@wp.kernel
def light_points(
    mesh: wp.uint64,
    capsules: wp.array[Capsule],
    num_capsules: int,
    points: wp.array[wp.vec3],
    normals: wp.array[wp.vec3],
    chosen: wp.array[wp.int32],
    eye: wp.vec3,
    key_directions: wp.array[wp.vec3],
    sky_directions: wp.array[wp.vec3],
    scale: float,
    every: int,
    phase: int,
    first: int,
    light: wp.array[wp.vec2],
):
    """Share of the sky (within 0.4 m times `scale`) and of the key light at chosen vertices, at one of `every`.

    Vertices turned away from the camera are skipped.
    """
    slot = (wp.tid() + first) * every + phase
    if slot >= chosen.shape[0]:
        return
    vertex = chosen[slot]
    point = points[vertex]
    normal = wp.normalize(normals[vertex])
    if wp.dot(normal, wp.normalize(eye - point)) < -0.4:
        light[slot] = wp.vec2(1.0, 1.0)
        return
    origin = point + normal * (0.006 * scale)
    open_sky = float(0.0)
    weight = float(1.0e-6)
    # neighbouring samples try other halves of the directions: the smoothing that follows mixes them
    for i in range(slot % 2, sky_directions.shape[0], 2):
        cosine = wp.dot(sky_directions[i], normal)
        if cosine > 0.05:
            weight += cosine
            if not blocked(mesh, capsules, num_capsules, origin, sky_directions[i], 0.4 * scale):
                open_sky += cosine
    key = float(0.0)
    if wp.dot(key_directions[0], normal) > -0.3:
        for i in range(slot % 2, key_directions.shape[0], 2):
            if not blocked(mesh, capsules, num_capsules, origin, key_directions[i], FAR):
                key += 2.0 / float(key_directions.shape[0])
    light[slot] = wp.vec2(wp.max(open_sky / weight, LEAST_SKY), key)


@wp.kernel
def fill_corners(
    normals: wp.array[wp.vec3], colors: wp.array[wp.vec3], light: wp.array[wp.vec2], corners: wp.array[Corner]
):
    """Put together what shading reads."""
    vertex = wp.tid()
    corner = Corner()
    corner.normal = wp.normalize(normals[vertex])
    corner.color = colors[vertex]
    corner.light = light[vertex]
    corners[vertex] = corner


@wp.func
def nearest_above(
    mesh: wp.uint64, capsules: wp.array[Capsule], num_capsules: int, origin: wp.vec3, reach: float
) -> float:
    """Height of the lowest thing within `reach` above a point of the ground, `reach` where there is none."""
    up = wp.vec3(0.0, 0.0, 1.0)
    height = float(reach)
    if mesh != wp.uint64(0):
        query = wp.mesh_query_ray(mesh, origin, up, height)
        if query.result:
            height = query.t
    for i in range(num_capsules):
        capsule = capsules[i]
        t = hit_capsule(origin, up, capsule.start, capsule.end, capsule.radius)
        if t >= 0.0 and t < height:
            height = t
    return height


@wp.kernel
def light_ground(
    mesh: wp.uint64,
    capsules: wp.array[Capsule],
    num_capsules: int,
    corner: wp.vec3,
    texel: float,
    key_directions: wp.array[wp.vec3],
    sky_directions: wp.array[wp.vec3],
    scale: float,
    first_row: int,
    texture: wp.array2d[wp.vec3],
):
    """What is blocked at each texel of the ground: shares of the key light and of the near sky, and contact from above.

    Contact is 1 where something touches the ground, 0 from 0.12 m (times `scale`) above: it shows which foot stands.
    """
    row, column = wp.tid()
    row += first_row
    origin = corner + wp.vec3(float(column) + 0.5, float(row) + 0.5, 0.0) * texel
    shade = float(0.0)
    for i in range(key_directions.shape[0]):
        if blocked(mesh, capsules, num_capsules, origin, key_directions[i], FAR):
            shade += 1.0 / float(key_directions.shape[0])
    near = float(0.0)
    for i in range(sky_directions.shape[0]):
        if blocked(mesh, capsules, num_capsules, origin, sky_directions[i], SKY_REACH * scale):
            near += 1.0 / float(sky_directions.shape[0])
    reach = CONTACT_REACH * scale
    contact = 1.0 - nearest_above(mesh, capsules, num_capsules, origin, reach) / reach
    contact = wp.max(contact, 0.0)
    texture[row, column] = wp.vec3(shade, near, contact * contact)


@wp.struct
class Casting:
    """One direction of light on the ground.

    `weight` is added to `channel` of texels that something within `reach` on the (upward) direction blocks; where it is
    0, they keep the highest square of 1 - distance / reach. `number` tells directions apart.
    """

    corner: wp.vec3
    texel: float
    direction: wp.vec3
    reach: float
    weight: float
    channel: int
    number: int


@wp.func
def block(
    casting: Casting,
    row: int,
    column: int,
    distance: float,
    stamps: wp.array2d[wp.int32],
    texture: wp.array2d[wp.vec3],
):
    """Something stands at this distance from a texel; it counts once for each direction."""
    value = texture[row, column]
    if casting.weight == 0.0:
        near = 1.0 - distance / casting.reach
        value[casting.channel] = wp.max(value[casting.channel], near * near)
    else:
        value[casting.channel] = value[casting.channel] + casting.weight
        stamps[row, column] = casting.number
    texture[row, column] = value


@wp.kernel
def cast_faces(
    faces: wp.array[wp.vec4i],
    closed: int,
    points: wp.array[wp.vec3],
    castings: wp.array[Casting],
    first_row: int,
    num_rows: int,
    stamps: wp.array2d[wp.int32],
    texture: wp.array2d[wp.vec3],
):
    """Shadows of all faces along each direction on some rows of the ground, by one thread.

    A ray from a texel meets a face where the face, projected along the ray's direction onto the ground, covers the
    texel: the answer of `light_ground`, for many small faces far cheaper on a CPU than rays.
    """
    for number in range(castings.shape[0]):
        casting = castings[number]
        up = 1.0 / casting.direction[2]
        slope_x = casting.direction[0] * up
        slope_y = casting.direction[1] * up
        finer = 1.0 / casting.texel
        for face in range(faces.shape[0]):
            corners = faces[face]
            a = points[corners[0]] - casting.corner
            b = points[corners[1]] - casting.corner
            c = points[corners[2]] - casting.corner
            if (
                wp.max(wp.max(a[2], b[2]), c[2]) <= 0.0
                or wp.min(wp.min(a[2], b[2]), c[2]) * up >= casting.reach
            ):
                continue
            a = wp.vec3((a[0] - slope_x * a[2]) * finer, (a[1] - slope_y * a[2]) * finer, a[2] * up)
            b = wp.vec3((b[0] - slope_x * b[2]) * finer, (b[1] - slope_y * b[2]) * finer, b[2] * up)
            c = wp.vec3((c[0] - slope_x * c[2]) * finer, (c[1] - slope_y * c[2]) * finer, c[2] * up)
            area = outside(b, c, a[0], a[1])
            # a ray leaves a closed mesh wherever it has entered it: one of the two faces is enough
            if area == 0.0 or (closed == 1 and casting.reach == FAR and area < 0.0):
                continue
            first = wp.max(int(floor_of(wp.min(wp.min(a[1], b[1]), c[1]) + 0.5)), first_row)
            last = wp.min(int(floor_of(wp.max(wp.max(a[1], b[1]), c[1]) + 0.5)), first_row + num_rows)
            left = wp.max(int(floor_of(wp.min(wp.min(a[0], b[0]), c[0]) + 0.5)), 0)
            right = wp.min(int(floor_of(wp.max(wp.max(a[0], b[0]), c[0]) + 0.5)), texture.shape[1])
            if first < last and left < right:
                share = 1.0 / area
                for row in range(first, last):
                    for column in range(left, right):
                        if casting.weight == 0.0 or stamps[row, column] != casting.number:
                            u = outside(b, c, float(column) + 0.5, float(row) + 0.5) * share
                            v = outside(c, a, float(column) + 0.5, float(row) + 0.5) * share
                            w = 1.0 - u - v
                            if u >= -1.0e-5 and v >= -1.0e-5 and w >= -1.0e-5:
                                distance = u * a[2] + v * b[2] + w * c[2]
                                if distance > 0.0 and distance < casting.reach:
                                    block(casting, row, column, distance, stamps, texture)


@wp.kernel
def cast_capsules(
    capsules: wp.array[Capsule],
    count: int,
    castings: wp.array[Casting],
    first_row: int,
    num_rows: int,
    stamps: wp.array2d[wp.int32],
    texture: wp.array2d[wp.vec3],
):
    """The same for capsules: rays, for the texels around each capsule's shadow only."""
    for number in range(castings.shape[0]):
        casting = castings[number]
        up = 1.0 / casting.direction[2]
        finer = 1.0 / casting.texel
        for i in range(count):
            capsule = capsules[i]
            a = capsule.start - casting.corner
            b = capsule.end - casting.corner
            shift_a = a[2] * up
            shift_b = b[2] * up
            ax = a[0] - casting.direction[0] * shift_a
            ay = a[1] - casting.direction[1] * shift_a
            bx = b[0] - casting.direction[0] * shift_b
            by = b[1] - casting.direction[1] * shift_b
            wide = capsule.radius * up  # half the longer axis of the ellipse that a ball casts
            left = wp.max(int(floor_of((wp.min(ax, bx) - wide) * finer)), 0)
            right = wp.min(int(floor_of((wp.max(ax, bx) + wide) * finer)) + 1, texture.shape[1])
            first = wp.max(int(floor_of((wp.min(ay, by) - wide) * finer)), first_row)
            last = wp.min(int(floor_of((wp.max(ay, by) + wide) * finer)) + 1, first_row + num_rows)
            for row in range(first, last):
                for column in range(left, right):
                    if casting.weight == 0.0 or stamps[row, column] != casting.number:
                        origin = (
                            casting.corner
                            + wp.vec3(float(column) + 0.5, float(row) + 0.5, 0.0) * casting.texel
                        )
                        distance = hit_capsule(
                            origin, casting.direction, capsule.start, capsule.end, capsule.radius
                        )
                        # a texel inside of a capsule has distance 0: in contact, but not in shadow
                        if distance < casting.reach and (
                            distance > 0.0 or (distance == 0.0 and casting.weight == 0.0)
                        ):
                            block(casting, row, column, distance, stamps, texture)
