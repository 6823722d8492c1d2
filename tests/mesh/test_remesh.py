"""Other connectivity, the same shape."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from contrapposto.errors import InputError
from contrapposto.mesh import cut_holes, decimate, subdivide
from contrapposto.mesh.operators import doubled_areas
from tests.mesh.shapes import grid, sphere


def area(mesh):
    return doubled_areas(mesh.vertices, mesh.faces).sum() / 2


def test_subdivision_keeps_the_surface():
    mesh = grid()
    fine = subdivide(mesh)
    assert len(fine.faces) == 4 * len(mesh.faces) and area(fine) == pytest.approx(area(mesh))
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).subdivide()
    assert len(fine.vertices) == len(other.vertices)
    assert np.allclose(fine.vertices[: len(mesh.vertices)], mesh.vertices)


def test_decimation_keeps_the_shape():
    pytest.importorskip("fast_simplification")
    mesh = sphere(4)
    coarse = decimate(mesh, 600)
    assert 500 <= len(coarse.faces) <= 620 and area(coarse) == pytest.approx(area(mesh), rel=0.03)
    assert trimesh.Trimesh(coarse.vertices, coarse.faces).is_watertight
    with pytest.raises(InputError, match="decimated"):
        decimate(mesh, len(mesh.faces))


def test_holes_leave_the_vertices():
    mesh = sphere(3)
    holed = cut_holes(mesh, 3, 0.05, np.random.default_rng(0))
    assert np.array_equal(holed.vertices, mesh.vertices) and 0.9 < len(holed.faces) / len(mesh.faces) < 1
    with pytest.raises(InputError, match="whole mesh"):
        cut_holes(mesh, 50, 1.0, np.random.default_rng(0))
