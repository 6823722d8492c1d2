"""Structures and ray functions shared by the Warp kernels, compiled for the CPU and for CUDA from the same source.

Import these files inside functions only: importing them imports Warp. Colours inside are linear light.
"""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: UP018

import warp as wp

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)  # a library prints nothing of its own accord

NEAR = 1.0e-4
FAR = 1.0e6


@wp.struct
class View:
    """Pinhole camera; the pixels [left, right) x [top, bottom) that figures can touch; whether all are in front."""

    position: wp.vec3
    right_axis: wp.vec3
    down_axis: wp.vec3
    forward_axis: wp.vec3
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    all_in_front: int


@wp.struct
class Corner:
    """A vertex as shading needs it: unit normal, linear colour, shares of the sky and of the key light it receives."""

    normal: wp.vec3
    color: wp.vec3
    light: wp.vec2


@wp.struct
class Capsule:
    """One capsule: linear colour, id, and its rectangle (left, right, top, bottom) on the image."""

    start: wp.vec3
    end: wp.vec3
    color: wp.vec3
    box: wp.vec4
    radius: float
    number: int


@wp.struct
class Solids:
    """All meshes joined into one (0 where there is none) and all capsules; `faces` are three corners and an id.
    The first `num_casting` capsules cast shadows. Faces of `closed` meshes are seen from
    outside only. Where `smooth` is 1, `colors` holds what the camera sees of each vertex.

    Few fields on purpose: Warp copies structures by value into every function on the CPU.
    """

    mesh: wp.uint64
    faces: wp.array[wp.vec4i]
    corners: wp.array[Corner]
    colors: wp.array[wp.vec3]
    capsules: wp.array[Capsule]
    num_capsules: int
    num_casting: int
    closed: int
    smooth: int


@wp.struct
class Look:
    """Light, background and ground. The ground's light is a texture over a rectangle of the plane."""

    key_direction: wp.vec3
    key: float
    sky: float
    bounce: float
    background_top: wp.vec3
    background_bottom: wp.vec3
    has_ground: int
    ground_height: float
    square: float
    ground_light: wp.vec3
    ground_dark: wp.vec3
    centre: wp.vec2
    fade_start: float
    fade_end: float
    texture: wp.array2d[wp.vec3]
    texture_origin: wp.vec2
    texel: float


@wp.struct
class Hit:
    """The nearest figure on a ray. `face` is a face, or -2 - capsule, or -1 where the ray meets nothing."""

    distance: float
    face: int
    u: float
    v: float


@wp.struct
class Shown:
    """What a rasteriser found at pixel centres, where `known` is 1: inverse depth (0: nothing), face, its weights."""

    known: int
    inverse: wp.array2d[float]
    faces: wp.array2d[wp.int32]
    weights: wp.array2d[wp.vec2]


@wp.struct
class Fine:
    """What a rasteriser found at the samples of pixels at edges: the number of each such pixel (-1: none), then, by
    number and sample, inverse depth (0: nothing), face, its weights. `places` are the samples in a pixel, 0 to 1."""

    places: wp.array[wp.vec2]
    slots: wp.array2d[wp.int32]
    inverse: wp.array2d[float]
    faces: wp.array2d[wp.int32]
    weights: wp.array2d[wp.vec2]


@wp.func
def floor_of(x: float) -> float:
    """The largest whole number not above x, below 2^31 in size; much cheaper than the C library's on a CPU."""
    whole = float(int(x))
    if whole > x:
        whole -= 1.0
    return whole


@wp.func
def outside(a: wp.vec3, b: wp.vec3, x: float, y: float) -> float:
    """Twice the signed area of the triangle of two projected points and an image point."""
    return (a[0] - x) * (b[1] - y) - (a[1] - y) * (b[0] - x)


@wp.func
def ray_direction(view: View, x: float, y: float) -> wp.vec3:
    """Direction of an image point, scaled so that its component along the viewing axis is 1."""
    return (
        view.forward_axis
        + view.right_axis * ((x - view.cx) / view.fx)
        + view.down_axis * ((y - view.cy) / view.fy)
    )


@wp.func
def hit_sphere(origin: wp.vec3, direction: wp.vec3, centre: wp.vec3, radius: float) -> float:
    """Distance along a unit direction to a sphere's outside, or -1."""
    offset = origin - centre
    b = wp.dot(offset, direction)
    # the distance of the line from the centre, not b * b - c: that cancels when the sphere is far away
    nearest = offset - direction * b
    inside = radius * radius - wp.dot(nearest, nearest)
    if inside < 0.0:
        return -1.0
    return -b - wp.sqrt(inside)


@wp.func
def hit_capsule(origin: wp.vec3, direction: wp.vec3, start: wp.vec3, end: wp.vec3, radius: float) -> float:
    """Distance along a unit direction to a capsule: 0 from inside, -1 where it is missed."""
    axis = end - start
    length_squared = wp.dot(axis, axis)
    offset = origin - start
    place = wp.clamp(wp.dot(offset, axis) / wp.max(length_squared, 1.0e-12), 0.0, 1.0)
    if wp.length_sq(offset - axis * place) <= radius * radius:
        return 0.0
    best = float(-1.0)
    # cylinder: everything perpendicular to the axis
    unit = axis / wp.sqrt(wp.max(length_squared, 1.0e-12))
    across = direction - unit * wp.dot(direction, unit)
    away = offset - unit * wp.dot(offset, unit)
    a = wp.dot(across, across)
    if a > 1.0e-12 and length_squared > 1.0e-12:
        b = wp.dot(away, across) / a
        nearest = away - across * b
        inside = radius * radius - wp.dot(nearest, nearest)
        if inside >= 0.0:
            t = -b - wp.sqrt(inside / a)
            along = wp.dot(offset + direction * t, axis)
            if t > 0.0 and along >= 0.0 and along <= length_squared:
                best = t
    if best < 0.0:  # the round ends; of two hits the nearer
        first = hit_sphere(origin, direction, start, radius)
        second = hit_sphere(origin, direction, end, radius)
        best = first
        if second > 0.0 and (best <= 0.0 or second < best):
            best = second
        if best <= 0.0:
            best = -1.0
    return best


@wp.func
def trace_mesh(solids: Solids, origin: wp.vec3, direction: wp.vec3) -> Hit:
    """Nearest face on a ray of unit direction."""
    hit = Hit()
    hit.distance = FAR
    hit.face = -1
    if solids.mesh != wp.uint64(0):
        query = wp.mesh_query_ray(solids.mesh, origin, direction, FAR)
        if query.result:
            hit.distance = query.t
            hit.face = query.face
            hit.u = query.u
            hit.v = query.v
    return hit


@wp.func
def trace_capsules(
    solids: Solids, origin: wp.vec3, direction: wp.vec3, x: float, y: float, nearest: Hit
) -> Hit:
    """The nearest hit so far, or a nearer capsule; only those are tried whose box on the image holds (x, y)."""
    hit = nearest
    for i in range(solids.num_capsules):
        capsule = solids.capsules[i]
        if x >= capsule.box[0] and x <= capsule.box[1] and y >= capsule.box[2] and y <= capsule.box[3]:
            t = hit_capsule(origin, direction, capsule.start, capsule.end, capsule.radius)
            if t >= 0.0 and t < hit.distance:
                hit.distance = t
                hit.face = -2 - i
    return hit


@wp.func
def blocked(
    mesh: wp.uint64,
    capsules: wp.array[Capsule],
    num_capsules: int,
    origin: wp.vec3,
    direction: wp.vec3,
    reach: float,
) -> bool:
    """Whether anything stands within `reach` on a unit direction."""
    if mesh != wp.uint64(0) and wp.mesh_query_ray_anyhit(mesh, origin, direction, reach):
        return True
    for i in range(num_capsules):
        capsule = capsules[i]
        t = hit_capsule(origin, direction, capsule.start, capsule.end, capsule.radius)
        if t > 0.0 and t < reach:
            return True
    return False
