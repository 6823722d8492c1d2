"""Gaussians on an image against a dense float64 reference, values and gradients."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from contrapposto import rotations as rot
from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE, pose_bones
from contrapposto.systems.anerf.splats.model import SplatAvatar, SplatOptions
from contrapposto.systems.anerf.splats.raster import Projected, blend
from contrapposto.systems.anerf.splats.renderer import SplatRenderer
from contrapposto.systems.anerf.splats.warp_arrays import wrap
from contrapposto.systems.anerf.view import View

HEIGHT, WIDTH, COUNT = 34, 43, 60  # the width is no multiple of the pixels that are computed at a time


def gaussians(seed=0):
    torch.manual_seed(seed)
    mean = torch.rand(COUNT, 2) * torch.tensor([WIDTH, HEIGHT])
    spread = torch.randn(COUNT, 2, 2) * 1.5
    inverse = torch.linalg.inv(spread @ spread.mT + 0.5 * torch.eye(2))
    conic = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], 1)
    depth = torch.rand(COUNT)
    return Projected(mean, conic, torch.rand(COUNT) * 0.8 + 0.1, torch.rand(COUNT, 3), depth)


def dense(parts):
    """Every Gaussian at every pixel."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    left = torch.ones(HEIGHT, WIDTH, dtype=torch.float64)
    image = torch.zeros(HEIGHT, WIDTH, 3, dtype=torch.float64)
    for i in parts.depth.argsort().tolist():
        dx, dy = columns - parts.mean[i, 0], rows - parts.mean[i, 1]
        a, b, c = parts.conic[i]
        alpha = parts.opacity[i] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
        alpha = torch.where((alpha > 1 / 255) & (left > 1e-4), alpha.clamp(max=0.99), 0 * alpha)
        image = image + (left * alpha)[..., None] * parts.colour[i]
        left = left * (1 - alpha)
    return image, left


def differentiated(function, parts):
    """Image, transmittance and the gradients of a random weighting of both."""
    leaves = [part.detach().clone().requires_grad_() for part in parts[:4]]
    image, left = function(Projected(*leaves, parts.depth))
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(HEIGHT, WIDTH, 4, generator=generator, dtype=torch.float64).to(image.dtype)
    ((image * weight[..., :3]).sum() + (left * weight[..., 3]).sum()).backward()
    return image.detach(), left.detach(), [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"tiles": True}], ids=["one", "bands", "tiles"])
def test_images_and_gradients_are_those_of_the_dense_sum(options):
    parts = gaussians()
    wanted = differentiated(dense, Projected(*(part.double() for part in parts)))
    found = differentiated(lambda p: blend(p, HEIGHT, WIDTH, **options), parts)
    for a, b in zip(found[:2], wanted[:2]):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=3e-6)
    for a, b in zip(found[2], wanted[2]):
        assert float((a - b).norm() / b.norm()) < 2e-6  # float32


def reference_projection(avatar, bone_to_world, view):
    """`SplatAvatar.project` by torch in float64, written from its docstring."""
    double = {name: value.detach().double() for name, value in avatar.named_buffers()}
    p = {name: value.detach().double().requires_grad_() for name, value in avatar.named_parameters()}
    pose = bone_to_world.detach().double().requires_grad_()
    turn = pose[:, :3, :3]
    shift = pose[:, :3, 3] - (turn @ double["rest"][..., None])[..., 0]
    weight, joint = double["weight"], avatar.joint.long()
    blended = (weight[..., None, None] * turn[joint]).sum(1)
    moved = (weight[..., None] * shift[joint]).sum(1)
    place = (blended @ (double["position"] + p["offset"])[..., None])[..., 0] + moved
    axes = view.camera_to_world.double()
    axes = torch.stack([axes[:3, 0], -axes[:3, 1], -axes[:3, 2]])  # rows: OpenCV's right, down, forward
    local = (place - view.camera_to_world.double()[:3, 3]) @ axes.T
    z = local[:, 2:]
    mean = view.focal.double() * local[:, :2] / z + view.centre.double()
    posed = blended @ double["frame"] @ rot.quaternion_to_matrix(F.normalize(p["rotation"], dim=1))
    spread = posed * p["log_scale"].exp()[:, None]
    covariance = axes @ spread @ spread.mT @ axes.T
    jacobian = torch.zeros(len(z), 2, 3, dtype=torch.float64)
    jacobian[:, 0, 0] = view.focal[0] / z[:, 0]
    jacobian[:, 1, 1] = view.focal[1] / z[:, 0]
    jacobian[:, :, 2] = -view.focal.double() * local[:, :2] / z**2
    flat = jacobian @ covariance @ jacobian.mT
    wide = flat + 0.3 * torch.eye(2, dtype=torch.float64)
    inverse = torch.linalg.inv(wide)
    opacity = torch.sigmoid(p["opacity"]) * (torch.linalg.det(flat) / torch.linalg.det(wide)).sqrt()
    x, y, w = F.normalize(posed[:, :, 2], dim=1).unbind(1)
    basis = [torch.ones_like(x), x, y, w, x * y, y * w, x * w, 3 * w * w - 1, x * x - y * y]
    colour = torch.sigmoid(p["colour"]) * (torch.stack(basis, 1) @ p["light"])
    conic = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], 1)
    return (mean, conic, opacity, colour), [*p.values(), pose]


def posed_avatar(**options):
    """An avatar whose parameters are none of the start's, a pose and a camera."""
    rest = REST_POSE * UNIT_SCALE
    torch.manual_seed(3)
    avatar = SplatAvatar.on_body(rest, SplatOptions(gaussians=200, **options))
    with torch.no_grad():
        for parameter in avatar.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    turns = rot.axis_angle_to_matrix(0.4 * torch.randn(24, 3, dtype=torch.float64))
    pose = pose_bones(turns, torch.from_numpy(rest), torch.tensor([0.1, 0.2, 4.0])).bone_to_world
    camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    return avatar, pose, View(camera, torch.tensor([200.0, 210.0]), 64, 64, torch.tensor([31.0, 33.0]))


@pytest.mark.parametrize("wrinkles", [False, True])
def test_the_renderer_draws_what_is_trained(wrinkles):
    avatar, pose, view = posed_avatar(wrinkles=wrinkles)
    frame = SplatRenderer(avatar, depth=True)(torch.linalg.inv(pose.float()), view)
    image, transmittance = avatar(pose.float(), view)
    assert float(frame.opacity.max()) > 0.9
    torch.testing.assert_close(frame.colour, image.detach(), rtol=0, atol=1e-4)
    torch.testing.assert_close(frame.opacity, 1 - transmittance.detach(), rtol=0, atol=1e-4)
    depth = frame.depth[frame.opacity > 0.5]
    assert float((depth - 4).abs().max()) < 2  # the figure stands four units away


def test_arrays_of_warp_keep_their_memory():
    tensor = torch.zeros(4, 6)[:, :3]  # not contiguous: Warp gets a copy
    array = wrap(tensor, "vec3")
    copy = weakref.ref(array.held)
    assert array.data == array.held.data_ptr() != tensor.data_ptr()
    gc.collect()
    assert copy() is not None
    del array
    assert copy() is None


def test_projection_and_its_adjoint_are_those_of_torch():
    avatar, pose, view = posed_avatar()
    wanted, leaves = reference_projection(avatar, pose, view)
    own = pose.float().requires_grad_()
    found = avatar.project(own, view)
    weights = [torch.randn_like(part) for part in wanted]
    sum((a * b).sum() for a, b in zip(wanted, weights)).backward()
    sum((a * b.float()).sum() for a, b in zip(found, weights)).backward()
    for a, b in zip(found, wanted):
        assert float((a - b).detach().norm() / b.detach().norm()) < 1e-6
    for a, b in zip([*avatar.parameters(), own], leaves):
        assert float((a.grad - b.grad).norm() / b.grad.norm()) < 1e-5


def test_gaussians_cover_the_body_evenly():
    avatar = SplatAvatar.on_body(REST_POSE * UNIT_SCALE, SplatOptions(gaussians=2000))
    assert avatar.joint.shape == (2000, 4)
    np.testing.assert_allclose(avatar.weight.sum(1), 1, atol=1e-6)
    distance = torch.cdist(avatar.position, avatar.position).fill_diagonal_(torch.inf).min(1).values
    assert 0.2 < float(distance.mean() / avatar.spacing) < 1
