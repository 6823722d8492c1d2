"""Pictures against brute force in float64 and closed forms."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.ndimage import binary_fill_holes

from contrapposto.errors import ConfigError, InputError
from contrapposto.render import Camera, Capsules, Ground, Lights, Mesh, Scene, make_renderer, render
from contrapposto.render.lighting import (
    coarse_faces,
    key_direction,
    light_samples,
    same_places,
    to_linear,
)
from contrapposto.render.raycast import Raycaster
from contrapposto.render.view import winding_number

FLAT = Lights(key=0, sky=1, bounce=1, shadows=False)
SIZE = (96, 72)


def brute_force(vertices, faces, camera):
    """(H, W) nearest face (-1: none) and depth: every ray with every plane in float64, then areas in the plane."""
    origins, directions = camera.rays()
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    actual = np.full(directions.shape[:2], -1)
    best = np.full(directions.shape[:2], np.inf)
    for row, d in enumerate(directions):
        with np.errstate(all="ignore"):
            t = np.einsum("fi,fi->f", normals, corners[:, 0] - camera.position) / (d @ normals.T)
        spots = origins[row][:, None] + t[..., None] * d[:, None]
        inside = t > 0
        for i in range(3):
            edge, start = corners[:, (i + 1) % 3] - corners[:, i], corners[:, i]
            inside &= np.einsum("rfi,fi->rf", np.cross(edge, spots - start), normals) >= 0
        t = np.where(inside, t, np.inf)
        best[row] = t.min(1)
        actual[row] = np.where(np.isfinite(best[row]), t.argmin(1), -1)
    return actual, best * (directions @ camera.rotation[2])


def interior(mask):
    """Pixels whose neighbours agree with them: rounding decides only at outlines."""
    same = np.ones_like(mask, bool)
    for axis in (0, 1):
        for step in (-1, 1):
            same &= np.roll(mask, step, axis) == mask
    return same


@pytest.fixture(scope="module")
def two_meshes():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.6)
    ring = trimesh.creation.torus(0.7, 0.2, major_sections=16, minor_sections=8)
    meshes = [
        Mesh(ball.vertices + np.array([0, 0.6, 0.8]), ball.faces, (0.8, 0.3, 0.2)),
        Mesh(ring.vertices @ np.diag([1, 1, -1.0]) + [0.3, -0.3, 0.8], ring.faces[:, ::-1], (0.2, 0.4, 0.8)),
    ]
    return meshes, Camera.look_at((1.2, -4, 2), (0, 0, 0.8), fov_degrees=30, size=SIZE)


def test_depth_mask_and_ids_equal_brute_force(two_meshes):
    meshes, camera = two_meshes
    picture = render(Scene(meshes), camera)
    faces = np.concatenate([meshes[0].faces, meshes[1].faces + len(meshes[0].vertices)])
    actual, depth = brute_force(np.concatenate([m.vertices for m in meshes]), faces, camera)
    ids = np.where(actual < 0, -1, (actual >= len(meshes[0].faces)).astype(int))
    assert set(np.unique(ids)) == {-1, 0, 1}
    sure = interior(ids)
    np.testing.assert_array_equal(picture.ids[sure], ids[sure])
    assert (picture.ids != ids).sum() <= 3
    np.testing.assert_array_equal(picture.mask, picture.ids >= 0)
    both = (picture.ids == ids) & (ids >= 0)
    np.testing.assert_allclose(picture.depth[both & sure], depth[both & sure], atol=2e-4)
    assert np.isinf(picture.depth[~picture.mask]).all()


def test_colours_are_interpolated_between_the_right_corners():
    vertices = np.array(
        [[-1, -2, 0], [1, 3, 0], [0, 0, 2]], np.float32
    )  # tilted: its corners are 4 to 9 m away
    corners = np.array([[0.9, 0.2, 0.2], [0.2, 0.9, 0.2], [0.2, 0.2, 0.9]])
    camera = Camera.look_at((0.5, -6, 0.8), (0, 0, 0.8), size=SIZE)
    scene = Scene([Mesh(vertices, [[2, 0, 1]], corners)], ground=None, lights=FLAT)
    origins, directions = camera.rays()
    normal = np.cross(vertices[1] - vertices[0], vertices[2] - vertices[0])
    distance = ((vertices[0] - camera.position) @ normal) / (directions @ normal)
    spots = (origins + directions * distance[..., None]).reshape(-1, 3)
    weights = trimesh.triangles.points_to_barycentric(vertices[[2, 0, 1]][None].repeat(len(spots), 0), spots)
    expected = (weights @ to_linear(corners)[[2, 0, 1]]).reshape(72, 96, 3)
    behind = Mesh([[0, -9, 0], [1, -9, 0], [0, -9, 1]], [[0, 1, 2]])  # makes the CPU cast rays, not rasterise
    for other in ([], [behind]):
        picture = render(scene.with_meshes([*scene.meshes, *other]), camera, samples=1)
        assert picture.mask.sum() > 150
        shown = to_linear(picture.color / 255)[picture.mask] / [0.96, 0.99, 1.06]
        share = shown / shown.sum(1, keepdims=True)  # shading at a grazing angle dims all three alike
        wanted = expected[picture.mask] / expected[picture.mask].sum(1, keepdims=True)
        np.testing.assert_allclose(share, wanted, atol=0.015)


def capsule_depth(camera, start, end, radius, steps=400):
    """Sphere tracing of the exact distance in float64: slow, and nothing like the closed form under test."""
    origins, directions = camera.rays()
    axis, t = np.subtract(end, start), np.zeros(directions.shape[:2])
    for _ in range(steps):
        offset = origins + t[..., None] * directions - start
        along = np.clip(offset @ axis / max(axis @ axis, 1e-18), 0, 1)
        gap = np.linalg.norm(offset - along[..., None] * axis, axis=-1) - radius
        t += np.maximum(gap, 0)
    hit = gap < 1e-5
    return np.where(hit, t * (directions @ camera.rotation[2]), np.inf)


@pytest.mark.parametrize(
    ("start", "end", "radius"),
    [
        ((-0.5, 0, 0.5), (0.6, 0.3, 1.2), 0.2),
        ((0, -1, 0.8), (0, 1.5, 0.8), 0.3),  # nearly end-on
        ((0, 1.5, 0.8), (0, -1, 0.8), 0.3),  # from the other end
        ((0, 0, 0.8), (0, 0, 0.8), 0.5),  # a sphere
        ((0.2, 0, 0.8), (0.2, 1e-7, 0.8), 0.3),  # almost one
        ((0, 0, -3), (0, 0, 4), 0.02),  # thin and longer than the picture
    ],
)
def test_capsules_equal_sphere_tracing(start, end, radius):
    camera = Camera.look_at((0.1, -4, 0.9), (0, 0, 0.8), fov_degrees=35, size=SIZE)
    picture = render(Scene(capsules=[Capsules([start], [end], radius)], ground=None), camera)
    expected = capsule_depth(camera, np.array(start, float), np.array(end, float), radius)
    assert (picture.mask != np.isfinite(expected)).sum() <= 2
    both = picture.mask & np.isfinite(expected)
    assert both.any()
    # at grazing rays the depth runs away with the rounding of float32
    error = np.abs(picture.depth[both] - expected[both])
    assert np.median(error) < 1e-5 and np.quantile(error, 0.98) < 2e-3


def test_many_capsules_and_a_mesh_hide_each_other_rightly():
    rng = np.random.default_rng(4)
    starts = rng.uniform([-1, -1, 0.2], [1, 1, 1.6], (20, 3))
    ends = starts + rng.normal(size=(20, 3)) * 0.4
    groups = [Capsules(starts[:9], ends[:9], 0.1), Capsules(starts[9:], ends[9:], rng.uniform(0.03, 0.2, 11))]
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    mesh = Mesh(ball.vertices + np.array([0, 0, 0.8]), ball.faces)
    camera = Camera.look_at((2, -4, 2), (0, 0, 0.8), fov_degrees=35, size=SIZE)
    picture = render(Scene([mesh], groups), camera)
    layers = [render(Scene([mesh]), camera).depth]
    layers += [
        np.min([capsule_depth(camera, *end, r, 60) for *end, r in zip(g.starts, g.ends, g.radii)], axis=0)
        for g in groups
    ]
    nearest = np.where(np.isinf(np.min(layers, axis=0)), -1, np.argmin(layers, axis=0))
    assert (picture.ids != nearest).mean() < 0.002


def test_capsules_reaching_behind_the_camera_and_around_it():
    camera = Camera.look_at((0, -4, 0.8), (0, 0, 0.8), size=SIZE)
    through = Scene(capsules=[Capsules([[0.3, -6, 0.6]], [[0.1, 0, 0.8]], 0.05)], ground=None)
    assert 20 < render(through, camera).mask.sum() < 3000
    around = Scene(capsules=[Capsules([[0, -6, 0.8]], [[0, 0, 0.8]], 0.5)], ground=None)
    picture = render(around, camera)
    assert picture.mask.all() and (picture.depth == 0).all()


def test_the_same_picture_again(two_meshes):
    meshes, camera = two_meshes
    first = render(Scene(meshes), camera)
    others = [
        render(Scene(meshes), camera),
        *(make_renderer(threads=n).render(Scene(meshes), camera) for n in (1, 3)),
    ]
    for other in others:
        np.testing.assert_array_equal(first.color, other.color)
        np.testing.assert_array_equal(first.depth, other.depth)


def test_edges_are_the_same_on_any_number_of_threads():
    """Many edges, many times: edge pixels are numbered, and no two threads may take the same number."""
    generator = np.random.default_rng(0)
    chip = trimesh.creation.icosphere(subdivisions=0, radius=0.03)
    spots = generator.uniform([-1, -1, 0], [1, 1, 2], (1500, 3))
    vertices = (chip.vertices + spots[:, None]).reshape(-1, 3)
    faces = (chip.faces + np.arange(len(spots))[:, None, None] * len(chip.vertices)).reshape(-1, 3)
    scene = Scene([Mesh(vertices, faces)], ground=None, lights=FLAT)
    camera = Camera.look_at((0, -4, 1), (0, 0, 1), fov_degrees=30, size=(384, 384))
    one, many = make_renderer(threads=1), make_renderer(threads=8)
    expected = one.render(scene, camera).color
    for _ in range(25):
        np.testing.assert_array_equal(many.render(scene, camera).color, expected)


def test_refitting_equals_building_anew(two_meshes):
    meshes, camera = two_meshes
    turn = trimesh.transformations.rotation_matrix(2.1, [1, 2, 3])[:3, :3]
    moved = [mesh.moved(mesh.vertices @ turn.T * 0.8 + [0, 0, 0.4]) for mesh in meshes]
    warm = make_renderer(threads=1)
    warm.render(Scene(meshes), camera)
    refitted, built = warm.render(Scene(moved), camera), make_renderer(threads=1).render(Scene(moved), camera)
    assert (refitted.ids != built.ids).mean() < 1e-3
    difference = np.abs(refitted.color.astype(int) - built.color.astype(int))
    assert (difference > 2).mean() < 1e-3


def test_other_faces_are_noticed(two_meshes):
    meshes, camera = two_meshes
    drawer = make_renderer(threads=1)
    for scene in (Scene(meshes), Scene(meshes[:1]), Scene(meshes[::-1]), Scene(), Scene(meshes)):
        expected = make_renderer(threads=1).render(scene, camera)
        np.testing.assert_array_equal(drawer.render(scene, camera).ids, expected.ids)


def test_ground_squares_lie_where_they_should():
    camera = Camera.look_at((0.3, -3, 4), (0, 0, 0), fov_degrees=40, size=(320, 240))
    ground = Ground(square=0.5, fade=(50, 100))
    picture = render(Scene(ground=ground), camera)
    assert not picture.mask.any() and (picture.ids == -1).all()
    x, y = np.meshgrid(np.arange(-1.25, 1.3, 0.5), np.arange(-1.25, 1.3, 0.5))
    pixels, _ = camera.project(np.stack([x, y, np.zeros_like(x)], axis=-1))
    shown = picture.color[pixels[..., 1].astype(int), pixels[..., 0].astype(int)]
    odd = (np.floor(x / 0.5) + np.floor(y / 0.5)).astype(int) % 2 == 1
    light, dark = (np.round(np.array(c) * 255) for c in (ground.light, ground.dark))
    expected = np.where(odd[..., None], light, dark)
    same = (
        np.abs(shown - expected).max() <= 1
        or np.abs(shown - np.where(odd[..., None], dark, light)).max() <= 1
    )
    assert same


def test_ground_is_smooth_towards_the_horizon_and_missed_above_it():
    camera = Camera.look_at((0, -3, 1), (0, 0, 1), size=(200, 200))
    picture = render(Scene(ground=Ground(square=0.1, fade=(40, 90))), camera).color.astype(int)
    far = picture[103:108]  # squares much smaller than a pixel: their mean, not noise
    assert np.abs(np.diff(far, axis=1)).max() <= 3
    assert len(np.unique(picture[:95, :, 0], axis=1).T) == 1  # the backdrop is one colour along a row


def test_figures_darken_the_ground_below_them():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.3)
    mesh = Mesh(ball.vertices + np.array([0, 0, 0.3]), ball.faces)
    camera = Camera.look_at((0, -4, 3), (0, 0, 0), fov_degrees=30, size=(200, 200))
    plain = Scene([mesh], ground=Ground(light=(0.8, 0.8, 0.8), dark=(0.8, 0.8, 0.8), fade=(50, 60)))
    with_shadow = render(plain, camera)
    without = render(replace(plain, lights=Lights(shadows=False)), camera)
    np.testing.assert_array_equal(with_shadow.mask, without.mask)
    bare = ~without.mask
    assert (with_shadow.color[bare].astype(int) <= without.color[bare].astype(int) + 1).all()
    drop = without.color[..., 0].astype(int) - with_shadow.color[..., 0]
    assert drop[bare].max() > 60 and (drop[bare] < 3).mean() > 0.5
    capsule = Scene(capsules=[Capsules([[0, 0, 0.3]], [[0, 0, 0.3]], 0.3)], ground=plain.ground)
    by_capsule = render(capsule, camera)
    outside = bare & ~by_capsule.mask
    difference = np.abs(by_capsule.color[outside].astype(int) - with_shadow.color[outside])
    assert (
        difference > 10
    ).mean() < 0.002  # the mesh is a little smaller than the sphere: a few pixels at its edge


@pytest.mark.parametrize("direction", [(1, 0, 1), (-0.8, -0.5, 1), (0, 0, 1)])
def test_shadows_fall_away_from_the_light(direction):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.2)
    mesh = Mesh(ball.vertices + np.array([0, 0, 1]), ball.faces)
    lights = Lights(direction=direction, follows_camera=False)
    scene = Scene([mesh], ground=Ground(light=(0.8,) * 3, dark=(0.8,) * 3, fade=(50, 60)), lights=lights)
    camera = Camera.look_at((0, -4, 4), (0, 0, 0.3), fov_degrees=40, size=(200, 200))
    picture = render(scene, camera)
    spot = (
        np.array([0, 0, 1]) - np.array(direction) / direction[2]
    )  # the ball's centre thrown along the light
    pixels = camera.project(np.array([spot, [0, -1, 0]]))[0].astype(int)
    (in_shadow, in_light) = picture.color[pixels[:, 1], pixels[:, 0], 1].astype(int)
    assert in_light >= 200 and in_shadow < 160
    np.testing.assert_allclose(key_direction(scene, camera), direction / np.linalg.norm(direction))


def test_the_light_can_turn_with_the_camera():
    scene = Scene(lights=Lights(direction=(1, 0, 1)))  # from the right of the picture, above
    for eye, right in (((0, -5, 1), (1, 0, 0)), ((5, 0, 1), (0, 1, 0)), ((0, 1e-9, 5), None)):
        key = key_direction(scene, Camera.look_at(eye, (0, 0, 1 if eye[2] < 2 else 0)))
        assert np.linalg.norm(key) == pytest.approx(1) and key[2] == pytest.approx(np.sqrt(0.5))
        if right:
            assert key @ right == pytest.approx(np.sqrt(0.5))


def test_edges_are_smoothed():
    camera = Camera.look_at((0, -4, 0.8), (0, 0, 0.8), size=SIZE)
    scene = Scene(
        capsules=[Capsules([[0, 0, 0.8]], [[0, 0, 0.8]], 0.6, (0, 0, 0))], ground=None, background=(1, 1, 1)
    )
    grey = {n: render(scene, camera, samples=n).color[..., 1] for n in (1, 2, 4)}
    between = {n: ((g > 80) & (g < 240)).sum() for n, g in grey.items()}
    assert between[1] == 0 and between[2] > 40
    # coverage of the disc by a closed form: the radius of its outline on the image
    radius = camera.fx * 0.6 / np.sqrt(4**2 - 0.6**2)
    dark = 1 - to_linear(grey[4] / 255.0)
    assert dark.sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_the_camera_inside_a_mesh_is_refused():
    box = trimesh.creation.box((2, 2, 2))
    mesh = Mesh(box.vertices, box.faces)
    assert winding_number(mesh, np.zeros(3)) == pytest.approx(1)
    assert winding_number(mesh, np.array([3.0, 0, 0])) == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="inside mesh 0"):
        render(Scene([mesh]), Camera.look_at((0.2, 0, 0), (5, 0, 0), size=SIZE))
    room = Mesh(box.vertices, box.faces[:, ::-1])  # a room, seen from within, is no mistake
    assert render(Scene([room], ground=None), Camera.look_at((0.2, 0, 0), (5, 0, 0), size=SIZE)).mask.all()


def test_what_cannot_be_drawn():
    camera = Camera.look_at((0, -4, 1), (0, 0, 1), size=SIZE)
    with pytest.raises(InputError, match="samples"):
        render(Scene(), camera, samples=0)
    with pytest.raises(InputError, match="too large"):
        Raycaster("cpu").render(Scene(), replace(camera, width=4000, height=4000), samples=8, everywhere=True)
    with pytest.raises(ConfigError, match="nvdiffrast"):
        render(Scene(), camera, backend="nvdiffrst")
    with pytest.raises(ConfigError, match="device"):
        render(Scene(), camera, device="cuda:77")


def test_light_samples_cover_the_mesh():
    ball = trimesh.creation.icosphere(subdivisions=5)
    chosen, spread = light_samples(ball.faces, len(ball.vertices))
    assert 0.03 < len(chosen) / len(ball.vertices) < 0.35
    np.testing.assert_allclose(spread @ np.ones(len(chosen)), 1, rtol=1e-5)
    # a smooth light is carried to all vertices nearly unchanged
    light = ball.vertices[:, 2]
    assert np.abs(spread @ light[chosen] - light).max() < 0.05


def test_vertices_at_one_place_are_one():
    """A quad whose triangles share no vertices."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    first, places = same_places(corners)
    assert first.tolist() == [0, 1, 2, 5]
    assert places.tolist() == [0, 1, 2, 0, 2, 3]


def test_coarse_faces_cast_the_shadow_of_all_faces():
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.3)
    chosen, _ = light_samples(ball.faces, len(ball.vertices))
    coarse = trimesh.Trimesh(
        ball.vertices, coarse_faces(ball.faces, len(ball.vertices), chosen), process=False
    )
    assert coarse.is_watertight and len(coarse.faces) < 0.4 * len(ball.faces)
    assert set(np.unique(coarse.faces)) <= set(chosen.tolist())
    mesh = Mesh(ball.vertices + np.array([0, 0, 0.3]), ball.faces)
    scene, camera = Scene([mesh]), Camera.look_at((0, -4, 3), (0, 0, 0), fov_degrees=30, size=(200, 200))
    caster = Raycaster("cpu", threads=1)
    image = caster.render(scene, camera)
    caster._figures.coarse = caster._figures.faces  # every face casts a shadow
    exact = caster.render(scene, camera)
    bare = caster.render(replace(scene, lights=Lights(shadows=False)), camera)
    ground = ~image.mask
    colors = [one.color[ground].astype(int) for one in (image, exact, bare)]
    assert np.abs(colors[1] - colors[2]).max() > 60
    assert np.abs(colors[0] - colors[1]).max() < 12 and np.abs(colors[0] - colors[1]).mean() < 0.1


def test_a_camera_that_is_rolled_sees_the_same_ground():
    """Rows that are not horizontal take the general path; turned by 180 degrees, the image is upside down."""
    level = Camera.look_at((0.3, -3, 2), (0, 0, 0), fov_degrees=40, size=(120, 120))
    scene = Scene(background=(0.9, 0.9, 0.9))  # of one colour: a backdrop follows the image, not the world
    image = render(scene, level).color.astype(int)
    for angle, back in ((np.pi / 2, 1), (np.pi, 2)):
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        matrix = level.world_to_camera.copy()
        matrix[:3] = turn @ matrix[:3]
        rolled = render(scene, replace(level, world_to_camera=matrix)).color.astype(int)
        difference = np.abs(np.rot90(rolled, back) - image)
        assert difference.max() <= 6 and difference.mean() < 0.2


def test_nothing_is_printed():
    program = (
        "import numpy as np\nfrom contrapposto.render import *\n"
        "scene = Scene(capsules=[Capsules(np.zeros((1, 3)), np.ones((1, 3)), 0.1)])\n"
        "render(scene, Camera.look_at((0, -4, 1), (0, 0, 1)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "" and done.stderr == ""


@pytest.mark.gpu
def test_cuda_draws_what_the_cpu_draws(two_meshes):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    meshes, camera = two_meshes
    scene = Scene(meshes, [Capsules([[1, 0, 0.3]], [[1, 0.5, 1]], 0.1)])
    cpu, gpu = (render(scene, camera, device=device) for device in ("cpu", "cuda:0"))
    assert (cpu.ids != gpu.ids).mean() < 1e-3
    assert (np.abs(cpu.color.astype(int) - gpu.color) > 3).mean() < 5e-3


def test_rays_see_what_the_rasteriser_sees(two_meshes):
    # With a vertex behind the camera the CPU casts rays at pixel centres, too; else it rasterises.
    meshes, camera = two_meshes
    behind = camera.position - 2 * camera.rotation[2]
    speck = Mesh(behind + np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]]), [[0, 1, 2]])
    scene = Scene(meshes, lights=Lights(shadows=False))
    drawn, cast = render(scene, camera), render(scene.with_meshes([*meshes, speck]), camera)
    sure = interior(drawn.ids)
    np.testing.assert_array_equal(drawn.ids[sure], cast.ids[sure])
    both = drawn.mask & cast.mask & sure
    np.testing.assert_allclose(drawn.depth[both], cast.depth[both], atol=1e-4)
    assert (np.abs(drawn.color[both].astype(int) - cast.color[both]) > 2).mean() < 2e-3


def test_colours_of_vertices_are_enough_for_small_faces():
    # Of many faces the CPU colours vertices; of few ones, and by rays, each pixel.
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.6)
    wave = 1 + 0.1 * np.sin(9 * ball.vertices[:, :1]) * np.sin(7 * ball.vertices[:, 2:])
    mesh = Mesh(ball.vertices * wave + np.array([0, 0, 0.8]), ball.faces, (0.8, 0.3, 0.2))
    camera = Camera.look_at((1.2, -4, 2), (0, 0, 0.8), fov_degrees=30, size=(300, 300))
    behind = camera.position - 2 * camera.rotation[2]
    speck = Mesh(behind + np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]]), [[0, 1, 2]])
    scene = Scene([mesh], lights=Lights(shadows=False))
    drawn, cast = render(scene, camera), render(scene.with_meshes([mesh, speck]), camera)
    both = drawn.mask & cast.mask & interior(drawn.ids)
    different = np.abs(drawn.color[both].astype(int) - cast.color[both])
    assert both.sum() > 15_000 and 0 < different.max() <= 8 and different.mean() < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_no_pinholes_between_small_faces(seed):
    # A convex body of 49,152 faces, many smaller than a pixel, has no hole in its outline from any side.
    box = trimesh.creation.box((1, 1.3, 0.8))
    for _ in range(6):
        box = box.subdivide()
    turn = trimesh.transformations.random_rotation_matrix(np.random.default_rng(seed).uniform(size=3))[:3, :3]
    mesh = Mesh(box.vertices @ turn.T, box.faces)
    mask = render(Scene([mesh], ground=None), Camera.look_at((0, -3, 0), (0, 0, 0), size=(300, 300))).mask
    assert mask.sum() > 10_000
    np.testing.assert_array_equal(mask, binary_fill_holes(mask))


@pytest.mark.parametrize("factor", [1 / 64, 4, 256])
def test_a_scene_of_another_size_looks_the_same(factor):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.4)
    box = trimesh.creation.box((0.3, 0.3, 1.6)).subdivide().subdivide().subdivide()
    pictures = []
    for size in (1, factor):
        meshes = [
            Mesh((m.vertices + np.array(p)) * size, m.faces)
            for m, p in ((ball, (0.5, 0, 0.4)), (box, (0, 0, 0.8)))
        ]
        ground = Ground(square=0.5 * size, fade=(3 * size, 6 * size))
        camera = Camera.look_at(np.array([1, -4, 2]) * size, np.array([0, 0, 0.7]) * size, size=SIZE)
        pictures.append(render(Scene(meshes, ground=ground), camera).color.astype(int))
    difference = np.abs(pictures[0] - pictures[1])
    assert difference.mean() < 0.5 and np.quantile(difference, 0.99) < 12


@pytest.mark.parametrize("kind", ["mesh", "capsules"])
def test_projected_shadows_are_those_of_rays(kind):
    """The two ways to find what is blocked on the ground: projection, texel by texel, and rays."""
    import warp as wp

    from contrapposto.render import light_kernels, warp_types
    from contrapposto.render.lighting import cone, hemisphere_directions
    from contrapposto.render.raycast import Raycaster

    capsules = Capsules(
        np.array([[0.1, 0.2, 0.3], [-0.3, 0.1, 0.05]]),
        np.array([[0.2, -0.2, 0.6], [-0.3, 0.3, 0.05]]),
        np.array([0.08, 0.06]),
    )
    scene = Scene([capsules.to_mesh()]) if kind == "mesh" else Scene(capsules=[capsules])
    camera = Camera.look_at((2.0, -2.0, 1.5), (0.0, 0.0, 0.3), size=(64, 64))
    caster = Raycaster("cpu", threads=1)
    solids, _ = caster.prepare(scene, camera)
    corner, texel, shape = wp.vec3(-1.0, -1.0, 0.002), 0.02, (100, 110)
    towards = cone(np.array([-0.4, 0.5, 0.8]) / np.linalg.norm([-0.4, 0.5, 0.8]), 0.1, 4)
    upper = hemisphere_directions(4)
    projected = wp.empty(shape, dtype=wp.vec3, device="cpu")
    caster._ground_light._cast_shadows(scene, solids, corner, texel, towards, upper, projected)
    cast = wp.empty(shape, dtype=wp.vec3, device="cpu")
    arguments = [solids.mesh, solids.capsules, solids.num_casting, corner, texel]
    arguments += [wp.array(towards, dtype=wp.vec3), wp.array(upper, dtype=wp.vec3), scene.scale, 0, cast]
    wp.launch(light_kernels.light_ground, dim=shape, inputs=arguments, device="cpu")
    first, second = projected.numpy(), cast.numpy()
    assert warp_types.FAR > 1e5 and (second[..., 0] > 0).mean() > 0.02 and (second[..., 2] > 0).any()
    different = (np.abs(first - second) > 1e-3).any(-1)
    # texels whose ray grazes an edge may differ, and those whose ray leaves the ground inside of a foot
    assert different.mean() < 0.004, different.mean()


def test_marks_cast_no_shadow():
    ball = {"starts": np.array([[0, 0, 0.3]]), "ends": np.array([[0, 0, 0.3]]), "radii": 0.1}
    camera = Camera.look_at((0.0, -3.0, 2.5), (0.0, 0.0, 0.2), size=(160, 120))
    images = [
        render(Scene(capsules=[Capsules(**ball, casts=casts)]), camera).color[:, :, 0].astype(int)
        for casts in (True, False)
    ]
    bare = render(Scene(), camera).color[:, :, 0].astype(int)
    seen = [(np.abs(image - bare) > 8).sum() for image in images]
    assert seen[0] > 1.5 * seen[1] > 0


def test_the_grounds_texture_is_cut_to_what_is_dark():
    from contrapposto.render.ground_light import _cut

    light = np.zeros((40, 50, 3), np.float32)
    light[10:15, 20:22, 1], light[30, 7, 0], light[2, 2, 2] = 0.5, 0.01, 1e-5
    part, (row, column) = _cut(light)
    np.testing.assert_array_equal(part, light[row : row + part.shape[0], column : column + part.shape[1]])
    assert part.sum() == pytest.approx(light.sum() - 1e-5) and part.shape[:2] == (23, 17)
    assert not part[[0, -1]].any() and not part[:, [0, -1]].any()  # light ends within: nothing is cut through
    assert min(_cut(np.zeros((9, 9, 3), np.float32))[0].shape[:2]) == 2
