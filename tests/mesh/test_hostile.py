"""Meshes that people really have, and some that nobody should: each is used, or refused with one clear error."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapposto.errors import InputError
from contrapposto.mesh import MeshAsset, Template, read_mesh
from contrapposto.mesh.clean import MAX_FACES
from contrapposto.systems.npr import PoseTransfer
from tests.mesh.shapes import grid, sphere, together
from tests.systems.npr.test_model import small


def solved(mesh):
    """The template that a field of identities gives."""
    template = Template(mesh)
    field = torch.eye(3, dtype=torch.float64).expand(1, template.num_faces, 3, 3)
    return template, template.solve(field)[0]


def assert_stays(mesh):
    template, vertices = solved(mesh)
    rest = template.solver.vertices
    assert (vertices - (rest - rest.mean(0))).abs().max() < 1e-6
    return template


def test_one_triangle():
    mesh = MeshAsset(np.eye(3), np.array([[0, 1, 2]]))
    assert_stays(mesh)
    with pytest.raises(InputError, match="too few faces"):
        PoseTransfer(small(), mesh)
    assert PoseTransfer(small(), sphere(2)).transfer(sphere(2).vertices[None], mesh).shape == (1, 3, 3)


def test_nan_vertices():
    mesh = sphere(1)
    broken = mesh.vertices.copy()
    broken[7] = np.nan
    with pytest.raises(InputError, match="not finite"):
        Template(mesh.moved(broken))
    with pytest.raises(InputError, match="not finite"):
        PoseTransfer(small(), sphere(2)).encode(np.full((1, 162, 3), np.inf))


def test_faces_out_of_range():
    with pytest.raises(InputError, match="not there"):
        MeshAsset(np.eye(3), np.array([[0, 1, 3]]))
    with pytest.raises(InputError, match="needs triangles"):
        MeshAsset(np.zeros((0, 3)), np.zeros((0, 3), int))


def test_a_fan_of_faces_at_one_edge():
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    around = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    vertices = np.concatenate([[[0, 0, 0], [0, 0, 1]], around])
    mesh = MeshAsset(vertices, np.array([[0, 1, 2 + i] for i in range(8)]))
    template = assert_stays(mesh)
    assert template.clean.report.crowded_edges == 1


def test_faces_without_area():
    mesh = grid(4)
    flat = np.array([[0, 0, 1], [1, 2, 2], [3, 3, 3]])
    template = assert_stays(MeshAsset(mesh.vertices, np.concatenate([flat, mesh.faces])))
    assert template.clean.report.degenerate_faces == 3
    with pytest.raises(InputError, match="no face with an area"):
        Template(MeshAsset(mesh.vertices, flat))


def test_a_thousand_parts():
    places = np.stack(np.meshgrid(*[np.arange(10) * 3.0] * 3), axis=-1).reshape(-1, 3)
    template = assert_stays(together(*(sphere(0, centre=place) for place in places)))
    assert template.clean.report.components == 1000


def test_five_million_faces_are_refused_with_the_limit():
    faces = np.broadcast_to(np.array([[0, 1, 2]]), (5_000_000, 3))
    with pytest.raises(InputError, match="too many faces") as error:
        Template(MeshAsset(np.eye(3), faces))
    assert str(MAX_FACES) in error.value.expected and "decimate" in error.value.fix


def test_a_file_with_too_many_faces_is_left_when_the_limit_is_passed(tmp_path, monkeypatch):
    monkeypatch.setattr("contrapposto.mesh.obj.MAX_FACES", 100)
    path = tmp_path / "many.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n" + "f 1 2 3\n" * 200)
    with pytest.raises(InputError, match=r"many\.obj has too many faces"):
        read_mesh(path)
