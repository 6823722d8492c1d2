"""Cameras that are refined: rays against those of the moved camera, and a wrong camera that finds its way back."""

import pytest
import torch

from contrapposto import rotations as rot
from contrapposto.systems.anerf import kinematics
from contrapposto.systems.anerf.camera_layer import CameraLayer
from contrapposto.systems.anerf.cameras import orbit, pixel_rays, project
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from tests.systems.anerf.test_capsules import POSE

SIDE = 48
CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
CAMERA[2, 3] = -6.0
CAMERAS = orbit(CAMERA[None], 3)[:, 0].float()
FOCALS = torch.tensor([[60.0, 62.0]]).repeat(3, 1)


def moved(layer, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part, size in ((layer.turn, 0.02), (layer.shift, 0.05), (layer.zoom, 0.05)):
            part.copy_(size * torch.randn(part.shape, generator=generator))
    return layer


def test_rays_are_those_of_the_moved_camera():
    layer = moved(CameraLayer(CAMERAS, FOCALS))
    matrices, focals = layer.cameras()
    turned = rot.axis_angle_to_matrix(layer.turn.detach())
    torch.testing.assert_close(matrices[:, :3, :3], CAMERAS[:, :3, :3] @ turned)
    pixels, index = torch.arange(0, SIDE**2, 37), torch.arange(len(range(0, SIDE**2, 37))) % 3
    _, given = pixel_rays(pixels, SIDE, SIDE, FOCALS[index], CAMERAS[index])
    expected = pixel_rays(pixels, SIDE, SIDE, focals[index], matrices[index])
    for found, wanted in zip(layer.rays(index, given), expected):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def avatar():
    """A cloud around the bones whose colours change from place to place."""
    torch.manual_seed(0)
    options = {"depth": 3, "width": 32, "density": "softplus", "single_network": True, "capsule_radius": 0.4}
    model = ANeRF(ANeRFConfig(**options, coarse_samples=24, fine_samples=8, distance_frequencies=2))
    with torch.no_grad():
        model.fine.alpha_linear.bias.fill_(4.0)
        model.fine.rgb_linear.weight.mul_(30)
        for layer in model.fine.pts_linears:
            layer.weight.mul_(2)
    return model.eval().requires_grad_(False)


def test_a_wrong_camera_finds_most_of_its_way_back(avatar):
    truth = moved(CameraLayer(CAMERAS, FOCALS))
    layer = CameraLayer(CAMERAS, FOCALS)
    cylinder = kinematics.rendering_cylinder(POSE.joints)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=2e-3)

    def shown(origins, directions):
        count = len(origins)
        index = torch.zeros(count, dtype=torch.int64)
        bones = POSE.world_to_bone[None]
        return avatar(origins, directions, bones, cylinder.expand(count, 5), pose_index=index).fine

    def miss():
        """Pixels by which joints are seen elsewhere than they should be."""
        places = []
        for cameras in (truth, layer):
            matrices, focals = (part.detach() for part in cameras.cameras())
            pairs = zip(matrices, focals)
            places.append(
                torch.stack([project(POSE.joints, c, f, torch.full((2,), SIDE / 2)) for c, f in pairs])
            )
        return float((places[0] - places[1]).norm(dim=-1).mean())

    before = miss()
    for _ in range(60):
        index = torch.randint(0, 3, (192,), generator=generator)
        pixels = torch.randint(0, SIDE**2, (192,), generator=generator)
        _, given = pixel_rays(pixels, SIDE, SIDE, FOCALS[index], CAMERAS[index])
        with torch.no_grad():
            target = shown(*truth.rays(index, given)).over(torch.ones(3))
        found = shown(*layer.rays(index, given)).over(torch.ones(3))
        optimizer.zero_grad()
        (found - target).square().mean().backward()
        assert all(bool(part.grad.isfinite().all()) for part in layer.parameters())
        optimizer.step()
    assert before > 1
    assert miss() < 0.5 * before
