"""Cameras against closed forms."""

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.render import Camera, enclose, follow


def random_camera(seed: int) -> Camera:
    rng = np.random.default_rng(seed)
    return Camera.look_at(
        rng.normal(size=3) * 4, rng.normal(size=3), fov_degrees=float(rng.uniform(20, 90)), size=(320, 200)
    )


def test_projection_is_the_textbook_one():
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, [0.1, -0.2, 5]
    camera = Camera(310, 290, 150, 90, transform, 320, 200)
    points = rng.normal(size=(50, 3))
    homogeneous = (camera.intrinsics @ transform[:3] @ np.column_stack([points, np.ones(50)]).T).T
    pixels, depth = camera.project(points)
    np.testing.assert_allclose(depth, homogeneous[:, 2])
    np.testing.assert_allclose(pixels, homogeneous[:, :2] / homogeneous[:, 2:])


def test_look_at_by_hand():
    # From (0, -5, 0) towards the origin with 90 degrees: one metre to the right at depth 5 is a tenth of the width.
    camera = Camera.look_at((0, -5, 0), (0, 0, 0), fov_degrees=90, size=(200, 100))
    pixels, depth = camera.project(np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 5, 0]]))
    np.testing.assert_allclose(pixels, [[100, 50], [120, 50], [100, 30], [100, 50]], atol=1e-9)
    np.testing.assert_allclose(depth, [5, 5, 5, 10])


@pytest.mark.parametrize("direction", [(0, 0, -1), (0, 0, 1), (1e-9, 0, -1)])
def test_straight_down_and_up_have_a_picture(direction):
    camera = Camera.look_at((0, 0, 0), direction)
    np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_rays_go_through_the_pixels_they_belong_to(seed):
    camera = random_camera(seed)
    origins, directions = camera.rays()
    assert directions.shape == (200, 320, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1)
    pixels, _ = camera.project(origins + 3.7 * directions)
    rows, columns = np.mgrid[:200, :320] + 0.5
    np.testing.assert_allclose(pixels, np.stack([columns, rows], axis=-1), atol=1e-8)


def test_points_behind_the_camera_have_no_pixel():
    camera = Camera.look_at((0, -5, 0), (0, 0, 0))
    pixels, depth = camera.project(np.array([[0, -6.0, 0], [0, -5, 0]]))
    assert np.isnan(pixels).all() and depth[0] == pytest.approx(-1)


def test_resized_and_moved():
    camera, point = random_camera(1), np.array([0.2, 0.1, 0.3])
    np.testing.assert_allclose(camera.resized(3).project(point)[0], 3 * camera.project(point)[0])
    shift = np.array([1.0, 2.0, -0.5])
    np.testing.assert_allclose(camera.moved(shift).project(point + shift)[0], camera.project(point)[0])
    np.testing.assert_allclose(camera.moved(shift).position, camera.position + shift)


@pytest.mark.parametrize("size", [(300, 300), (400, 160), (120, 500)])
def test_enclose_is_tight(size):
    points = np.random.default_rng(2).normal(size=(100, 3)) * [1, 2, 0.5]
    camera = enclose(points, (0.3, 1, -0.4), size=size, margin=0.1)
    pixels, depth = camera.project(points)
    part = pixels / size
    assert depth.min() > 0 and part.min() >= 0.1 - 1e-9 and part.max() <= 0.9 + 1e-9
    # the axis that decides the distance is filled from margin to margin
    spans = part.max(0) - part.min(0)
    assert spans.max() == pytest.approx(0.8, abs=1e-6)


def test_follow_keeps_the_figure_in_the_picture_and_is_smooth():
    rng = np.random.default_rng(3)
    time = np.arange(180) / 30
    walk = np.stack([1.4 * time, 0.05 * np.sin(6 * time), 0.9 + 0.03 * np.sin(12 * time)], axis=-1)
    positions = walk[:, None] + rng.normal(size=(1, 10, 3)) * 0.3
    cameras = follow(positions, 30, size=(320, 320), margin=0.1)
    places = np.array([camera.position for camera in cameras])
    for camera, frame in zip(cameras, positions):
        pixels, _ = camera.project(frame)
        assert (pixels > 0.1 * 320 - 1e-6).all() and (pixels < 0.9 * 320 + 1e-6).all()
        np.testing.assert_allclose(camera.rotation, cameras[0].rotation)
    speed = np.diff(places, axis=0) * 30
    np.testing.assert_allclose(
        speed[:, 0], 1.4, atol=0.02
    )  # a steady walk is followed steadily, also at its ends
    assert np.abs(np.diff(speed, axis=0)).max() < 0.01


def test_follow_of_one_frame_and_of_a_clip_shorter_than_the_filter():
    assert len(follow(np.array([[[0, 0, 0], [0, 0, 1]]]), 30)) == 1
    line = np.linspace(0, 1, 5)[:, None, None] * [1.0, 0, 0] + np.array([[0, 0, 0], [0, 0, 1.0]])
    places = np.array([camera.position for camera in follow(line, 30)])
    np.testing.assert_allclose(np.diff(places[:, 0]), 0.25, atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Camera.look_at((0, 0, 0), (0, 0, 0)),
        lambda: Camera.look_at((0, 0, np.nan), (0, 0, 0)),
        lambda: Camera.look_at((0, 0, 1), (0, 0, 0), fov_degrees=180),
        lambda: Camera.look_at((0, 0, 1), (0, 0, 0), size=(0, 10)),
        lambda: Camera.look_at((0, 0, 1), (0, 0, 0), size=(100_000, 100_000)),
        lambda: Camera(1, 1, 0, 0, np.ones((4, 4)), 10, 10),
        lambda: Camera(0, 1, 0, 0, np.eye(4), 10, 10),
        lambda: Camera(1, 1, 0, np.inf, np.eye(4), 10, 10),
        lambda: enclose(np.zeros((0, 3)), (0, 1, 0)),
        lambda: enclose(np.full((2, 3), np.nan), (0, 1, 0)),
        lambda: follow(np.zeros((0, 3, 3)), 30),
    ],
)
def test_what_no_camera_can_be(make):
    with pytest.raises(InputError):
        make()


def test_a_camera_stays_where_the_figure_stays():
    sway = 0.15 * np.sin(np.linspace(0, 6, 90))[:, None, None] * [1.0, 0.5, 0.0]
    places = np.array([[[0.0, 0, 0], [0, 0, 1.7]]]) + sway
    cameras = follow(places, 30)
    assert all(camera is cameras[0] for camera in cameras)
    pixels, _ = cameras[0].project(places.reshape(-1, 3))
    assert (pixels > 0).all() and (pixels < 512).all()
