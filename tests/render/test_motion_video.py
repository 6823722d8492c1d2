"""Videos and sheets of clips, small ones, read back."""

from dataclasses import replace

import av
import numpy as np
import pytest
import trimesh
from PIL import Image

from contrapposto.errors import ConfigError, InputError
from contrapposto.motion import Label, Motion
from contrapposto.render import COOL, WARM, Camera, render_motion_sheet, render_motion_video
from contrapposto.render.drawables import AnimatedFigure, bones, figure_height
from contrapposto.render.staging import figure_colors
from contrapposto.render.text import draw_text
from contrapposto.skeleton import SMPLH52, Skeleton

SIZE = (120, 136)


def walk(frames=20, fps=20.0, speed=1.0):
    """An upright figure that slides forward (towards -y)."""
    rotations = np.zeros((frames, 52, 3), np.float32)
    rotations[:, 0, 0] = np.pi / 2
    place = np.zeros((frames, 3), np.float32)
    place[:, 1] = -speed * np.arange(frames) / fps
    place[:, 2] = -SMPLH52.rest_positions[:, 1].min() + 0.03
    # SMPL rest positions are y up with the origin near the pelvis: the pelvis itself must stay where it was
    rest = SMPLH52.rest_positions[0]
    place -= [0, -rest[2], 0]
    return Motion(rotations, place, fps, labels=(Label("walk forward", 0, 0.5),))


def read(path):
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def blue_and_orange(picture):
    red, blue = picture[..., 0].astype(int), picture[..., 2].astype(int)
    return blue - red > 40, red - blue > 40


def test_two_panels_with_the_same_camera(tmp_path):
    calls = []
    clip = walk()
    path = render_motion_video(
        tmp_path / "two.mp4",
        {"reconstruction": clip, "truth": clip.frames(0, 10)},
        size=SIZE,
        fps=10,
        progress=lambda done, total: calls.append((done, total)),
    )
    shown = read(path)
    assert shown.shape == (10, SIZE[1], 2 * SIZE[0], 3) and calls[-1] == (10, 10)
    inner = slice(30, 110)  # between the titles and the captions
    left, right = shown[:, inner, 2 : SIZE[0]], shown[:, inner, SIZE[0] + 2 :]
    # the same pose, blue for the truth and orange for the rest
    for first, second in zip(left[:5], right[:5]):
        orange, blue = blue_and_orange(first)[1], blue_and_orange(second)[0]
        assert orange.sum() > 400
        overlap = (orange[:, : blue.shape[1]] & blue[:, : orange.shape[1]]).sum()
        assert overlap > 0.75 * max(orange.sum(), blue.sum())
        assert blue_and_orange(first)[0].sum() < 20 and blue_and_orange(second)[1].sum() < 20


def test_the_whole_figure_is_in_every_frame_and_the_ground_moves(tmp_path):
    shown = read(render_motion_video(tmp_path / "one.mp4", {"": walk(40, speed=2)}, size=SIZE, fps=10))
    figures = np.stack([blue_and_orange(frame)[0] for frame in shown])
    assert (figures.sum((1, 2)) > 400).all()
    assert not figures[:, :, [0, -1]].any() and not figures[:, [0, -1]].any()
    centres = [np.argwhere(figure).mean(0) for figure in figures]
    assert np.abs(np.diff(centres, axis=0)).max() < 2  # the camera keeps up with the figure
    corner = shown[:, -50:-25, -25:].astype(int)
    assert np.abs(np.diff(corner, axis=0)).max() > 20  # and the squares pass by


@pytest.mark.parametrize("style", ["panels", "overlay"])
@pytest.mark.parametrize("camera", ["each", "fixed"])
def test_styles_and_cameras(tmp_path, style, camera):
    clips = {"a": walk(4), "b": walk(6)}
    path = render_motion_video(tmp_path / "x.mp4", clips, size=(64, 64), fps=20, camera=camera, style=style)
    assert read(path).shape == (6, 64, 128 if style == "panels" else 64, 3)


def test_a_camera_of_ones_own_and_many_panels(tmp_path):
    camera = Camera.look_at((0, -5, 1), (0, 0, 1), size=(48, 32))
    clips = {str(i): walk(2) for i in range(5)}
    shown = read(render_motion_video(tmp_path / "x.mp4", clips, fps=20, camera=camera))
    assert shown.shape == (2, 64, 3 * 48, 3)  # five panels: a row of three, a row of two


def test_other_skeletons_are_drawn_as_bones(tmp_path):
    names, parents = ("hips", "chest", "head", "arm"), (-1, 0, 1, 1)
    offsets = np.array([[0, 0, 0], [0, 0.5, 0], [0, 0.5, 0], [0.6, 0, 0]], np.float32)
    rotations = np.zeros((5, 4, 3), np.float32)
    rotations[:, 0, 0] = np.pi / 2
    clip = Motion(
        rotations, np.zeros((5, 3), np.float32), 20, skeleton=Skeleton("stick", names, parents, offsets)
    )
    assert AnimatedFigure(clip, COOL).body is None
    shown = read(render_motion_video(tmp_path / "x.mp4", {"bones": clip}, size=(96, 96), fps=20))
    assert blue_and_orange(shown[2])[0].sum() > 50


def test_bones_join_the_joints():
    positions = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 1]], np.float32)
    skeleton = Skeleton(
        "line", ("root", "middle", "tip"), (-1, 0, 1), np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]])
    )
    capsules = bones(positions, skeleton, COOL)
    np.testing.assert_array_equal(capsules.starts, positions[[0, 1]])
    np.testing.assert_array_equal(capsules.ends, positions[[1, 2]])
    headed = bones(positions, replace(skeleton, joint_names=("root", "middle", "Head")), COOL)
    assert len(headed.starts) == 3 and headed.starts[2, 0] > 1 and headed.radii[2] > 2 * headed.radii[0]
    lone = Skeleton("point", ("root",), (-1,), np.zeros((1, 3)))
    assert len(bones(positions[:1], lone, COOL).starts) == 1


def test_clips_that_part_get_cameras_of_their_own(tmp_path):
    clips = {"there": walk(30, speed=3), "here": walk(30, speed=0)}
    sizes = {}
    for camera in ("auto", "follow"):
        shown = read(render_motion_video(tmp_path / "x.mp4", clips, size=SIZE, fps=10, camera=camera))
        sizes[camera] = blue_and_orange(shown[-1, :, SIZE[0] :])[1].sum()
    assert sizes["auto"] > 1.5 * sizes["follow"]


def test_the_skinned_figure_surrounds_its_joints():
    clip = walk(2)
    mesh = AnimatedFigure(clip, COOL).frames(0, 1)[0]
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    joints = clip.joint_positions()[0][[0, 3, 6, 1, 2, 4, 5]]
    nearest = np.linalg.norm(solid.vertices[:, None] - joints, axis=-1).min(0)
    assert (nearest < 0.2).all() and 1.4 < np.ptp(mesh.vertices[:, 2]) < 2.2
    assert figure_height(clip.skeleton) == pytest.approx(np.ptp(clip.skeleton.rest_positions, axis=0).max())


@pytest.mark.parametrize(
    ("titles", "blue"),
    [(["x"], 0), (["truth", "prediction"], 0), (["prediction", "Truth (CMU)"], 1), (["a", "b", "c"], 0)],
)
def test_the_truth_is_blue(titles, blue):
    colors = figure_colors(titles)
    assert colors[blue] == COOL and len(set(colors)) == len(titles)
    if len(titles) == 2:
        assert colors[1 - blue] == WARM


def test_sheet(tmp_path):
    path = render_motion_sheet(tmp_path / "sheet.png", walk(30), count=5, height=200)
    picture = np.asarray(Image.open(path))
    assert picture.shape[0] == 200 and picture.shape[1] > 200
    columns = blue_and_orange(picture)[0][40:170].any(0)
    figures = np.diff(np.concatenate([[0], columns.astype(int)])).clip(0).sum()
    assert figures == 5


def test_text_stays_where_it_belongs():
    blank = np.full((60, 200, 3), 128, np.uint8)
    image = blank.copy()
    draw_text(image, "title", (10, 5), size=14, dot=(1, 0, 0))
    changed = np.argwhere((image != blank).any(-1))
    assert (
        changed.min(0)[0] >= 5
        and changed.min(0)[1] >= 10
        and changed.max(0)[0] < 32
        and changed.max(0)[1] < 90
    )
    assert (image.min(-1) < 90).any() and ((image[..., 0] > 200) & (image[..., 1] < 60)).any()
    for anchor, place in (("right bottom", (199, 59)), ("centre top", (0, 0)), ("left bottom", (500, 500))):
        draw_text(
            image,
            "a very long caption that does not fit into the picture at all, ever",
            place,
            size=14,
            anchor=anchor,
        )
    before = image.copy()
    draw_text(image, "", (0, 0), size=14)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"clips": {}}, InputError, "no clip"),
        ({"fps": 0}, InputError, "frames/s"),
        ({"size": (0, 10)}, InputError, "size"),
        ({"camera": "folow"}, ConfigError, "follow"),
        ({"style": "stacked"}, ConfigError, "style"),
        ({"backend": "opengl"}, ConfigError, "back-end"),
        ({"path": "x.gif"}, InputError, "mp4"),
    ],
)
def test_what_cannot_be_drawn(tmp_path, change, error, word):
    arguments = {"path": "x.mp4", "clips": {"a": walk(2)}, "size": (32, 32), **change}
    path = tmp_path / arguments.pop("path")
    with pytest.raises(error, match=word):
        render_motion_video(path, arguments.pop("clips"), **arguments)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError):
        render_motion_sheet(tmp_path / "x.png", walk(2), count=0)


def test_labels_are_captions(tmp_path):
    clip = replace(walk(20), labels=(Label("wave", 0, 0.5),))
    shown = read(render_motion_video(tmp_path / "x.mp4", {"": clip}, size=SIZE, fps=20, camera="fixed"))
    lower = shown[:, -24:, :60].astype(int)
    assert np.abs(lower[2] - lower[8]).mean() < 4 < np.abs(lower[2] - lower[15]).mean()
