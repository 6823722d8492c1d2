"""Motions of the figure out of joints before the camera, against the motions that the joints were taken from."""

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.body_fit import camera_to_world, clip_motions, fit_figure
from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.estimators import Person
from contrapposto.systems.scail_pose.people import ClipPoses

IN_FIGURE = [*range(22), 25, 40]
FPS = 16.0


def seen(motion, tilt=0.0, size=1.0):
    """(T, 24, 3) millimetres before a camera 1.5 m high and 4 m away that looks down by `tilt` degrees."""
    joints = motion.joint_positions()[:, IN_FIGURE] * size
    joints = joints - joints[len(joints) // 2, 0] * [1, 1, 0]
    level = np.stack([joints[..., 0], 1.5 - joints[..., 2], joints[..., 1] + 4], axis=-1)
    sine, cosine = np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
    return 1000 * level @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]).T


@pytest.fixture(scope="module")
def walk():
    return generate("walk", seconds=2.0, seed=1, fps=FPS)


def error(motion, truth):
    """Mean distance of joints in metres, pelvis on pelvis."""
    places = [one.joint_positions()[:, IN_FIGURE] for one in (motion, truth)]
    apart = np.linalg.norm((places[0] - places[0][:, :1]) - (places[1] - places[1][:, :1]), axis=-1)
    return apart.mean()


def test_the_motion_comes_back_whatever_the_size(walk):
    for size in (0.6, 1.0):
        found = fit_figure(seen(walk, size=size), FPS)
        assert found.num_frames == walk.num_frames and found.fps == FPS
        assert error(found, walk) < 0.03
        way = [one.root_translation[-1] - one.root_translation[0] for one in (found, walk)]
        assert np.linalg.norm((way[0] - way[1])[:2]) < 0.1


def test_feet_stand_on_the_floor_even_if_one_seems_lower(walk):
    joints = seen(walk)
    joints[:, [8, 11], 1] += 60
    feet = fit_figure(joints, FPS).joint_positions()[:, [7, 8, 10, 11], 2]
    low = feet.min(axis=0)
    assert abs(low[0] - low[1]) < 0.03 and abs(low[2] - low[3]) < 0.03
    assert -0.03 < low.min() < 0.04


def test_up_is_where_people_stand(walk):
    for tilt in (0.0, 15.0):
        world = camera_to_world([seen(walk, tilt)])
        assert np.allclose(world @ world.T, np.eye(3)) and np.isclose(np.linalg.det(world), 1)
        sine, cosine = np.sin(np.radians(tilt)), np.cos(np.radians(tilt))
        up = world @ np.array([0, -cosine, -sine])  # the world's up as the camera has it
        assert np.degrees(np.arccos(min(up[2], 1.0))) < 5
    assert np.allclose(camera_to_world([]), [[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    assert error(fit_figure(seen(walk, 15.0), FPS), walk) < 0.06


def test_gaps_and_cut_off_legs(walk):
    joints = seen(walk)
    joints[5:9] = np.nan
    assert error(fit_figure(joints, FPS), walk) < 0.05
    joints[:, [1, 2, 4, 5, 7, 8, 10, 11, 0]] = np.nan
    half = fit_figure(joints, FPS)
    upper = [12, 15, 16, 17, 18, 19, 20, 21]
    places = [one.joint_positions()[:, upper] for one in (half, walk)]
    apart = [place - place[:, :1] for place in places]
    assert np.linalg.norm(apart[0] - apart[1], axis=-1).mean() < 0.06
    assert half.joint_positions()[:, 7, 2].max() < half.joint_positions()[:, 0, 2].min() - 0.5


def test_nobody_to_fit(walk):
    with pytest.raises(InputError, match="shoulders"):
        fit_figure(np.full((4, 24, 3), np.nan), FPS)
    with pytest.raises(InputError, match="shape"):
        fit_figure(np.zeros((4, 22, 3)), FPS)


def test_a_clip_gives_a_motion_for_each_person(walk, tmp_path):
    camera = default_intrinsics(512, 896)
    joints, frames = seen(walk).astype(np.float32), []
    for frame in range(len(joints)):
        people = [(0, joints[frame])]
        if 8 <= frame < 24:
            people += [(3, joints[frame] + np.array([900, 0, 0], np.float32))]
        frames.append([])
        for number, places in people:
            points, scores = np.zeros((134, 2), np.float32), np.zeros(134, np.float32)
            points[:24], scores[:24] = project(places, camera)[:, :2], 1
            frames[-1].append(Person(number, np.zeros(4, np.float32), 1.0, points, scores, places))
    motions = clip_motions(ClipPoses(512, 896, FPS, camera, frames))
    assert {number: one.num_frames for number, one in motions.items()} == {0: len(joints), 3: 16}
    assert motions[3].metadata["start"] == "0.500"
    apart = motions[3].joint_positions()[:, 0] - motions[0].joint_positions()[8:24, 0]
    assert np.allclose(apart[:, 0], 0.9, atol=0.1)
    for suffix in (".npz", ".bvh"):
        path = write_motion(tmp_path / f"one{suffix}", motions[0])
        back = read_motion(path)
        assert error(back, motions[0]) < 0.02
    assert write_motion(tmp_path / "one.glb", motions[0]).stat().st_size > 10_000
    assert clip_motions(ClipPoses(512, 896, FPS, camera, [[], []])) == {}
