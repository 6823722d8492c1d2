"""Successive images of one renderer, which keeps background and light: in the end those of a new renderer."""

from __future__ import annotations

import numpy as np
import pytest

from contrapposto.body import load_body, motion_vertices
from contrapposto.render.camera import Camera, enclose
from contrapposto.render.raycast import Raycaster
from contrapposto.render.scene import Capsules, Ground, Mesh, Scene
from contrapposto.synthetic import generate

SIZE = (96, 96)


@pytest.fixture(scope="module")
def meshes() -> list[Mesh]:
    """A body in two poses, a third of a second apart."""
    body, motion = load_body(), generate("jog", seconds=1, seed=4)
    first, second = motion_vertices(body, motion, slice(10, 21, 10))[[0, -1]]
    base = Mesh(first, body.faces.cpu().numpy())
    return [base, base.moved(second)]


@pytest.fixture
def camera(meshes: list[Mesh]) -> Camera:
    points = np.concatenate([mesh.vertices for mesh in meshes])
    return enclose(points, (0.5, 1.0, -0.2), size=SIZE, margin=0.2)


def scene(mesh: Mesh) -> Scene:
    mark = Capsules(mesh.vertices[:1], mesh.vertices[:1] + 0.2, 0.03, casts=False)
    return Scene([mesh], [mark], Ground(centre=(0.0, 0.0)))


def fresh(mesh: Mesh, camera: Camera) -> np.ndarray:
    return Raycaster("cpu", threads=1).render(scene(mesh), camera).color


def test_kept_light_is_all_new_after_three_images(meshes: list[Mesh], camera: Camera) -> None:
    renderer = Raycaster("cpu", threads=1)
    renderer.render(scene(meshes[0]), camera)
    images = [renderer.render(scene(meshes[1]), camera, keep_light=True).color for _ in range(3)]
    right = fresh(meshes[1], camera)
    differences = [np.abs(image.astype(int) - right).mean() for image in images]
    assert differences[0] > differences[1] > differences[2]
    np.testing.assert_array_equal(images[2], right)


def test_a_kept_background_is_that_of_a_new_renderer(meshes: list[Mesh], camera: Camera) -> None:
    renderer = Raycaster("cpu", threads=2)
    other = camera.moved((0.0, 0.0, 0.3))
    beside = camera.moved((50.0, 0.0, 0.0))  # sees no shadow
    order = (camera, camera, camera, other, camera, other, other, beside, beside, beside)
    for mesh, seen_by in zip([0, 1] * 5, order):
        image = renderer.render(scene(meshes[mesh]), seen_by).color
        np.testing.assert_array_equal(image, fresh(meshes[mesh], seen_by))


def test_images_that_begin_anew_do_not_depend_on_those_before(meshes: list[Mesh], camera: Camera) -> None:
    # Threads draw a few successive images each: which ones a thread had before must not be seen.
    drawn = []
    for history in range(3):
        renderer = Raycaster("cpu", threads=1)
        for number in range(history):
            renderer.render(scene(meshes[0]), camera, keep_light=number > 0)
        renderer.render(scene(meshes[0]), camera)
        drawn.append(renderer.render(scene(meshes[1]), camera, keep_light=True).color)
    np.testing.assert_array_equal(drawn[1], drawn[0])
    np.testing.assert_array_equal(drawn[2], drawn[0])
