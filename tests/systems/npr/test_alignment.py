"""Where parts of a target lie on the source, against bodies of other proportions whose vertices correspond."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from contrapposto.body import load_body
from contrapposto.body.proportions import proportioned
from contrapposto.mesh import MeshAsset, Template
from contrapposto.mesh.operators import face_centroids
from contrapposto.systems.npr import NPR, PoseTransfer
from contrapposto.systems.npr.alignment import aligned_centroids, figure_landmarks
from tests.mesh.shapes import sphere as ball


def _figure(**sizes: float) -> Template:
    body = proportioned(load_body(), sizes)
    vertices = body.rest_vertices(torch.zeros(1, 1))[0].double().numpy()
    return Template(MeshAsset(vertices, body.faces.numpy()))


@pytest.fixture(scope="module")
def person() -> Template:
    return _figure()


@pytest.fixture(scope="module")
def figurine() -> Template:
    return _figure(head=2.4, arms=0.7, legs=0.5, girth=1.6)


def _centroids(template: Template) -> torch.Tensor:
    return face_centroids(template.solver.vertices, template.solver.faces)


def test_landmarks_of_a_person_are_where_its_joints_are(person: Template) -> None:
    """Crotch between hips and knees, shoulders' height at the arms, hands at the ends of the arms."""
    found = figure_landmarks(person.solver.vertices.numpy(), person.clean.faces)
    assert found is not None
    joints = (load_body().rest_joints()[0].double().numpy() - person.centre) / person.side
    names = load_body().skeleton.joint_names
    right_tip, right_root, left_tip, left_root = found.points[:4]
    assert abs(left_tip[0] - 0.5) < 0.02 and abs(right_tip[0] + 0.5) < 0.02
    for root, name in ((right_root, "right_shoulder"), (left_root, "left_shoulder")):
        assert np.abs(root - joints[names.index(name), :2]).max() < 0.06
    assert joints[names.index("left_knee"), 1] < found.points[12, 1] < joints[names.index("left_hip"), 1]


def test_parts_of_a_figurine_come_to_lie_on_the_person(person: Template, figurine: Template) -> None:
    """Equal triangles: the true place of every face is known."""
    truth, own = _centroids(person), _centroids(figurine)
    aligned = aligned_centroids(person, figurine)
    assert aligned is not None
    before, after = ((points - truth).norm(dim=1).mean() for points in (own, aligned))
    assert after < 0.35 * before
    same = aligned_centroids(person, person)
    assert same is not None and (same - truth).abs().max() < 1e-6


def test_what_is_no_figure_is_asked_by_its_own_places(person: Template) -> None:
    """A sphere has no arms; a network is then asked as without alignment."""
    sphere = Template(ball())
    assert (
        figure_landmarks(ball().vertices, ball().faces) is None and aligned_centroids(person, sphere) is None
    )
    transfer = PoseTransfer(
        NPR(extractor={"points": [40, 10], "width": 16, "reduced": 8}), person, align=True
    )
    assert transfer.places(sphere) is None and transfer.places(person) is None


def test_rigid_takes_back_the_shrinking_of_a_field(person: Template) -> None:
    """A network that says half a rotation gives the rotated figure at half its size; rigid, at its full size."""
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
    field = (0.5 * turn).expand(1, person.num_faces, 3, 3)
    rest = person.solver.vertices - person.solver.vertices.mean(0)
    transfer = PoseTransfer(NPR(extractor={"points": [40, 10], "width": 16, "reduced": 8}), person, rigid=1.0)
    found = transfer._vertices(field, person)[0]
    torch.testing.assert_close(found, rest @ turn.T, atol=1e-6, rtol=0)
    transfer.rigid = 0.5
    half = transfer._vertices(field, person)[0]
    torch.testing.assert_close(half, 0.75 * rest @ turn.T, atol=1e-6, rtol=0)


def test_the_brim_of_a_hat_is_no_pair_of_arms() -> None:
    """A person with hanging arms under a brim that reaches further out than they do."""
    turn = np.linspace(0, 2 * np.pi, 49)[:-1]
    ring = np.stack([np.cos(turn), np.zeros(48), np.sin(turn)], axis=1)
    brim = np.concatenate([0.45 * ring + [0, 0.95, 0], [[0, 1.0, 0]]])
    fan = np.stack([np.arange(48), np.roll(np.arange(48), -1), np.full(48, 48)], axis=1)
    parts = [(brim, fan)]
    for centre, size in (((0, 0.7, 0), (0.14, 0.3, 0.12)), ((0, 1.1, 0), (0.15, 0.2, 0.15))):
        sphere = ball()
        parts.append((sphere.vertices / np.abs(sphere.vertices).max() * size + centre, sphere.faces))
    for side in (-1, 1):
        sphere = ball()
        leg = sphere.vertices / np.abs(sphere.vertices).max() * [0.06, 0.25, 0.07] + [side * 0.08, 0.25, 0]
        parts.append((leg, sphere.faces))
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts)])
    assert figure_landmarks(vertices, faces) is None


@pytest.mark.parametrize("cape", [False, True])
def test_the_crotch_of_short_legs_that_almost_touch_is_found(cape: bool) -> None:
    """A figure of boxes: the legs are 0.2 high, with a gap of a fortieth between them."""
    sizes = [
        ((-0.15, 0.2, -0.1), (0.15, 0.75, 0.1)),  # trunk
        ((-0.08, 0.75, -0.08), (0.08, 1.0, 0.08)),  # head
        *(((side - 0.065, 0, -0.07), (side + 0.065, 0.2, 0.1)) for side in (-0.0775, 0.0775)),
        *(((side - 0.18, 0.64, -0.04), (side + 0.18, 0.72, 0.04)) for side in (-0.33, 0.33)),
    ]
    if cape:
        sizes.append(((-0.2, 0.05, -0.16), (0.2, 0.7, -0.15)))
    parts = [trimesh.creation.box(bounds=bounds) for bounds in sizes]
    figure = trimesh.util.concatenate(parts)
    found = figure_landmarks(np.asarray(figure.vertices), np.asarray(figure.faces))
    assert found is not None
    assert abs(found.points[12, 1] - 0.2) < 0.015
