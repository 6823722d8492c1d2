"""Operators against closed forms, finite differences and trimesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from contrapposto.mesh import operators
from tests.mesh.shapes import grid, rotation, sphere


@pytest.fixture(params=[sphere, grid])
def mesh(request):
    return request.param()


def test_gradient_of_a_linear_function_is_its_slope_in_the_plane(mesh):
    slope, offset = np.array([0.3, -1.2, 0.7]), 0.5
    gradient = operators.gradient_matrix(mesh.vertices, mesh.faces) @ (mesh.vertices @ slope + offset)
    normals = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).face_normals
    expected = slope - (normals @ slope)[:, None] * normals
    assert np.abs(gradient.reshape(-1, 3) - expected).max() < 1e-10
    by_component = operators.gradient_matrix(mesh.vertices, mesh.faces, order="component") @ (
        mesh.vertices @ slope
    )
    assert np.abs(by_component.reshape(3, -1).T - expected).max() < 1e-10


def test_laplacian_is_the_cotangent_sum(mesh):
    actual = operators.laplacian(mesh.vertices, mesh.faces).toarray()
    expected = np.zeros_like(actual)
    for face in mesh.faces:
        for k in range(3):
            i, j, o = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
            u, v = mesh.vertices[i] - mesh.vertices[o], mesh.vertices[j] - mesh.vertices[o]
            cotangent = u @ v / np.linalg.norm(np.cross(u, v))
            for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                expected[a, b] += sign * cotangent
    assert np.abs(actual - expected).max() < 1e-9


def test_jacobians_of_an_affine_map(mesh):
    matrix = rotation(3) @ np.diag([1.5, 0.7, 1.1])
    posed = torch.from_numpy(mesh.vertices @ matrix.T + 4)
    gradients = torch.from_numpy(operators.corner_gradients(mesh.vertices, mesh.faces))
    faces = torch.from_numpy(mesh.faces)
    actual = operators.jacobians(gradients, posed, faces)
    normals = operators.face_normals(torch.from_numpy(mesh.vertices), faces)
    tangent = torch.eye(3, dtype=torch.float64) - normals[:, :, None] * normals[:, None]
    assert (actual - torch.from_numpy(matrix) @ tangent).abs().max() < 1e-10
    assert (actual @ normals[..., None]).abs().max() < 1e-10


def test_completed_jacobians_of_a_similarity_are_the_similarity(mesh):
    turn = 1.7 * torch.from_numpy(rotation(1))
    rest, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    posed = rest @ turn.T
    gradients = torch.from_numpy(operators.corner_gradients(mesh.vertices, mesh.faces))
    full = operators.completed_jacobians(
        operators.jacobians(gradients, posed, faces),
        operators.face_normals(rest, faces),
        operators.face_normals(posed, faces),
    )
    assert (full - turn).abs().max() < 1e-10


def test_areas_normals_edges_against_trimesh(mesh):
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert np.allclose(operators.doubled_areas(mesh.vertices, mesh.faces), 2 * other.area_faces)
    normals = operators.face_normals(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces))
    assert np.allclose(normals.numpy(), other.face_normals)
    assert {*map(tuple, operators.unique_edges(mesh.faces))} == {
        *map(tuple, np.sort(other.edges_unique, axis=1))
    }


def test_unit_cube():
    points = np.array([[1.0, 2, 3], [5, 3, 4]])
    centre, side = operators.unit_cube(points)
    assert np.allclose((points - centre) / side, [[-0.5, -0.125, -0.125], [0.5, 0.125, 0.125]])
    assert operators.unit_cube(points[:1])[1] == 1.0
