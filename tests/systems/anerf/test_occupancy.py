"""The grid of a pose's density, and rays that end in the dark: nothing visible is lost, work is saved."""

from dataclasses import replace

import pytest
import torch

from contrapposto.systems.anerf.capsules import Capsules, bone_segments, segment_distance
from contrapposto.systems.anerf.occupancy import OccupancyGrid, occupancy_grid
from contrapposto.systems.anerf.renderer import Renderer, calibrate
from contrapposto.systems.anerf.volume_rendering import composite, transmittance_before
from tests.systems.anerf.test_capsules import POSE
from tests.systems.anerf.test_renderer import BONES, VIEW, model

__all__ = ["model"]  # the fixture: opaque within 0.25 of the bones and nowhere else


def test_points_are_found_in_their_cells():
    cells = torch.zeros(3, 4, 5, dtype=torch.bool)
    cells[1, 2, 3] = cells[0, 0, 0] = True
    grid = OccupancyGrid(torch.tensor([1.0, -1.0, 0.0]), 0.5, cells)
    inside = torch.tensor([[1.51, 0.01, 1.51], [1.99, 0.49, 1.99], [1.2, -0.8, 0.3]])
    outside = torch.tensor([[1.49, 0.01, 1.51], [1.6, 0.6, 1.6], [0.99, -0.8, 0.3], [9.0, 0.2, 1.6]])
    assert grid.holds(inside).all() and not grid.holds(outside).any()


def test_the_grid_holds_what_is_dense(model):
    """Capsules of 0.5 in which only 0.25 is dense."""
    grid = occupancy_grid(model, BONES, Capsules(torch.full((23,), 0.5)))
    generator = torch.Generator().manual_seed(0)
    points = POSE.joints.repeat(200, 1) + 0.3 * torch.randn(4800, 3, generator=generator)
    near = segment_distance(points, bone_segments(BONES)).amin(-1)
    held = grid.holds(points)
    assert held[near < 0.25].all()
    # A cell's corner, or one of its neighbours', is dense: at most two diagonals of a cell away
    assert not held[near > 0.25 + 2 * 0.05 * 3**0.5].any()
    assert held.float().mean() < (near < 0.5).float().mean()


def test_light_is_what_the_weights_leave():
    raw, depths = torch.randn(7, 12, 4), torch.rand(7, 12).cumsum(1)
    directions = torch.randn(7, 3)
    for density in ("relu", "softplus"):
        found = transmittance_before(raw, depths, directions, density=density, density_scale=2.0)
        alpha = composite(raw, depths, directions, density=density, density_scale=2.0).alpha
        expected = torch.cat([torch.ones(7, 1), (1 - alpha)[:, :-1].cumprod(1)], dim=1)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("grid", [False, True])
def test_pictures_stay_and_work_goes(model, grid, monkeypatch):
    computed = []
    network = type(model.fine)
    whole = network.outputs
    monkeypatch.setattr(network, "outputs", lambda *a: computed.append(len(a[1])) or whole(*a))
    capsules = replace(calibrate(model, BONES[None], [VIEW], rays=700), radii=torch.full((23,), 0.5))
    pictures, samples = [], []
    for stop, pixels in ((1e-30, 10**9), (1e-3, 0 if grid else 10**9)):
        draw = Renderer(model, speed="pruned", capsules=replace(capsules, stop=stop), grid_pixels=pixels)
        computed.clear()
        pictures.append(draw(BONES, VIEW))
        samples.append(sum(computed))
    assert samples[1] < (0.7 if grid else 0.8) * samples[0]
    for name in ("colour", "opacity"):
        one, two = (getattr(picture, name) for picture in pictures)
        assert float((one - two).abs().max()) < 0.02
