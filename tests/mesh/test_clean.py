"""Cleaning: what it finds, what it refuses, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.mesh import Template, clean_mesh, read_mesh
from contrapposto.mesh.clean import MAX_FACES
from tests.mesh.shapes import bent, grid, rotation, sphere, together


def dirty():
    """A sphere as a soup of triangles (as STL has it), with a face twice, flat faces and loose vertices."""
    mesh = sphere(2)
    soup = mesh.vertices[mesh.faces].reshape(-1, 3)
    faces = np.arange(len(soup)).reshape(-1, 3)
    loose = np.array([[0.0, 0, 1.5], [np.nan, 0, 0]])
    extra = [faces[:1], [[0, 0, 1]], [[0, 1, 1]], [[0, 3, 0]]]
    return np.concatenate([soup, loose]), np.concatenate([faces, *extra]), len(mesh.vertices)


def test_report_of_a_dirty_mesh():
    vertices, faces, count = dirty()
    clean = clean_mesh(vertices, faces)
    report = clean.report
    assert (report.kept_vertices, report.kept_faces, report.components) == (count, 320, 1)
    assert (report.duplicate_faces, report.degenerate_faces, report.unreferenced_vertices) == (1, 3, 2)
    assert report.merged_vertices == 960 - count and report.boundary_edges == 0
    assert "merged" in str(report) and "320 of 324 faces" in str(report)


def test_there_and_back_keeps_order_and_carries_loose_vertices():
    vertices, faces, _ = dirty()
    clean = clean_mesh(vertices, faces)
    back = clean.restore(clean.vertices)
    assert np.allclose(back[:-1], vertices[:-1], atol=1e-12)
    matrix = rotation(4)
    turned = clean.restore(np.stack([clean.vertices @ matrix.T + 1, clean.vertices]))
    assert np.allclose(turned[0, :-1], vertices[:-1] @ matrix.T + 1, atol=1e-9)
    assert np.allclose(turned[1], back)
    poses = np.stack([bent(vertices, 0.5)] * 2)
    assert np.allclose(clean.restore(clean.take(poses))[:, :-2], poses[:, :-2])


def test_merging_by_distance_or_not_at_all():
    mesh = sphere(1)
    vertices = mesh.vertices[mesh.faces].reshape(-1, 3) + np.random.default_rng(0).normal(0, 1e-7, (240, 3))
    faces = np.arange(240).reshape(-1, 3)
    assert clean_mesh(vertices, faces).report.components == 80
    assert clean_mesh(vertices, faces, merge=1e-5).report.kept_vertices == 42
    sliver = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1e-6, 0, 0]])
    collapsed = clean_mesh(sliver, np.array([[0, 1, 2], [0, 3, 2]]), merge=1e-3).report
    assert (collapsed.degenerate_faces, collapsed.kept_faces) == (1, 1)
    exact = mesh.vertices[mesh.faces].reshape(-1, 3)
    assert clean_mesh(exact, faces, merge=None).report.components == 80


def test_components_and_crowded_edges():
    fan = np.array([[0.0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, -1, 0]])
    report = clean_mesh(fan, np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]])).report
    assert report.crowded_edges == 1 and report.components == 1
    both = together(sphere(1), sphere(0, centre=(9, 0, 0)), grid(3).moved(grid(3).vertices + 4))
    clean = clean_mesh(both.vertices, both.faces)
    assert clean.report.components == 3 and clean.component[[0, 42, 54]].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, f: (v, f[:0]), "no triangles"),
        (lambda v, f: (v[:, :2], f), "no triangles"),
        (lambda v, f: (v, f + 1), "not there"),
        (lambda v, f: (v, f - 1), "not there"),
        (lambda v, f: (v, f.astype(float)), "not there"),
        (lambda v, f: (np.where(np.arange(len(v))[:, None] == 3, np.nan, v), f), "not finite"),
        (lambda v, f: (v * 0, f), "no face with an area"),
        (lambda v, f: (v, np.broadcast_to(f[:1], (MAX_FACES + 1, 3))), "too many faces"),
    ],
)
def test_refusals(change, words):
    mesh = sphere(0)
    with pytest.raises(InputError, match=words):
        clean_mesh(*change(mesh.vertices, mesh.faces))


def test_poses_of_another_mesh_are_refused():
    clean = clean_mesh(sphere(0).vertices, sphere(0).faces)
    with pytest.raises(InputError, match="belong to its template"):
        clean.take(np.zeros((2, 5, 3)))
    with pytest.raises(InputError, match="not finite"):
        clean.take(np.full((12, 3), np.inf))


def test_one_triangle_and_hugely_scaled_ones_are_solved():
    for scale in (1e-6, 1.0, 1e9):
        triangle = Template(grid(2).moved(grid(2).vertices * scale))
        posed = triangle.solver.jacobians(triangle.normalized(triangle.mesh.vertices @ rotation().T))
        back = triangle.restored(triangle.solve(posed[None]))[0]
        sides = [np.linalg.norm(v[1] - v[0]) for v in (back, triangle.mesh.vertices)]
        assert sides[0] == pytest.approx(sides[1])


@pytest.mark.parametrize("normalize", ["unit_cube", "centroid_pca", "none"])
def test_templates_restore_what_they_normalise(normalize):
    mesh = sphere(1, centre=(5, 6, 7), radius=20)
    template = Template(mesh, normalize=normalize)
    poses = np.stack([mesh.vertices, bent(mesh.vertices, 0.01)])
    assert np.allclose(template.restored(template.normalized(poses)), poses)
    size = np.ptp(template.solver.vertices.numpy(), axis=0).max()
    assert size == pytest.approx(
        {"unit_cube": 1, "centroid_pca": 2 * 0.35 * 3**0.5, "none": 40}[normalize], rel=0.01
    )


@pytest.mark.parametrize(
    "name", ["kaykit/Knight.glb", "mesh2motion/fox-fox.glb", "mesh2motion/human-female.glb"]
)
def test_real_meshes_come_back_from_their_own_jacobians(shared_data, name):
    template = Template(read_mesh(shared_data / "meshes" / name))
    rest = template.solver.vertices
    solved = template.solve(template.solver.jacobians(rest)[None])
    assert np.abs(template.restored(solved + rest.mean(0))[0] - template.mesh.vertices).max() < 1e-6
