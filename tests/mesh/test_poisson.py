"""The Poisson layer against dense least squares and finite differences, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.errors import ConfigError, InputError
from contrapposto.mesh import operators
from contrapposto.mesh.parts import PartPlacement
from contrapposto.mesh.poisson import PoissonSolver
from tests.mesh.shapes import bent, grid, rotation, sphere, together


@pytest.fixture(params=["cholespy", "scipy"])
def backend(request):
    return request.param


def test_any_field_is_solved_as_by_dense_least_squares(backend):
    mesh = grid()
    solver = PoissonSolver(mesh.vertices, mesh.faces, backend=backend)
    field = torch.randn(
        3, len(mesh.faces), 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    root = np.sqrt(np.repeat(operators.doubled_areas(mesh.vertices, mesh.faces), 3))
    matrix = operators.gradient_matrix(mesh.vertices, mesh.faces).toarray() * root[:, None]
    solved = solver.solve(field)
    for pose, inputs in zip(solved.numpy(), field.numpy()):
        wanted = inputs.transpose(0, 2, 1).reshape(-1, 3) * root[:, None]
        expected = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
        assert np.abs((pose - pose.mean(0)) - (expected - expected.mean(0))).max() < 1e-9
    flat = solver.solve(field.flatten(-2), pins=torch.ones(3))
    assert torch.allclose(flat, solved + 1)


def test_poses_come_back_from_their_jacobians(backend):
    mesh = sphere()
    solver = PoissonSolver(mesh.vertices, mesh.faces, backend=backend)
    poses = np.stack(
        [bent(mesh.vertices, amount) for amount in np.linspace(0, 1.5, 21)] + [mesh.vertices @ rotation().T]
    )
    posed = torch.from_numpy(poses)  # more than are solved at once
    back = solver.solve(solver.jacobians(posed), solver.pinned(posed))
    assert (back - posed).abs().max() < 1e-10
    assert solver.solve(solver.jacobians(posed.float())).dtype == torch.float32


def test_gradient_by_finite_differences(backend):
    mesh = grid(4)
    solver = PoissonSolver(mesh.vertices, mesh.faces, backend=backend)
    field = torch.randn(2, len(mesh.faces), 3, 3, dtype=torch.float64, requires_grad=True)
    pins = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, p: solver.solve(f, p), (field, pins))
    vertices = torch.randn(2, len(mesh.vertices), 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(solver.laplacian_product, (vertices,))
    dense = torch.from_numpy(operators.laplacian(mesh.vertices, mesh.faces).toarray())
    assert torch.allclose(solver.laplacian_product(vertices), dense @ vertices)


def test_normal_part_of_the_field_has_no_influence():
    mesh = sphere(1)
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    normals = operators.face_normals(solver.vertices, solver.faces)
    noise = torch.randn(len(mesh.faces), 3, 1, dtype=torch.float64) * normals[:, None]
    field = solver.jacobians(solver.vertices)
    assert torch.allclose(solver.solve(field + noise), solver.solve(field), atol=1e-12)


def test_each_component_has_a_pin():
    mesh = together(sphere(1), sphere(1, centre=(4, 0, 0)), grid())
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    assert solver.num_components == 3 and solver.pins.tolist() == [0, 42, 84]
    posed = torch.from_numpy(mesh.vertices @ rotation().T)
    field = solver.jacobians(posed)
    assert (solver.solve(field, solver.pinned(posed)) - posed).abs().max() < 1e-10
    gradient = torch.autograd.functional.jacobian(lambda f: solver.solve(f)[0], field)
    assert not gradient.any()  # a pinned vertex does not depend on the field


def figure():
    """A body, an arm that touches it, a hand that touches the arm, a crown that floats above."""
    return together(
        sphere(3),
        sphere(2, centre=(1.5, 0, 0), radius=0.5),
        sphere(2, centre=(2.2, 0, 0), radius=0.2),
        sphere(1, centre=(0, 0, 1.4), radius=0.1),
    )


def test_parts_follow_the_body():
    mesh = figure()
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    parts = PartPlacement(solver)
    assert parts.parents.tolist() == [-1, 0, 1, 0] and sorted(parts.order.tolist()) == [0, 1, 2, 3]
    matrix = rotation(5) * 1.7
    whole = torch.from_numpy(np.stack([mesh.vertices, mesh.vertices @ matrix.T + 3]))
    placed = parts.place(solver.solve(solver.jacobians(whole)))
    assert (
        (placed - placed.mean(1, keepdim=True)) - (whole - whole.mean(1, keepdim=True))
    ).abs().max() < 1e-9


def test_parts_that_turn_alone_stay_where_they_touch():
    mesh = figure()
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    parts = PartPlacement(solver)
    posed = mesh.vertices.copy()
    arm = solver.component.numpy() > 0
    arm[solver.component.numpy() == 3] = False
    shoulder = np.array([1.0, 0, 0])
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    posed[arm] = (posed[arm] - shoulder) @ turn.T + shoulder
    truth = torch.from_numpy(posed)[None]
    placed = parts.place(solver.solve(solver.jacobians(truth)))
    placed = placed - placed[:, :1] + truth[:, :1]
    assert (placed - truth).norm(dim=-1).max() < 0.12  # the arm is 1.4 long, and moved by up to 2
    assert (truth - solver.vertices).norm(dim=-1).max() > 1.5


def test_a_thousand_parts():
    generator = np.random.default_rng(0)
    mesh = together(*(sphere(0, centre=c, radius=0.1) for c in generator.uniform(-20, 20, (1000, 3))))
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    parts = PartPlacement(solver)
    whole = torch.from_numpy(mesh.vertices @ rotation(2).T)[None]
    placed = parts.place(solver.solve(solver.jacobians(whole)))
    assert (placed - placed[:, :1] - whole + whole[:, :1]).abs().max() < 1e-6


def test_refusals():
    mesh = sphere(0)
    with pytest.raises(ConfigError, match="backend"):
        PoissonSolver(mesh.vertices, mesh.faces, backend="magic")
    lonely = np.concatenate([mesh.vertices, [[5.0, 5, 5]]])
    with pytest.raises(InputError, match="cannot be solved"):
        PoissonSolver(lonely, mesh.faces)
    with pytest.raises(InputError, match="finite"):
        PoissonSolver(np.full_like(mesh.vertices, np.nan), mesh.faces)
    with pytest.raises(ValueError, match="20 faces"):
        PoissonSolver(mesh.vertices, mesh.faces).solve(torch.zeros(1, 7, 3, 3))
