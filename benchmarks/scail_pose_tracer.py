"""Plain sphere tracing of capsules as the original does it: every pixel marches past every capsule."""

# Warp gives annotations and literals a meaning of their own, which the checkers of plain Python do not know.
# mypy: ignore-errors
# ruff: noqa: ANN201, UP018

import warp as wp

wp.set_module_options({"enable_backward": False, "fast_math": False})


@wp.func
def nearest(
    point: wp.vec3, starts: wp.array[wp.vec3], ends: wp.array[wp.vec3], radii: wp.array[float]
) -> wp.vec2:
    """Distance to the nearest capsule, and its number."""
    best = float(1.0e6)
    index = float(0.0)
    for number in range(starts.shape[0]):
        axis = ends[number] - starts[number]
        away = point - starts[number]
        along = wp.clamp(wp.dot(away, axis) / wp.max(wp.dot(axis, axis), 1.0e-12), 0.0, 1.0)
        distance = wp.length(away - axis * along) - radii[number]
        if distance < best:
            best = distance
            index = float(number)
    return wp.vec2(best, index)


@wp.kernel
def march(
    starts: wp.array[wp.vec3],
    ends: wp.array[wp.vec3],
    colors: wp.array[wp.vec4],
    radii: wp.array[float],
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    image: wp.array2d[wp.vec4],
):
    """One ray: at most 300 steps; normals by central differences."""
    y, x = wp.tid()
    ray = wp.normalize(wp.vec3((float(x) - cx) / fx, (float(y) - cy) / fy, 1.0))
    t = float(0.1)
    for _ in range(300):
        hit = nearest(ray * t, starts, ends, radii)
        if hit[0] < 1.0e-3:
            spot = ray * t
            dx = wp.vec3(1.0e-3, 0.0, 0.0)
            dy = wp.vec3(0.0, 1.0e-3, 0.0)
            dz = wp.vec3(0.0, 0.0, 1.0e-3)
            right = nearest(spot + dx, starts, ends, radii)[0] - nearest(spot - dx, starts, ends, radii)[0]
            down = nearest(spot + dy, starts, ends, radii)[0] - nearest(spot - dy, starts, ends, radii)[0]
            far = nearest(spot + dz, starts, ends, radii)[0] - nearest(spot - dz, starts, ends, radii)[0]
            normal = wp.normalize(wp.vec3(right, down, far))
            image[y, x] = colors[int(hit[1])] * (0.3 + 0.7 * wp.max(-normal[2], 0.0))
            return
        if t > 10000.0:
            return
        t = t + wp.max(hit[0], 1.0e-4)
