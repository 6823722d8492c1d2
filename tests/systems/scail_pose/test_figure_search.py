"""Stylised figures in references: found where nobody else is seen, not where there is none, and whom they leave alone."""

import numpy as np
import pytest

from contrapposto.errors import InputError, MissingError
from contrapposto.render import Camera, Mesh, Scene, make_renderer
from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.figure_characters import CharacterMaker
from contrapposto.systems.scail_pose.figure_clutter import clutter
from contrapposto.systems.scail_pose.figure_images import background, figure_image
from contrapposto.systems.scail_pose.figure_net import SHIPPED, FigureNet
from contrapposto.systems.scail_pose.figure_search import FigureFinder, as_person
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, NUM_KEYPOINTS, Person
from contrapposto.systems.scail_pose.reference_people import reference_people

# A figure with a large head, of ellipsoids: middle (x, y up, from the feet), half sizes, colour.
PARTS = [
    ((0, 1.32), (0.36, 0.38, 0.33), (0.9, 0.7, 0.55)),
    ((0, 1.55), (0.38, 0.22, 0.34), (0.3, 0.15, 0.1)),
    ((0, 0.72), (0.21, 0.28, 0.15), (0.8, 0.2, 0.2)),
    *(((side * 0.38, 0.86), (0.24, 0.08, 0.08), (0.8, 0.2, 0.2)) for side in (-1, 1)),
    *(((side * 0.64, 0.86), (0.09, 0.08, 0.08), (0.9, 0.7, 0.55)) for side in (-1, 1)),
    *(((side * 0.12, 0.28), (0.1, 0.28, 0.1), (0.2, 0.25, 0.5)) for side in (-1, 1)),
    *(((side * 0.12, 0.05), (0.11, 0.06, 0.16), (0.25, 0.15, 0.1)) for side in (-1, 1)),
]


class Nobody:
    """Sees nobody."""

    def people(self, frames, intrinsics):
        for _ in frames:
            yield []


@pytest.fixture(scope="module")
def finder():
    return FigureFinder()


def sphere() -> tuple[np.ndarray, np.ndarray]:
    polar, around = np.meshgrid(np.linspace(0, np.pi, 17), np.linspace(0, 2 * np.pi, 33), indexing="ij")
    points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
    corner = (np.arange(16)[:, None] * 33 + np.arange(32)).ravel()
    quads = [[corner, corner + 33, corner + 34], [corner, corner + 34, corner + 1]]
    return points.reshape(-1, 3), np.concatenate([np.stack(triangle, 1) for triangle in quads])


class Shirt:
    """Takes red clothes for somebody."""

    def people(self, frames, intrinsics):
        for frame in frames:
            red = frame.astype(int)
            rows, columns = np.nonzero(
                (red[..., 0] > 90) & (red[..., 1] < 0.5 * red[..., 0]) & (red[..., 2] < 90)
            )
            if not len(rows):
                yield []
                continue
            low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
            places = np.random.default_rng(0).uniform(size=(NUM_KEYPOINTS, 2))
            keypoints = (low + places * (high - low)).astype(np.float32)
            joints = np.full((NUM_JOINTS, 3), np.nan, np.float32)
            box = np.concatenate([low, high]).astype(np.float32)
            yield [Person(0, box, 0.9, keypoints, np.ones(NUM_KEYPOINTS, np.float32), joints)]


def chibi(width: int = 640, height: int = 448, *, look_at: float = 0.85, fov: float = 36) -> np.ndarray:
    points, faces = sphere()
    eyes = [((side * 0.13, 1.3), (0.05, 0.08, 0.03), (0.05, 0.05, 0.1)) for side in (-1, 1)]
    meshes = [
        Mesh(points * [a, c, b] + [x, -0.32 if part in eyes else 0, y], faces, color)
        for part in (*PARTS, *eyes)
        for (x, y), (a, b, c), color in (part,)
    ]
    camera = Camera.look_at((0, -5, look_at + 0.05), (0, 0, look_at), fov_degrees=fov, size=(width, height))
    shown = make_renderer("warp", "cpu", 1).render(Scene(meshes, ground=None), camera)
    return np.where(shown.mask[..., None], shown.color, 190).astype(np.uint8)


def test_a_figure_with_a_large_head_is_found_where_the_estimator_sees_nobody():
    (person,) = reference_people(chibi(), Nobody(), 448, 640)
    to_pixels = 640 / (2 * np.tan(np.radians(18))) / 5
    hand = person.keypoints[4] - person.keypoints[7]  # right hand to left hand, across the image
    assert hand[0] < -0.7 * 2 * 0.55 * to_pixels
    middle = person.keypoints[[8, 11]].mean(0)
    assert abs(middle[0] - 320) < 15
    assert abs(middle[1] - (224 + (0.85 - 0.5) * to_pixels)) < 0.15 * 1.75 * to_pixels
    assert person.keypoints[0, 1] < person.keypoints[1, 1] < middle[1] < person.keypoints[[10, 13], 1].min()


def test_a_figure_that_the_image_ends_at_is_found(finder):
    """Head, arms and chest; the image ends above the hips."""
    figure = finder.find(chibi(640, 640, look_at=1.3, fov=20))
    assert figure is not None
    assert figure.box[3] > 500
    assert (figure.scores[[9, 10, 12, 13]] < 0.35).all()  # knees and ankles
    assert abs(figure.points[0, 0] - 320) < 20
    assert figure.points[0, 1] < figure.points[1, 1]


def test_somebody_who_is_only_a_part_of_a_figure_gives_way_to_it():
    image = chibi()
    (person,) = reference_people(image, Shirt(), 448, 640)
    assert person.box[3] - person.box[1] > 250
    clothes = np.full((448, 640, 3), 190, np.uint8)
    clothes[200:260, 300:360] = (200, 50, 50)
    (person,) = reference_people(clothes, Shirt(), 448, 640)  # no figure there
    assert person.box[3] - person.box[1] < 100


def test_its_joints_project_to_its_keypoints(finder):
    figure = finder.find(chibi())
    intrinsics = default_intrinsics(448, 640)
    person = as_person(figure, np.array([1.0, 1.0]), np.zeros(2), intrinsics)
    known = [(16, 5), (17, 2), (18, 6), (20, 7), (1, 11), (7, 13)]
    for joint, slot in known:
        if person.scores[slot] > 0:
            seen = project(person.joints[joint].astype(float), intrinsics)[:2]
            np.testing.assert_allclose(seen, person.keypoints[slot], atol=0.1)


def test_nobody_is_found_in_clutter():
    renderer = make_renderer("warp", "cpu", 1)
    for seed in range(12):
        rng = np.random.default_rng([99, seed])
        image = np.repeat(np.repeat(background(rng, 128), 4, 0), 4, 1)
        vertices, faces, colors = clutter(rng)
        middle, size = vertices.mean(0), np.ptp(vertices, axis=0).max()
        camera = Camera.look_at(middle - [0, 3 * size, 0], middle, fov_degrees=40, size=(512, 512))
        shown = renderer.render(Scene([Mesh(vertices, faces, colors)], ground=None), camera)
        image = np.where(shown.mask[..., None], shown.color, image).astype(np.uint8)
        assert reference_people(image, Nobody(), 448, 448) == [], seed


def test_points_of_drawn_figures_lie_in_their_images():
    maker, renderer = CharacterMaker(), make_renderer("warp", "cpu", 1)
    for seed in range(3):
        image, points = figure_image(renderer, maker, np.random.default_rng(seed), 96)
        low, high = points[:, :2].min(), points[:, :2].max()
        assert image.shape == (96, 96, 4)
        assert low > -5
        assert high < 101
        x, y = points[1, :2].astype(int)  # the neck is inside the figure
        assert image[y, x, 3] == 255


def test_a_missing_and_a_broken_file_have_one_error(tmp_path):
    with pytest.raises(MissingError, match="is not there"):
        FigureNet.from_pretrained(tmp_path / "no.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(InputError):
        FigureNet.from_pretrained(broken)
