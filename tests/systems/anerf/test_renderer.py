"""Whole pictures: only the figure's box, exact and pruned alike, depth where the figure is."""

from dataclasses import replace

import pytest
import torch

from contrapposto.errors import ConfigError
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.capsules import bone_segments, segment_distance
from contrapposto.systems.anerf.model import ANeRF, ANeRFConfig
from contrapposto.systems.anerf.renderer import Renderer, View, _radii, calibrate
from tests.systems.anerf.test_capsules import POSE

CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
CAMERA[2, 3] = -6.0
VIEW = View(CAMERA, torch.tensor([60.0, 60.0]), 48, 40)
BONES = POSE.world_to_bone


@pytest.fixture(scope="module")
def model():
    """Opaque within 0.25 of the bones and nowhere else, coloured by a random network."""
    torch.manual_seed(0)
    options = {"depth": 3, "width": 32, "density": "softplus", "single_network": True, "capsule_radius": 0.25}
    made = ANeRF(ANeRFConfig(**options, coarse_samples=48, fine_samples=24, num_codes=2)).eval()
    with torch.no_grad():
        made.fine.alpha_linear.bias.fill_(30.0)
    return made


def test_the_figure_is_where_its_bones_are(model):
    picture = Renderer(model)(BONES, VIEW, code_index=1)
    assert picture.colour.shape == (48, 40, 3)
    row, column = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    outside = (column < picture.low[0]) | (column >= picture.high[0])
    outside |= (row < picture.low[1]) | (row >= picture.high[1])
    assert float(picture.opacity[outside].abs().max()) == 0
    middle = torch.tensor([20.0, 24.0])
    joints = project(POSE.joints, CAMERA, VIEW.focal, middle).round().long()
    seen = picture.opacity[joints[:, 1], joints[:, 0]]
    assert float(seen.min()) > 0.95
    depth = picture.depth[joints[:, 1], joints[:, 0]]
    assert bool((depth <= POSE.joints[:, 2] + 6).all())  # the surface, or a limb before it
    assert bool(torch.isinf(picture.depth[picture.opacity < 0.05]).all())
    white = picture.over(torch.ones(3))
    assert float(white[outside].min()) == 1


@pytest.mark.parametrize("shift", [4.5, 60.0], ids=["near", "far"])
@pytest.mark.parametrize("stop", [0.0, 1e-3])
def test_a_figure_may_leave_the_picture(model, shift, stop):
    camera = CAMERA.clone()
    camera[0, 3] = shift
    capsules = replace(calibrate(model, BONES[None], [VIEW], rays=200), stop=stop)
    plain = ANeRF(
        ANeRFConfig(depth=3, width=32, single_network=True, coarse_samples=8, fine_samples=4)
    ).eval()
    for renderer in (Renderer(model), Renderer(model, speed="pruned", capsules=capsules), Renderer(plain)):
        picture = renderer(BONES, replace(VIEW, camera_to_world=camera))
        assert picture.colour.shape == (48, 40, 3) and bool(torch.isfinite(picture.colour).all())
        assert float(picture.opacity.max()) == 0 and bool(torch.isinf(picture.depth).all())


def test_pruning_is_calibrated(model):
    capsules = calibrate(model, BONES[None], [VIEW], rays=700)
    assert float(capsules.radii.min()) >= 0.05
    assert float(capsules.radii.max()) < 1.05 * 0.25 + 0.03
    exact = Renderer(model)(BONES, VIEW)
    pruned = Renderer(model, speed="pruned", capsules=capsules)(BONES, VIEW)
    assert float((exact.colour - pruned.colour).square().mean()) < 1e-5
    assert float((exact.opacity - pruned.opacity).square().mean()) < 1e-5


def test_radii_hold_their_share_of_the_weight():
    distance = torch.cat([torch.linspace(0, 0.3, 1000), torch.tensor([0.7, 2.0])])
    weight = torch.cat([torch.ones(1000), torch.tensor([0.1, 500.0])])  # a wisp, and something far away
    radii = _radii(distance, weight, torch.full((1002,), 4), lost=5e-4, limit=0.8)
    assert float(radii[4]) == pytest.approx(1.05 * 0.3 + 0.02, abs=1e-3)
    assert float(radii[5]) == pytest.approx(0.05)


def test_a_view_is_scaled_with_its_camera(model):
    small, large = Renderer(model)(BONES, VIEW), Renderer(model)(BONES, VIEW.scaled(2))
    assert large.opacity.shape == (96, 80)
    pooled = torch.nn.functional.avg_pool2d(large.opacity[None, None], 2)[0, 0]
    assert float((pooled - small.opacity).abs().mean()) < 0.03


def test_nothing_is_outside_of_the_capsules(model):
    points = POSE.joints.repeat(20, 1) + 0.3 * torch.randn(480, 3, generator=torch.Generator().manual_seed(0))
    near = segment_distance(points, bone_segments(BONES)).amin(-1) < 0.25
    found = model.density(points, BONES)
    assert bool((found[near] > 10).all()) and bool((found[~near] < -100).all())


def test_a_speed_needs_its_capsules(model):
    for options in ({"speed": "pruned"}, {"speed": "fast"}):
        with pytest.raises(ConfigError, match="cannot be used"):
            Renderer(model, **options)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_bfloat16_stays_within_its_tolerance(model, device):
    """What trainer.precision=bf16-mixed does to a picture: 35 dB from that of float32, or nearer."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("bfloat16 on a GPU: there is no CUDA device here")
    view = View(CAMERA.to(device), VIEW.focal.to(device), 48, 40)
    draw = Renderer(model.to(device))
    exact = draw(BONES.to(device), view).colour
    with torch.autocast(device, dtype=torch.bfloat16):
        rounded = draw(BONES.to(device), view).colour
    model.to("cpu")
    assert -10 * torch.log10((exact - rounded).square().mean()) > 35
