"""Warp kernels that find out how much light reaches vertices and the ground."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018

import warp as wp

from contrapposto.render.warp_types import FAR, Capsule, Corner, blocked, hit_capsule

wp.set_module_options({"enable_backward": False, "fast_math": True})


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
    first: int,
    light: wp.array[wp.vec2],
):
    """Share of the sky (within 0.4 m times `scale`) and of the key light at chosen vertices.

    Vertices turned away from the camera are skipped.
    """
    slot = wp.tid() + first
    vertex = chosen[slot]
    point = points[vertex]
    normal = wp.normalize(normals[vertex])
    if wp.dot(normal, wp.normalize(eye - point)) < -0.4:
        light[slot] = wp.vec2(1.0, 1.0)
        return
    origin = point + normal * (0.006 * scale)
    open_sky = float(0.0)
    weight = float(1.0e-6)
    for i in range(sky_directions.shape[0]):
        cosine = wp.dot(sky_directions[i], normal)
        if cosine > 0.05:
            weight += cosine
            if not blocked(mesh, capsules, num_capsules, origin, sky_directions[i], 0.4 * scale):
                open_sky += cosine
    key = float(0.0)
    if wp.dot(key_directions[0], normal) > -0.3:
        for i in range(key_directions.shape[0]):
            if not blocked(mesh, capsules, num_capsules, origin, key_directions[i], FAR):
                key += 1.0 / float(key_directions.shape[0])
    light[slot] = wp.vec2(open_sky / weight, key)


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
    # neighbouring texels take other halves of the directions: the blur that follows mixes them
    phase = (row + column) % 2
    half = key_directions.shape[0] // 2
    for i in range(half):
        if blocked(mesh, capsules, num_capsules, origin, key_directions[2 * i + phase], FAR):
            shade += 1.0 / float(half)
    near = float(0.0)
    half = sky_directions.shape[0] // 2
    for i in range(half):
        if blocked(mesh, capsules, num_capsules, origin, sky_directions[2 * i + phase], 0.5 * scale):
            near += 1.0 / float(half)
    reach = 0.12 * scale
    contact = 1.0 - nearest_above(mesh, capsules, num_capsules, origin, reach) / reach
    contact = wp.max(contact, 0.0)
    texture[row, column] = wp.vec3(shade, near, contact * contact)
