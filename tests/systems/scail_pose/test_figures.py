"""Motion without a video: where joints land in the picture, skeletons of other creatures, files of all kinds."""

import json

import numpy as np
import pytest

from contrapposto.errors import ConfigError, ContrappostoError, InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.camera import project
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.drawn_motion import clip_of_joints, clip_of_motion, read_figure
from contrapposto.systems.scail_pose.known_motion import read_source
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look
from contrapposto.systems.scail_pose.process import draw
from contrapposto.systems.scail_pose.settings import Settings

DOG = {
    "joints": ["head", "neck", "hip", "tail", "fore paw", "hind paw"],
    "limbs": [["head", "neck"], ["neck", "hip"], ["hip", "tail"], ["neck", "fore paw"], ["hip", "hind paw"]],
    "colors": [[255, 0, 0], [255, 160, 0], [255, 255, 0], [0, 255, 0], [0, 0, 255]],
    "radius": [40, 45, 12, 18, 18],
}
STANDING = np.array(
    [[400, -150, 0], [300, -50, 0], [-300, -50, 0], [-450, -120, 0], [300, 300, 40], [-300, 300, -40]], float
)


@pytest.fixture(scope="module")
def walk():
    return generate("walk", seconds=1.0, seed=0, fps=16)


@pytest.fixture
def dog(tmp_path):
    path = tmp_path / "dog.json"
    path.write_text(json.dumps(DOG))
    return path


@pytest.mark.parametrize("turn", [0, 90, 200])
def test_motion_fills_the_picture_upright(walk, turn):
    clip, figure = clip_of_motion(walk, 96, 160, turn=turn)
    assert figure is None and len(clip.frames) == walk.num_frames
    joints = np.stack([frame[0].joints for frame in clip.frames])
    pixels = project(joints, clip.intrinsics)
    share = np.abs(pixels[..., :2] / [160, 96] - 0.5) * 2
    assert np.isclose(share.max(), 0.8, atol=1e-3) and (pixels[..., 2] > 0).all()
    assert (pixels[:, 15, 1] < pixels[:, 0, 1]).all() and (pixels[:, 0, 1] < pixels[:, 7, 1]).all()
    right, left = pixels[:, 17, 0].mean(), pixels[:, 16, 0].mean()
    if turn != 90:  # it looks at us, or away
        assert (right < left) == (turn == 0)
    lengths = np.linalg.norm(joints[:, 4] - joints[:, 1], axis=-1)
    assert np.allclose(lengths, lengths[0], rtol=1e-4) and 300 < lengths[0] < 500


def test_bvh_of_any_skeleton(walk, tmp_path):
    write_motion(tmp_path / "walk.bvh", walk)
    motion = read_motion(tmp_path / "walk.bvh", native=True)
    clip, settings = read_source(
        tmp_path / "walk.bvh", 96, 160, Settings(look=Look(attach=True, hide=True), clean=Clean())
    )
    assert len(clip.frames) == motion.num_frames
    assert next(iter(ClipDrawer(clip, settings.look, device="cpu"))).capsules.mask.sum() > 50


def test_dog(dog, tmp_path):
    figure = read_figure(dog)
    joints = STANDING + np.array([0, 0, 1500])
    clip = clip_of_joints(np.stack([joints, joints + np.array([40, 0, 0])])[:, None], 96, 160)
    frame = next(iter(ClipDrawer(clip, Look(figure=figure), device="cpu")))
    places = project(joints, clip.intrinsics)[:, :2].round().astype(int)
    for (a, b), color in zip(figure.limbs, figure.colors):
        x, y = (places[a] + places[b]) // 2
        strong = [part for part in range(3) if color[part] == 255]
        assert frame.capsules.mask[y, x] and set(strong) >= {int(frame.rgb[y, x].argmax())}
    np.savez(tmp_path / "joints.npz", joints=np.stack([joints] * 3), fps=8.0)
    clip, settings = read_source(
        tmp_path / "joints.npz",
        96,
        160,
        Settings(look=Look(attach=True, hide=True), clean=Clean()),
        figure=dog,
    )
    report = draw(clip, tmp_path / "out", settings)
    assert report["frames"] == 3 and report["fps"] == 8 and (tmp_path / "out" / "rendered.mp4").exists()
    with pytest.raises(ConfigError, match="figure"):
        read_source(tmp_path / "joints.npz", 96, 160, Settings())


@pytest.mark.parametrize(
    "change",
    [
        {"limbs": [["head", "wing"]]},
        {"limbs": []},
        {"colors": [[300, 0, 0]] * 5},
        {"radius": [1, 2]},
        {"radius": -1},
        {"joints": None},
    ],
)
def test_wrong_figures(change, tmp_path):
    path = tmp_path / "figure.json"
    path.write_text(json.dumps({**DOG, **change}))
    with pytest.raises(InputError):
        read_figure(path)


def test_wrong_sources(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    (tmp_path / "bad.json").write_text("{}")
    np.savez(tmp_path / "joints.npz", joints=np.zeros((3, 2)))
    figure = tmp_path / "dog.json"
    figure.write_text(json.dumps(DOG))
    for name in ("bad.npz", "bad.json", "none.json", "joints.npz"):
        with pytest.raises(ContrappostoError):
            read_source(tmp_path / name, 96, 160, Settings(), figure=figure)
