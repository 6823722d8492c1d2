"""Warp kernel that draws capsules in camera space; imported inside functions only (importing it imports Warp)."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201

import warp as wp

from contrapposto.render.warp_types import hit_capsule

wp.set_module_options({"enable_backward": False, "fast_math": False})


@wp.struct
class Bone:
    """One capsule: ends in camera space, RGBA, the pixels [left, right) x [top, bottom) it can touch, its person."""

    start: wp.vec3
    end: wp.vec3
    color: wp.vec4
    box: wp.vec4i
    radius: float
    person: int


@wp.struct
class Lens:
    """Pinhole camera at the origin, and the depths between which colours are dimmed."""

    fx: float
    fy: float
    cx: float
    cy: float
    near: float
    fade: float
    limit: float
    reach: float


@wp.func
def ray(lens: Lens, x: int, y: int) -> wp.vec3:
    """Unit direction through the point of pixel (x, y)."""
    return wp.normalize(wp.vec3((float(x) - lens.cx) / lens.fx, (float(y) - lens.cy) / lens.fy, 1.0))


@wp.func
def shade(lens: Lens, bone: Bone, spot: wp.vec3, direction: wp.vec3) -> wp.vec4:
    """Headlight: diffuse and specular, dimmed with depth (docs/specs/scail_pose.md, section 7.2)."""
    axis = bone.end - bone.start
    along = wp.dot(spot - bone.start, axis) / wp.max(wp.dot(axis, axis), 1.0e-12)
    normal = wp.normalize(spot - bone.start - axis * wp.clamp(along, 0.0, 1.0))
    diffuse = wp.max(-normal[2], 0.0)
    half = wp.normalize(wp.vec3(0.0, 0.0, -1.0) - direction)
    shine = wp.pow(wp.max(wp.dot(normal, half), 0.0), 32.0)
    dim = wp.clamp(1.0 - (spot[2] - lens.near) / lens.fade, 0.0, 1.0)
    color = bone.color * ((0.3 + 0.7 * diffuse) * dim)
    glint = 0.5 * shine * dim
    return wp.vec4(color[0] + glint, color[1] + glint, color[2] + glint, bone.color[3])


@wp.kernel
def draw(
    bones: wp.array[Bone],
    offsets: wp.array[wp.int32],
    lens: Lens,
    top: int,
    left: int,
    right: int,
    run: int,
    rgba: wp.array4d[wp.uint8],
    depth: wp.array3d[float],
    ids: wp.array3d[wp.int32],
):
    """A run of pixels of one row per thread: the nearest capsule of each, then its colour.

    `depth` comes filled with infinity, `ids` with -1, `rgba` with 0; on the way `ids` holds numbers of capsules and
    `depth` distances along the rays.
    """
    frame, row, part = wp.tid()
    y = top + row
    low = left + part * run
    high = wp.min(low + run, right)
    for number in range(offsets[frame], offsets[frame + 1]):
        bone = bones[number]
        if y >= bone.box[2] and y < bone.box[3]:
            for x in range(wp.max(low, bone.box[0]), wp.min(high, bone.box[1])):
                direction = ray(lens, x, y)
                t = hit_capsule(
                    wp.vec3(0.0, 0.0, 0.0), direction, bone.start, bone.end, bone.radius + lens.reach
                )
                if t >= 0.0:
                    t = wp.max(t, 0.1)  # where the original's march begins
                    if t < depth[frame, y, x] and t <= lens.limit:
                        depth[frame, y, x] = t
                        ids[frame, y, x] = number
    for x in range(low, high):
        number = ids[frame, y, x]
        if number >= 0:
            direction = ray(lens, x, y)
            spot = direction * depth[frame, y, x]
            color = shade(lens, bones[number], spot, direction)
            depth[frame, y, x] = spot[2]
            ids[frame, y, x] = bones[number].person
            for channel in range(4):
                rgba[frame, y, x, channel] = wp.uint8(wp.clamp(color[channel], 0.0, 1.0) * 255.0)
