"""Scenes refuse what cannot be drawn; capsules as meshes have the right surface."""

import numpy as np
import pytest
import trimesh

from contrapposto.errors import InputError
from contrapposto.render import Capsules, Ground, Mesh, Scene

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
FACE = np.array([[0, 1, 2]])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Mesh(TRIANGLE * np.nan, FACE), "not finite"),
        (lambda: Mesh(TRIANGLE, FACE + 1), "not there"),
        (lambda: Mesh(TRIANGLE, FACE - 1), "not there"),
        (lambda: Mesh(TRIANGLE, FACE[:0]), "triangles"),
        (lambda: Mesh(TRIANGLE, FACE.astype(float)), "triangles"),
        (lambda: Mesh(TRIANGLE[:0], FACE), "cannot be drawn"),
        (lambda: Mesh(TRIANGLE[:, :2], FACE), "cannot be drawn"),
        (lambda: Mesh(TRIANGLE, FACE, (0, 0, 255)), "colour"),
        (lambda: Mesh(TRIANGLE, FACE, np.zeros((2, 3))), "colour"),
        (lambda: Mesh(TRIANGLE, FACE).moved(TRIANGLE[:2]), "changed shape"),
        (lambda: Mesh(TRIANGLE, FACE).moved(TRIANGLE + np.inf), "not finite"),
        (lambda: Capsules(TRIANGLE, TRIANGLE[:2], 0.1), "fit together"),
        (lambda: Capsules(TRIANGLE, TRIANGLE, np.array([1, 1, 0])), "radius"),
        (lambda: Capsules(TRIANGLE, TRIANGLE, np.nan), "radius"),
        (lambda: Ground(square=0), "ground"),
        (lambda: Scene(background=(1, 1)), "background"),
    ],
)
def test_one_clear_error(make, word):
    with pytest.raises(InputError, match=word):
        make()


def test_capsule_meshes_lie_on_the_capsules():
    capsules = Capsules([[0, 0, 0], [1, 2, 3]], [[0, 0.5, 1], [1, 2, 3]], [0.2, 0.4], [[1, 0, 0], [0, 1, 0]])
    mesh = capsules.to_mesh(32)
    per = len(mesh.vertices) // 2
    for i, radius in enumerate((0.2, 0.4)):
        start, axis = capsules.starts[i], capsules.ends[i] - capsules.starts[i]
        points = mesh.vertices[i * per : (i + 1) * per]
        along = np.clip((points - start) @ axis / max(axis @ axis, 1e-12), 0, 1)
        np.testing.assert_allclose(
            np.linalg.norm(points - start - along[:, None] * axis, axis=1), radius, atol=1e-5
        )
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)
    length = np.hypot(0.5, 1)
    volume = np.pi * 0.04 * length + 4 / 3 * np.pi * (0.2**3 + 0.4**3)
    assert solid.volume == pytest.approx(volume, rel=0.015)  # positive: faces are turned outwards


def test_columns_hold_everything():
    scene = Scene([Mesh(TRIANGLE, FACE)], [Capsules([[5, 0, 0]], [[5, 0, 2]], 0.5)])
    assert scene.columns.shape[0] == 3
    np.testing.assert_allclose(scene.columns.min(1), [0, -0.5, -0.5])
    np.testing.assert_allclose(scene.columns.max(1), [5.5, 1, 2.5])
