"""Transfer with untrained weights: what must hold whatever the network says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset, Template, read_mesh, subdivide
from contrapposto.mesh.blend import blend_jacobians, polar
from contrapposto.systems.npr import NeuralJacobianFields, PoseRefiner, PoseTransfer
from contrapposto.systems.npr.transfer import best_rotations
from tests.mesh.shapes import bent, grid, rotation, sphere, together
from tests.systems.npr.test_model import small


@pytest.fixture(scope="module")
def source():
    mesh = sphere(2)  # uneven, so that no two points are equally far
    uneven = mesh.vertices + np.random.default_rng(1).normal(0, 0.02, mesh.vertices.shape)
    return mesh.moved(uneven * [30.0, 10, 10] + 5)


def target():
    """Two parts, a texture-less mesh with a loose vertex and a flat face."""
    mesh = together(subdivide(grid(6)), sphere(1, centre=(0.5, 0.5, 0.8), radius=0.3))
    faces = np.concatenate([mesh.faces, [[0, 0, 1]]])
    return MeshAsset(np.concatenate([mesh.vertices, [[0.0, 0, 1]]]) * 7 - 3, faces)


def sequence(mesh, count=5):
    middle = mesh.vertices.mean(0)
    return np.stack([bent((mesh.vertices - middle) / 30, a) * 30 + middle for a in np.linspace(0, 1, count)])


@pytest.mark.parametrize("output", ["jacobians", "vertices"])
@pytest.mark.parametrize("place", ["template", "carry"])
def test_rest_pose_gives_the_mesh_back(source, output, place):
    transfer = PoseTransfer(small(output=output), source, rest_correction=True, place=place)
    mesh = target()
    posed = transfer.transfer(source.vertices[None], mesh)
    assert posed.shape == (1, *mesh.vertices.shape)
    assert np.abs(posed[0] - mesh.vertices).max() < 1e-5 * np.ptp(mesh.vertices)


def test_output_has_the_target_s_order_and_is_finite(source):
    mesh = target()
    posed = PoseTransfer(small(), source).transfer(sequence(source), mesh)
    assert posed.shape == (5, *mesh.vertices.shape) and np.isfinite(posed).all()
    assert np.abs(posed[0] - posed[-1]).max() > 1e-3
    clean = Template(mesh).clean
    assert np.allclose(posed.mean(axis=(0,))[clean.source].mean(0), clean.vertices.mean(0))
    origin = PoseTransfer(small(), source, place="origin").transfer(sequence(source), mesh)
    assert np.abs(origin[:, clean.source].mean(axis=1)).max() < 1e-9


def test_a_turned_source_gives_the_turned_result(source):
    transfer = PoseTransfer(small().double(), source, canonical_rotation=True, place="carry")
    mesh, poses = target(), sequence(source)
    plain = transfer.transfer(poses, mesh)
    turn, shift = rotation(7), np.array([1.0, -4, 2])
    means = poses.mean(axis=1, keepdims=True)
    moved = transfer.transfer((poses - means) @ turn.T + means + shift, mesh)
    clean = Template(mesh)
    centre = plain[:, clean.clean.source].mean(axis=1, keepdims=True)
    scale = clean.side / transfer.source.side
    expected = (plain - centre) @ turn.T + centre + shift * scale
    assert np.abs(moved - expected).max() < 1e-6 * np.ptp(mesh.vertices)


def test_batches_and_sequences_do_not_matter(source):
    poses, mesh = sequence(source), Template(target())
    whole = PoseTransfer(small(), source, batch_size=5).transfer(poses, mesh)
    pairs = PoseTransfer(small(), source, batch_size=2)
    assert np.allclose(pairs.transfer(poses, mesh), whole, atol=1e-4)
    codes = pairs.encode(poses)
    assert np.allclose(pairs.transfer(codes, mesh), whole, atol=1e-4)
    smooth = pairs.transfer(codes, mesh, smooth=1.5)
    steps = [np.abs(np.diff(v, n=2, axis=0)).mean() for v in (smooth, whole)]
    assert steps[0] < steps[1]
    assert np.allclose(pairs.transfer(codes, mesh, smooth=1e-3), whole, atol=1e-4)


def test_parts_stay_together(source):
    """Two spheres side by side, and the same as one mesh: where they touch they still do."""
    mesh = together(sphere(3), sphere(2, centre=(1.25, 0, 0), radius=0.25))
    template = Template(mesh)
    posed = PoseTransfer(small(), source).transfer(sequence(source), template)
    gap = [np.linalg.norm(v[:642, None] - v[None, 642:], axis=-1).min() for v in posed]
    size = np.ptp(posed, axis=1).max()
    assert max(gap) < 0.1 * size


@pytest.mark.parametrize("by", ["jacobians", "codes"])
def test_interpolation_ends_at_its_ends(source, by):
    transfer = PoseTransfer(small(), source, place="carry", canonical_rotation=True)
    poses, mesh = sequence(source)[[0, 4]], target()
    ends = transfer.transfer(poses, mesh)
    blended = transfer.interpolate(poses, mesh, [0.0, 0.5, 1.0], by=by)
    assert np.allclose(blended[[0, 2]], ends, atol=2e-4 * np.ptp(mesh.vertices))
    reach = np.abs(ends[1] - ends[0]).max()
    assert np.abs(blended[1] - ends[0]).max() < 1.5 * reach


def test_jacobians_blend_along_arcs():
    turns = torch.from_numpy(np.stack([np.eye(3), rotation(0)]))
    first, second = turns[0] * 2.0, turns[1] * 4.0
    assert torch.allclose(blend_jacobians(first, second, 1.0), second)
    half = blend_jacobians(first, second, 0.5)
    assert torch.allclose(half.T @ half, 9 * torch.eye(3, dtype=torch.float64))
    once = half / 3
    assert torch.allclose(once @ once, turns[1], atol=1e-9)
    field = torch.randn(50, 3, 3, dtype=torch.float64)
    field = field * torch.det(field).sign()[:, None, None]
    found, stretch = polar(field)
    assert torch.allclose(found @ stretch, field) and torch.allclose(stretch, stretch.transpose(1, 2))
    assert torch.allclose(torch.det(found), torch.ones(50, dtype=torch.float64))
    assert (torch.linalg.eigvalsh(stretch) > 0).all()


def test_best_rotations():
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 3)))
    turns = torch.from_numpy(np.stack([rotation(i) for i in range(4)]))
    assert torch.allclose(best_rotations(points, points @ turns.transpose(1, 2) + 1), turns)


def test_refiner_is_the_identity_before_training_and_is_used(source):
    poses, mesh = sequence(source, 2), Template(target())
    model = small()
    plain = PoseTransfer(model, source).transfer(poses, mesh)
    refiner = PoseRefiner(24, 16, 2, 1)
    assert np.allclose(PoseTransfer(model, source, refiner=refiner).transfer(poses, mesh), plain, atol=1e-5)
    refiner.out.bias.data += 1
    assert not np.allclose(
        PoseTransfer(model, source, refiner=refiner).transfer(poses, mesh), plain, atol=1e-2
    )


def test_the_baseline_transfers_too(source):
    torch.manual_seed(0)
    transfer = PoseTransfer(NeuralJacobianFields(16, 24, 3), source, rest_correction=True)
    mesh = target()
    assert np.abs(transfer.transfer(source.vertices[None], mesh)[0] - mesh.vertices).max() < 1e-4


def test_refusals(source):
    with pytest.raises(InputError, match="too few faces"):
        PoseTransfer(small(), grid(3))
    with pytest.raises(ValueError, match="place"):
        PoseTransfer(small(), source, place="left")
    transfer = PoseTransfer(small(), source)
    with pytest.raises(InputError, match="frames"):
        transfer.transfer(source.vertices, grid())
    with pytest.raises(InputError, match="belong"):
        transfer.transfer(np.zeros((1, 9, 3)), grid())


def test_a_real_clip_on_a_real_mesh(shared_data):
    """The fox's walk on the knight; a figure of 36 parts with textures."""
    from contrapposto.mesh import RiggedMesh

    fox = RiggedMesh(shared_data / "meshes/mesh2motion/fox-animations.glb")
    knight = Template(read_mesh(shared_data / "meshes/kaykit/Knight.glb"))
    transfer = PoseTransfer(small(), fox.mesh, rest_correction=True)
    posed = transfer.transfer(fox.frames("Walk", 4), knight)
    assert posed.shape[1:] == knight.mesh.vertices.shape and np.isfinite(posed).all()
    assert np.abs(transfer.transfer(fox.mesh.vertices[None], knight)[0] - knight.mesh.vertices).max() < 1e-4
