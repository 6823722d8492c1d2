"""The residual network, and the losses and corrections of the paper's network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.mesh import Template
from contrapposto.mesh.operators import face_centroids
from contrapposto.mesh.remesh import subdivide
from contrapposto.systems.npr import NPR, PoseTransfer, ResidualNPR, tangent_loss
from contrapposto.systems.npr.pretrained import load_network
from contrapposto.systems.npr.residual import Spread, surface_jacobians
from tests.mesh.shapes import bent, sphere

SMALL = {
    "extractor": {"points": [40, 20], "width": 16, "reduced": 16, "neighbours": 6, "first_neighbours": 6},
    "applier": {"width": 16, "hidden": 16, "blocks": 2},
}
TURN = torch.from_numpy(Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix())


@pytest.fixture(scope="module")
def ball() -> Template:
    mesh = sphere(3)
    return Template(mesh.moved(mesh.vertices * [1.0, 2.0, 0.7]))


def poses(template: Template) -> np.ndarray:
    return np.stack([bent(template.mesh.vertices, amount) for amount in (0.2, 0.6, -0.5)])


def test_an_untrained_network_transfers_already(ball: Template) -> None:
    """Another tessellation of the same shape in the same poses; the template left as it is, is 50 times worse."""
    torch.manual_seed(0)
    fine = sphere(4)
    target = Template(fine.moved(fine.vertices * [1.0, 2.0, 0.7]))
    transfer = PoseTransfer(ResidualNPR(**SMALL, blend_points=400), ball)
    found = transfer.transfer(poses(ball), target)
    truth = np.stack([bent(target.mesh.vertices, amount) for amount in (0.2, 0.6, -0.5)])
    rest = np.broadcast_to(target.mesh.vertices, truth.shape)

    def error(frames: np.ndarray) -> float:
        centred = [part - part.mean(1, keepdims=True) for part in (frames, truth)]
        return float(np.square(centred[0] - centred[1]).mean())

    assert error(found) < 0.02 * error(rest)


def test_poses_do_not_depend_on_their_batch(ball: Template) -> None:
    torch.manual_seed(0)
    network = ResidualNPR(**SMALL)
    torch.nn.init.normal_(network.decoder.fc_out.weight, std=0.1)
    together = PoseTransfer(network, ball, batch_size=3).transfer(poses(ball), ball)
    alone = PoseTransfer(network, ball, batch_size=1).transfer(poses(ball), ball)
    assert np.abs(together - alone).max() < 1e-5


def test_autocast_does_not_break_the_norms(ball: Template) -> None:
    network = ResidualNPR(**SMALL).train()
    vertices = ball.normalized(poses(ball)).float()
    with torch.autocast("cpu", torch.bfloat16):
        decoded = network.decode(ball.solver, network.encode(ball.solver, vertices))
    decoded.float().square().mean().backward()
    assert torch.isfinite(decoded).all()


def test_a_rotation_has_no_tangent_loss(ball: Template) -> None:
    """The truth of a rotated surface is the rotation: its part along the normals must not be pulled to zero."""
    turned = ball.solver.vertices[None] @ TURN.T
    said = TURN.expand(1, ball.num_faces, 3, 3).flatten(-2)
    assert float(tangent_loss(ball.solver, said, turned)) < 1e-20
    assert float(tangent_loss(ball.solver, torch.zeros_like(said), turned)) > 0.1


def test_rest_correction_multiplies_by_the_inverse(ball: Template) -> None:
    """A network that adds the same rotation to everything, the rest pose too, is put right."""
    transfer = PoseTransfer(NPR(**SMALL), ball, rest_correction=True)
    wrong = torch.from_numpy(Rotation.from_rotvec([0.0, 0.0, 0.4]).as_matrix())
    pose = surface_jacobians(ball.solver, ball.normalized(poses(ball)))
    decoded = (pose @ wrong).flatten(-2)
    rest = wrong.expand(1, ball.num_faces, 3, 3).flatten(-2)
    fields = [value.unflatten(-1, (3, 3)) for value in (decoded, rest)]
    transfer.model = ResidualNPR(**SMALL)  # full-rank fields are taken as they are
    corrected = transfer._corrected(*(field.flatten(-2) for field in fields), None, ball)
    torch.testing.assert_close(corrected, pose, atol=1e-9, rtol=0)


def test_turns_take_off_the_difference_of_rest_poses(ball: Template) -> None:
    """A target that rests rotated, with the rotation back to the source's rest pose, gives the source's poses."""
    torch.manual_seed(0)
    resting = Template(ball.mesh.moved(ball.mesh.vertices @ TURN.numpy()))  # TURN brings it back
    transfer = PoseTransfer(ResidualNPR(**SMALL, blend_points=2000, gathered_faces=1, blended=1), ball)
    codes = transfer.encode(poses(ball))
    transfer.places = lambda template: None if template is ball else ball_places(ball)  # type: ignore[method-assign]
    found = transfer.apply(codes.codes, resting, TURN.expand(resting.num_faces, 3, 3)) * resting.side
    truth = ball.normalized(poses(ball)) * ball.side
    torch.testing.assert_close(found, truth - truth.mean(1, keepdim=True), atol=1e-5, rtol=0)


def ball_places(ball: Template) -> torch.Tensor:
    return ball.solver.vertices[ball.solver.faces].mean(1)


def test_a_spread_keeps_what_it_has_and_puts_the_rest_between(ball: Template) -> None:
    points = face_centroids(ball.solver.vertices, ball.solver.faces).float()
    spread = Spread.over(points, 300)
    assert len(spread.chosen) == 300 and spread.near.shape == (len(points), 4)
    far = torch.cdist(points, points[spread.chosen]).amin(1).max()
    assert far < 0.1  # no part of the surface is left out
    values = torch.stack([points, 2 * points + 1])
    found = spread(values[:, spread.chosen])
    torch.testing.assert_close(found[:, spread.chosen], values[:, spread.chosen], atol=1e-4, rtol=0)
    assert (found[0] - points).norm(dim=-1).max() < far  # between the known ones
    torch.testing.assert_close(found[1], 2 * found[0] + 1)


def test_faces_between_the_decoded_ones_are_interpolated() -> None:
    """The shipped network on a child's body, against all of its faces by the network."""
    transfer = PoseTransfer.from_pretrained("npr_residual", decoded_faces=1000)
    everything = PoseTransfer.from_pretrained("npr_residual", decoded_faces=None)
    source = transfer.source.mesh
    frames = np.stack([bent(source.vertices, amount) for amount in (0.3, -0.4)])
    child = load_network("npr_residual").templates["child"]
    fine = Template(subdivide(child))
    assert fine.num_faces > 3000
    some, all_of_them = transfer.transfer(frames, fine), everything.transfer(frames, fine)
    away = np.sqrt(np.square(some - all_of_them).sum(-1).mean()) / fine.side
    assert 1e-7 < away < 2e-4
