"""A texture of the user's own on a figure."""

import io

import numpy as np
import pytest
from PIL import Image

from contrapposto.body import load_body
from contrapposto.errors import ConfigError, InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.mesh import MeshAsset, read_mesh, write_mesh
from contrapposto.mesh.painted import painted
from contrapposto.synthetic import generate
from contrapposto.tasks.base import painted_body
from contrapposto.tasks.motion import Convert
from contrapposto.tasks.predict import compose, predict

RED, BLUE, GREEN, WHITE = (255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)


@pytest.fixture
def quarters(tmp_path):
    """Red and blue for the image's sides of the front, green and white for those of the back."""
    image = np.zeros((8, 16, 3), np.uint8)
    for number, color in enumerate((RED, BLUE, GREEN, WHITE)):
        image[:, 4 * number : 4 * number + 4] = color
    Image.fromarray(image).save(tmp_path / "mine.png")
    return tmp_path / "mine.png"


def color_at(mesh, face):
    """The texture's color in the middle of a face."""
    image = np.asarray(Image.open(io.BytesIO(mesh.materials[0].texture)).convert("RGB"))
    u, v = mesh.texture_coordinates[mesh.texture_faces[face]].mean(0)
    return tuple(int(c) for c in image[int((1 - v) * len(image)), int(u * image.shape[1])])


def test_front_and_back_of_a_figure_have_their_halves(quarters):
    mesh = painted_body(load_body(), quarters, None)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    side = corners.mean(1)[:, 0]
    for facing, left_of_figure, color in (
        (1, False, RED),
        (1, True, BLUE),
        (-1, True, GREEN),
        (-1, False, WHITE),
    ):
        at = (normals[:, 2] * facing > 0.9) & (np.abs(side) > 0.05) & ((side > 0) == left_of_figure)
        assert at.sum() > 50
        assert {color_at(mesh, face) for face in np.flatnonzero(at)[:50]} == {color}


def test_a_layout_is_matched_by_vertices_in_any_order(tmp_path, quarters):
    body = load_body()
    plain = MeshAsset(body.rest_vertices()[0].double().numpy(), body.faces.numpy())
    random = np.random.default_rng(0)
    coordinates, order = random.random((len(plain.faces) * 3, 2)), random.permutation(len(plain.faces))
    corners = np.arange(3 * len(plain.faces)).reshape(-1, 3)
    turned = np.roll(plain.faces, 1, axis=1), np.roll(corners, 1, axis=1)
    layout = MeshAsset(plain.vertices, turned[0][order], coordinates, turned[1][order])
    mesh = painted(plain, quarters, write_mesh(tmp_path / "uv.obj", layout))
    found = mesh.texture_coordinates[mesh.texture_faces]
    np.testing.assert_allclose(found, coordinates[corners], atol=1e-5)
    with pytest.raises(InputError, match="no texture coordinates"):
        painted(plain, quarters, write_mesh(tmp_path / "bare.obj", plain))
    with pytest.raises(InputError, match="body_models"):
        painted(
            plain,
            quarters,
            write_mesh(
                tmp_path / "part.obj",
                MeshAsset(plain.vertices, plain.faces[:9], np.zeros((1, 2)), np.zeros((9, 3), int)),
            ),
        )
    with pytest.raises(InputError, match="PNG or JPEG"):
        painted(plain, tmp_path / "bare.obj")


def test_skins_of_makehuman_fit(tmp_path):
    """In MakeHuman's layout the head lies to the right of the trunk, feet and hands along the lower edge."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:] = GREEN
    image[:54, 41:] = RED
    image[54:] = BLUE
    Image.fromarray(image).save(tmp_path / "skin.png")
    body = load_body()
    mesh = painted_body(body, tmp_path / "skin.png", "makehuman")
    owner = body.skinning.weights[body.faces].mean(1)
    joints = body.skeleton.joint_names
    for joint, color in (("head", RED), ("pelvis", GREEN), ("left_knee", GREEN), ("left_foot", BLUE)):
        chosen = np.flatnonzero(owner[:, joints.index(joint)].numpy() > 0.8)
        colors = [color_at(mesh, face) for face in chosen]
        assert colors and np.mean([found == color for found in colors]) > 0.7, (
            joint
        )  # ears and mouth lie elsewhere
    with pytest.raises(InputError, match="shipped body only"):
        painted(MeshAsset(mesh.vertices, mesh.faces[:9]), tmp_path / "skin.png", "makehuman")


def test_the_command_writes_a_figure_with_it(tmp_path, quarters):
    write_motion(tmp_path / "walk.npz", generate("walk", seconds=0.2))
    words = [f"input={tmp_path / 'walk.npz'}", f"output={tmp_path / 'out'}", f"task.texture={quarters}"]
    (path,) = predict(compose(["task=convert", *words, "task.formats=[glb]"]))
    mesh = read_mesh(path)
    assert mesh.materials[0].texture == quarters.read_bytes()
    assert {color_at(mesh, face) for face in range(0, len(mesh.faces), 7)} >= {RED, BLUE, GREEN, WHITE}
    assert read_motion(path).num_frames == read_motion(tmp_path / "walk.npz").num_frames
    for options in ({"formats": ["npz"], "texture": "a.png"}, {"uv": "a.obj"}, {"gender": "dog"}):
        with pytest.raises(ConfigError):
            Convert(**options)
