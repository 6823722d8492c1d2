"""The space of the residual network's codes, and poses drawn from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.mesh import Template
from contrapposto.systems.npr import ResidualNPR
from contrapposto.systems.npr.pose_space import PoseSpace, ResidualGenerator, SpaceDiffusion
from contrapposto.systems.npr.residual import ResidualCode
from contrapposto.systems.npr.schedule import NoiseSchedule
from tests.mesh.shapes import bent, sphere

SMALL = {
    "extractor": {"points": [40, 20], "width": 16, "reduced": 16, "neighbours": 6, "first_neighbours": 6},
    "applier": {"width": 16, "hidden": 16, "blocks": 2},
    "blend_points": 120,
}


@pytest.fixture(scope="module")
def codes() -> tuple[Template, ResidualNPR, ResidualCode]:
    torch.manual_seed(0)
    mesh = sphere(2)
    template = Template(mesh.moved(mesh.vertices * [1.0, 2.0, 0.7]))
    network = ResidualNPR(**SMALL).eval()
    poses = np.stack([bent(template.mesh.vertices, amount) for amount in np.linspace(-1, 1, 24)])
    with torch.no_grad():
        code = network.encode(template.solver, template.normalized(poses).float())
    return template, network, code


def test_a_bend_has_few_components(codes: tuple[Template, ResidualNPR, ResidualCode]) -> None:
    """Poses of one parameter come back from six coordinates, on the surface, nearly as they were."""
    template, network, code = codes
    space = PoseSpace.of_network(network, 6)
    assert space.fit(code) > 0.97
    back = space.decode(space.encode(code), network)
    with torch.no_grad():
        one, two = (template.solve(network.decode(template.solver, each)) for each in (code, back))
    spread = float((one - one.mean(0)).norm(dim=-1).mean())
    assert float((one - two).norm(dim=-1).mean()) < 0.2 * spread
    assert torch.allclose(space.encode(code).mean(0), torch.zeros(6), atol=1e-4)


def test_unsuitable_codes_are_refused(codes: tuple[Template, ResidualNPR, ResidualCode]) -> None:
    _, network, code = codes
    with pytest.raises(ValueError, match="more than 40 components"):
        PoseSpace.of_network(network, 40).fit(code)
    moved = ResidualCode(
        code.keypoints + torch.linspace(0, 1, 24)[:, None, None],
        code.features,
        code.code,
        code.places,
        code.jacobians,
    )
    with pytest.raises(ValueError, match="one template"):
        PoseSpace.of_network(network, 4).fit(moved)
    with pytest.raises(ValueError, match="few faces"):
        PoseSpace(4, 20, 121, 16).fit(code)


def test_samples_lie_where_the_data_lie() -> None:
    """Of two clusters, far apart in the first of two coordinates: samples belong to them, and to both."""
    torch.manual_seed(0)
    side = torch.tensor([-1.0, 1.0]).repeat(64)
    clean = torch.stack([side * 3 + 0.1 * torch.randn(128), 5 + 0.5 * torch.randn(128)], dim=1)[:, None]
    diffusion = SpaceDiffusion(2, 64, 2, NoiseSchedule(100, 1e-3, 0.15), dropout=0.0)
    diffusion.fit_scaling(clean, per_channel=True)
    optimizer = torch.optim.Adam(diffusion.parameters(), 3e-3)
    for _ in range(400):
        loss = diffusion.loss(clean, torch.randn_like(clean), torch.randint(1, 101, (128,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    samples = diffusion.sample(3, torch.arange(100), 1)[:, 0]
    near = (samples[:, 0].abs() - 3).abs() < 0.8
    assert float(near.float().mean()) > 0.9
    assert 0.25 < float((samples[:, 0] > 0).float().mean()) < 0.75
    assert abs(float(samples[:, 1].mean()) - 5) < 0.3


def test_a_pose_depends_on_its_seed_and_number_alone(
    codes: tuple[Template, ResidualNPR, ResidualCode],
) -> None:
    _, network, code = codes
    space = PoseSpace.of_network(network, 5)
    space.fit(code)
    diffusion = SpaceDiffusion(5, 16, 1, NoiseSchedule(10, 1e-3, 0.3)).eval()
    generator = ResidualGenerator(network, space, diffusion)
    many, one = generator.generate(4, seed=7), generator.generate(1, seed=7, first=2)
    torch.testing.assert_close(many.jacobians[2:3], one.jacobians, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(many.jacobians[0], many.jacobians[1])
    assert not torch.allclose(generator.generate(1, seed=8, first=2).jacobians, one.jacobians)
