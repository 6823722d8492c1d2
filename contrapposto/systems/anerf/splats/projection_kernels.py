"""Warp kernels that skin, project and light Gaussians: for training, with Warp's adjoint, and for drawing.

Import this file inside functions only: it imports Warp.
"""

# mypy: ignore-errors
# ruff: noqa: ANN201

import warp as wp

wp.config.log_level = max(wp.config.log_level, wp.LOG_WARNING)

LOW_PASS = wp.constant(0.3)
"""Added to the variances on the image, square pixels (EWA splatting)."""


@wp.func
def rotation(q0: wp.vec4):
    """Rotation matrix of a quaternion (w, x, y, z) of any length."""
    q = q0 / wp.length(q0)
    w = q[0]
    x = q[1]
    y = q[2]
    z = q[3]
    return wp.mat33(
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    )


@wp.func
def covariance(spread: wp.mat33, u: float, v: float, kx: float, ky: float):
    """Covariance (xx, xy, yy) on the image, square pixels, of axes in the camera's frame, as columns.

    The place is (u, v) at depth 1; kx and ky are pixels per world unit.
    """
    a = wp.vec3(
        (spread[0, 0] - spread[2, 0] * u) * kx,
        (spread[0, 1] - spread[2, 1] * u) * kx,
        (spread[0, 2] - spread[2, 2] * u) * kx,
    )
    b = wp.vec3(
        (spread[1, 0] - spread[2, 0] * v) * ky,
        (spread[1, 1] - spread[2, 1] * v) * ky,
        (spread[1, 2] - spread[2, 2] * v) * ky,
    )
    return wp.vec3(wp.dot(a, a), wp.dot(a, b), wp.dot(b, b))


@wp.func
def low_passed(flat: wp.vec3):
    """Conic, the inverse covariance (xx, xy, yy), after the low-pass; and the factor of the opacity.

    The low-pass spreads a Gaussian; its opacity falls by as much, so that it adds no halo.
    """
    before = wp.max(flat[0] * flat[2] - flat[1] * flat[1], 1.0e-8)
    xx = flat[0] + LOW_PASS
    yy = flat[2] + LOW_PASS
    after = xx * yy - flat[1] * flat[1]
    return wp.vec4(yy / after, -flat[1] / after, xx / after, wp.sqrt(wp.max(before / after, 1.0e-4)))


@wp.func
def lit(light: wp.array[wp.vec3], n: wp.vec3):
    """Light on a surface with this normal."""
    return (
        light[0]
        + light[1] * n[0]
        + light[2] * n[1]
        + light[3] * n[2]
        + light[4] * (n[0] * n[1])
        + light[5] * (n[1] * n[2])
        + light[6] * (n[0] * n[2])
        + light[7] * (3.0 * n[2] * n[2] - 1.0)
        + light[8] * (n[0] * n[0] - n[1] * n[1])
    )


@wp.kernel
def project(
    position: wp.array[wp.vec3],
    offset: wp.array[wp.vec3],
    quaternion: wp.array[wp.vec4],
    log_scale: wp.array[wp.vec3],
    opacity_logit: wp.array[float],
    colour_logit: wp.array[wp.vec3],
    joint: wp.array2d[wp.int32],
    weight: wp.array2d[float],
    frame: wp.array[wp.mat33],
    rotations: wp.array[wp.mat33],
    shifts: wp.array[wp.vec3],
    light: wp.array[wp.vec3],
    camera_rotation: wp.array[wp.mat33],
    camera_shift: wp.array[wp.vec3],
    intrinsics: wp.array[wp.vec4],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    depth: wp.array[float],
):
    """One Gaussian per thread. Intrinsics are fx, fy, cx, cy; the conic is the inverse covariance (xx, xy, yy)."""
    i = wp.tid()
    # Four joints, unrolled: Warp's adjoint of loops over mutable matrices is wrong.
    blend = (
        weight[i, 0] * rotations[joint[i, 0]]
        + weight[i, 1] * rotations[joint[i, 1]]
        + weight[i, 2] * rotations[joint[i, 2]]
        + weight[i, 3] * rotations[joint[i, 3]]
    )
    shift = (
        weight[i, 0] * shifts[joint[i, 0]]
        + weight[i, 1] * shifts[joint[i, 1]]
        + weight[i, 2] * shifts[joint[i, 2]]
        + weight[i, 3] * shifts[joint[i, 3]]
    )
    turn = camera_rotation[0]
    lens = intrinsics[0]
    place = turn * (blend * (position[i] + offset[i]) + shift) + camera_shift[0]
    inverse = 1.0 / place[2]
    u = place[0] * inverse
    v = place[1] * inverse
    mean[i] = wp.vec2(lens[0] * u + lens[2], lens[1] * v + lens[3])
    depth[i] = place[2]
    posed = blend * (frame[i] * rotation(quaternion[i]))
    axes = turn * posed
    size = log_scale[i]
    sx = wp.exp(size[0])
    sy = wp.exp(size[1])
    sz = wp.exp(size[2])
    spread = wp.mat33(
        axes[0, 0] * sx,
        axes[0, 1] * sy,
        axes[0, 2] * sz,
        axes[1, 0] * sx,
        axes[1, 1] * sy,
        axes[1, 2] * sz,
        axes[2, 0] * sx,
        axes[2, 1] * sy,
        axes[2, 2] * sz,
    )
    shape = low_passed(covariance(spread, u, v, lens[0] * inverse, lens[1] * inverse))
    conic[i] = wp.vec3(shape[0], shape[1], shape[2])
    opacity[i] = shape[3] / (1.0 + wp.exp(-opacity_logit[i]))
    light_here = lit(light, wp.normalize(wp.vec3(posed[0, 2], posed[1, 2], posed[2, 2])))
    own = colour_logit[i]
    colour[i] = wp.vec3(
        light_here[0] / (1.0 + wp.exp(-own[0])),
        light_here[1] / (1.0 + wp.exp(-own[1])),
        light_here[2] / (1.0 + wp.exp(-own[2])),
    )


@wp.kernel(enable_backward=False)
def project_fixed(
    position: wp.array[wp.vec3],
    spread: wp.array[wp.mat33],
    normal: wp.array[wp.vec3],
    own_opacity: wp.array[float],
    own_colour: wp.array[wp.vec3],
    joint: wp.array2d[wp.int32],
    weight: wp.array2d[float],
    rotations: wp.array[wp.mat33],
    shifts: wp.array[wp.vec3],
    light: wp.array[wp.vec3],
    camera_rotation: wp.array[wp.mat33],
    camera_shift: wp.array[wp.vec3],
    intrinsics: wp.array[wp.vec4],
    mean: wp.array[wp.vec2],
    conic: wp.array[wp.vec3],
    opacity: wp.array[float],
    colour: wp.array[wp.vec3],
    depth: wp.array[float],
):
    """`project` of Gaussians whose axes, opacities and colours are known at rest."""
    i = wp.tid()
    blend = (
        weight[i, 0] * rotations[joint[i, 0]]
        + weight[i, 1] * rotations[joint[i, 1]]
        + weight[i, 2] * rotations[joint[i, 2]]
        + weight[i, 3] * rotations[joint[i, 3]]
    )
    shift = (
        weight[i, 0] * shifts[joint[i, 0]]
        + weight[i, 1] * shifts[joint[i, 1]]
        + weight[i, 2] * shifts[joint[i, 2]]
        + weight[i, 3] * shifts[joint[i, 3]]
    )
    turn = camera_rotation[0]
    lens = intrinsics[0]
    place = turn * (blend * position[i] + shift) + camera_shift[0]
    inverse = 1.0 / place[2]
    u = place[0] * inverse
    v = place[1] * inverse
    mean[i] = wp.vec2(lens[0] * u + lens[2], lens[1] * v + lens[3])
    depth[i] = place[2]
    shape = low_passed(covariance(turn * (blend * spread[i]), u, v, lens[0] * inverse, lens[1] * inverse))
    conic[i] = wp.vec3(shape[0], shape[1], shape[2])
    opacity[i] = shape[3] * own_opacity[i]
    colour[i] = wp.cw_mul(lit(light, wp.normalize(blend * normal[i])), own_colour[i])
