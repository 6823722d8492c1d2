"""The optional back-ends: their coordinates, their common part with a rasteriser in NumPy, and themselves on a GPU."""

import numpy as np
import pytest
import torch
import trimesh

from contrapposto.errors import MissingError
from contrapposto.render import Camera, Capsules, Mesh, Scene, render
from contrapposto.render.backends import why_missing
from contrapposto.render.raster import NEAR, RasterRenderer, clip_coordinates, ndc_coordinates

SIZE = (104, 76)


class NumpyRasterizer(RasterRenderer):
    """Visibility by edge functions in float64, one triangle after the other: slow and independent."""

    def visibility(self, points, faces, camera):
        local = points.numpy().astype(np.float64)
        pixels = local[:, :2] / local[:, 2:] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        nearest = np.full((camera.height, camera.width), np.inf)
        actual = np.full(nearest.shape, -1, np.int32)
        weights = np.zeros((*nearest.shape, 3), np.float32)
        for number, face in enumerate(faces.numpy()):
            corners, depth = pixels[face], local[face, 2]
            low = np.maximum(np.floor(corners.min(0)), 0).astype(int)
            high = np.minimum(np.ceil(corners.max(0)) + 1, [camera.width, camera.height]).astype(int)
            if (low >= high).any():
                continue
            x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
            affine = np.linalg.solve(
                np.vstack([corners.T, np.ones(3)]), np.stack([x, y, x * 0 + 1]).reshape(3, -1)
            )
            perspective = affine / depth[:, None]
            perspective /= perspective.sum(0)
            z = (perspective * depth[:, None]).sum(0).reshape(x.shape)
            window = (slice(low[1], high[1]), slice(low[0], high[0]))
            shown = (affine.min(0) >= 0).reshape(x.shape) & (z < nearest[window])
            nearest[window][shown] = z[shown]
            actual[window][shown] = number
            weights[window][shown] = perspective.T.reshape(*x.shape, 3)[shown]
        return torch.from_numpy(actual), torch.from_numpy(weights)


@pytest.fixture(scope="module")
def scene_and_camera():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    box = trimesh.creation.box((0.5, 0.5, 0.9)).subdivide().subdivide()
    meshes = [
        Mesh(ball.vertices + np.array([0, 0.3, 0.8]), ball.faces, (0.9, 0.5, 0.2)),
        Mesh(box.vertices + np.array([0.4, -0.2, 0.45]), box.faces, (0.3, 0.5, 0.8)),
    ]
    return Scene(meshes, [Capsules([[-0.5, 0, 0.2]], [[-0.6, 0, 1.2]], 0.12)]), Camera.look_at(
        (1, -4, 2), (0, 0, 0.6), fov_degrees=34, size=SIZE
    )


def compare(one, other, *, outline):
    """Two renderers of the same scene: the same but for outlines, `outline` of the pixels at most."""
    assert (one.ids != other.ids).mean() < outline
    both = one.mask & other.mask
    assert np.quantile(np.abs(one.depth[both] - other.depth[both]), 0.98) < 5e-3
    difference = np.abs(one.color.astype(int) - other.color.astype(int)).max(-1)
    assert (difference > 6).mean() < 6 * outline and difference.mean() < 1.5


def test_common_part_draws_what_warp_draws(scene_and_camera):
    scene, camera = scene_and_camera
    raster = NumpyRasterizer("cpu").render(scene, camera, samples=2)
    compare(render(scene, camera), raster, outline=0.01)
    assert set(np.unique(raster.ids)) == {-1, 0, 1, 2}


def test_an_empty_scene():
    camera = Camera.look_at((0, -4, 1), (0, 0, 1), size=SIZE)
    raster, cast = NumpyRasterizer("cpu").render(Scene(), camera, samples=1), render(Scene(), camera)
    assert not raster.mask.any()
    np.testing.assert_allclose(raster.color.astype(int), cast.color, atol=1)


def test_clip_coordinates_are_pixels_after_division():
    camera = Camera(130, 120, 47, 40, np.eye(4), *SIZE)
    points = torch.rand(50, 3, dtype=torch.float64) * 2 - 1 + torch.tensor([0, 0, 4.0])
    clip = clip_coordinates(points, camera, 112, 80)
    normalised = (clip[:, :3] / clip[:, 3:]).numpy()
    pixels = (normalised[:, :2] + 1) / 2 * [112, 80]
    np.testing.assert_allclose(pixels, camera.project(points.numpy())[0])
    order = np.argsort(points[:, 2].numpy())
    assert (np.diff(normalised[order, 2]) > 0).all() and np.abs(normalised[:, 2]).max() < 1
    on_near = clip_coordinates(torch.tensor([[0.0, 0.0, NEAR]]), camera, 112, 80)
    assert float(on_near[0, 2] / on_near[0, 3]) == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("size", [(104, 76), (60, 90)])
def test_ndc_coordinates_follow_pytorch3d(size):
    # Its documentation: +x left, +y up, the shorter side spans [-1, 1], the centre of the picture is 0.
    camera = Camera(130, 120, 47, 40, np.eye(4), *size)
    points = torch.rand(50, 3, dtype=torch.float64) + torch.tensor([-0.5, -0.5, 4.0])
    ndc = ndc_coordinates(points, camera).numpy()
    pixels = camera.project(points.numpy())[0]
    short = min(size)
    np.testing.assert_allclose(ndc[:, 0], (size[0] - 2 * pixels[:, 0]) / short)
    np.testing.assert_allclose(ndc[:, 1], (size[1] - 2 * pixels[:, 1]) / short)
    np.testing.assert_allclose(ndc[:, 2], points[:, 2])


@pytest.mark.parametrize("backend", ["nvdiffrast", "pytorch3d"])
def test_absent_back_ends_say_how_to_install_them(backend, scene_and_camera):
    if not why_missing(backend):
        pytest.skip(f"{backend} is present")
    with pytest.raises(MissingError, match="pip install"):
        render(*scene_and_camera, backend=backend)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["nvdiffrast", "pytorch3d"])
def test_back_ends_draw_what_warp_draws(backend, scene_and_camera):
    if why_missing(backend):
        pytest.skip(f"{backend}: {why_missing(backend)}")
    scene, camera = scene_and_camera
    compare(render(scene, camera, device="cpu"), render(scene, camera, backend=backend), outline=0.01)
