"""NPR's geometry on the device: the choices and the vertices of the host, without waiting for the device."""

import torch

from benchmarks.gpu.simulated import simulated_cuda
from contrapposto.mesh import poisson
from contrapposto.mesh.poisson import PoissonSolver
from contrapposto.mesh.surface_sampling import furthest_points
from tests.mesh.shapes import sphere


def test_furthest_points_are_chosen_in_one_batch():
    points = torch.randn(3, 700, 3, generator=torch.Generator().manual_seed(0))
    points[1] = (4 * points[1]).round() / 4  # ties
    points[2, 5:] = 0  # most are never chosen
    expected = furthest_points(points, 60)
    with simulated_cuda() as log:
        there = points.to("cuda")
        log.clear()
        found = furthest_points(there, 60)
        assert not log.waits and not log.faults
        assert torch.equal(found.cpu(), expected)
        assert not furthest_points(torch.full((2, 9, 3), 1e-3, device="cuda"), 4).cpu().any()


def solve(solver, field, device):
    field = field.detach().to(device).requires_grad_()
    vertices = solver.solve(field, pins=torch.ones(3, device=device))
    (vertices**2).sum().backward()
    return vertices.detach(), field.grad


def test_the_poisson_layer_is_solved_on_the_device(monkeypatch):
    mesh = sphere(2)
    field = torch.randn(3, len(mesh.faces), 3, 3, generator=torch.Generator().manual_seed(0))
    solver = PoissonSolver(mesh.vertices, mesh.faces)
    expected = solve(solver, field, "cpu")
    with simulated_cuda() as log:
        for found, wanted in zip(solve(solver, field, "cuda"), expected):
            torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-5)
        there = field.to("cuda")
        log.clear()
        solver.solve(there)
        assert not log.waits and not log.uploads and not log.faults
        monkeypatch.setattr(poisson, "DENSE_MOST", 10)  # too large for an inverse: the host solves
        assert torch.allclose(solver.solve(there).cpu() + 1, expected[0], atol=1e-5)
        assert log.waits
