"""Surfaces and skins of a density: against a ball, and against the pose that a skin was made in."""

import numpy as np
import pytest
import torch
import trimesh

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.systems.anerf.kinematics import pose_bones
from contrapposto.systems.anerf.mesh import surface
from contrapposto.systems.anerf.skinning import skinned_body


def test_a_ball_has_its_size_and_its_outside():
    line = torch.linspace(-1.8, 1.8, 61)
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    density = 10 + 20 * (1.2 - (x.square() + y.square() + z.square()).sqrt())
    vertices, faces = surface(density, torch.tensor([0.5, 0.0, -1.0]), threshold=10.0)
    ball = trimesh.Trimesh(vertices, faces, process=False)
    assert ball.is_watertight
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.01)  # positive: normals point outwards
    np.testing.assert_allclose(ball.bounds, [[-0.7, -1.2, -2.2], [1.7, 1.2, 0.2]], atol=5e-3)


def test_a_skin_takes_the_pose_that_it_was_made_in():
    """The shipped body as the surface of an avatar, posed; then another pose against the body's own vertices."""
    body, scale = load_body("smpl"), 0.6
    rest = (body.rest_joints()[0] - body.rest_joints()[0, :1]).double() / scale
    generator = torch.Generator().manual_seed(0)
    turns = [
        rot.axis_angle_to_matrix(0.25 * torch.randn(1, 24, 3, generator=generator, dtype=torch.float64))
        for _ in range(2)
    ]
    root = torch.tensor([[0.3, -0.2, 1.0]], dtype=torch.float64)
    posed = pose_bones(turns[0], rest, root)
    shown = body(turns[0].float())
    vertices = (shown.vertices - shown.joints[:, :1])[0].numpy() / scale + root[0].numpy()
    faces = body.faces.numpy()
    skin = skinned_body(vertices, faces, posed.world_to_bone[0], rest.numpy(), scale)
    for turn in turns:
        found, wanted = skin(turn.float()), body(turn.float())
        torch.testing.assert_close(found.joints, wanted.joints, rtol=0, atol=1e-4)
        error = (found.vertices - wanted.vertices).norm(dim=-1)
        assert float(error.mean()) < 2e-3 and float(error.max()) < 0.05  # metres
