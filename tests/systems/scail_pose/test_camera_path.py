"""The way of a camera out of points of the background, and people in a world in which it moves."""

from pathlib import Path

import numpy as np
import pytest

from contrapposto.render import Camera, Ground, Mesh, Scene, render
from contrapposto.systems.scail_pose.background import BackgroundWatch, Tracks
from contrapposto.systems.scail_pose.camera_path import CameraPath, camera_path
from contrapposto.systems.scail_pose.extract import extract
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.jobs import VideoJob
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.process import camera_of, draw
from contrapposto.systems.scail_pose.settings import Settings
from contrapposto.systems.scail_pose.world import at_times, find_floor, in_world

SIZE, FRAMES = (896, 512), 30


def shots(kind):
    """Cameras that stand, turn, and go along."""
    ways = {
        "stands": lambda a: ((0, 0, 1.4), (0, 5, 1)),
        "turns": lambda a: ((0, 0, 1.4), (4 * a - 2, 5, 1)),
        "goes": lambda a: ((3 * a, 0, 1.4 + 0.05 * np.sin(9 * a)), (3 * a + 0.3 * a, 5, 1)),
    }
    return [Camera.look_at(*ways[kind](t / (FRAMES - 1)), fov_degrees=55, size=SIZE) for t in range(FRAMES)]


def observed(cameras, walls, seed=0):
    """Tracks of points of a floor, and of a wall, with errors and with points that are no background."""
    generator = np.random.default_rng(seed)
    points = np.c_[generator.uniform(-6, 9, 300), generator.uniform(2, 12, 300), np.zeros(300)]
    if walls:
        points = np.concatenate(
            [points, np.c_[generator.uniform(-6, 9, 100), np.full(100, 9.0), generator.uniform(0, 3, 100)]]
        )
    parts = []
    for frame, camera in enumerate(cameras):
        pixels, depth = camera.project(points)
        numbers = np.flatnonzero((depth > 0.3) & ((pixels > 0) & (pixels < SIZE)).all(axis=1))
        pixels = pixels[numbers] + generator.normal(0, 0.3, (len(numbers), 2))
        wrong = generator.random(len(numbers)) < 0.03
        pixels[wrong] += generator.normal(0, 15, (wrong.sum(), 2))
        parts.append((np.full(len(numbers), frame), numbers, pixels))
    return Tracks(*(np.concatenate(part) for part in zip(*parts)))


def truth(cameras):
    """Turns (T, 3, 3) and places (T, 3) in the first camera's axes."""
    first = cameras[0]
    turns = np.stack([camera.rotation @ first.rotation.T for camera in cameras])
    return turns, first.to_camera(np.stack([camera.position for camera in cameras]))


def degrees_apart(first, second):
    cosines = (np.einsum("tij,tij->t", first, second) - 1) / 2
    return np.degrees(np.arccos(cosines.clip(-1, 1)))


def test_the_helper_states_turns_from_the_first_camera():
    cameras = shots("turns")
    turns, _ = truth(cameras)
    point = np.array([0.3, 4.0, 1.1])
    moved = turns[-1] @ (cameras[0].to_camera(point))
    np.testing.assert_allclose(moved, cameras[-1].to_camera(point), atol=1e-9)


@pytest.mark.parametrize("kind", ["stands", "turns"])
def test_a_camera_that_stays_in_its_place_goes_nowhere(kind):
    cameras = shots(kind)
    path = camera_path(observed(cameras, walls=True), FRAMES, cameras[0].intrinsics)
    assert not path.moves and not path.places.any()
    assert degrees_apart(path.turns, truth(cameras)[0]).max() < 0.2


@pytest.mark.parametrize(
    "walls", [True, False]
)  # a floor alone is a plane: two cameras cannot tell it from others
def test_the_way_of_a_camera_is_found_but_for_its_scale(walls):
    cameras = shots("goes")
    path = camera_path(observed(cameras, walls), FRAMES, cameras[0].intrinsics)
    turns, places = truth(cameras)
    scale = (path.places * places).sum() / (path.places**2).sum()
    assert np.linalg.norm(scale * path.places - places, axis=1).max() < 0.03 * 3
    assert degrees_apart(path.turns, turns).max() < 0.3


def standing(cameras):
    """Somebody who stands upright at (1, 5), as each camera sees them."""
    from contrapposto.skeleton import SMPL24

    rest = SMPL24.rest_positions
    upright = rest[:, [0, 2, 1]] * [1, -1, 1]
    upright = upright - [0, 0, upright[[10, 11], 2].mean() - 0.025] + [1.0, 5.0, 0]
    people = []
    for camera in cameras:
        pixels, _ = camera.project(upright)
        low, high = pixels.min(axis=0) - 20, pixels.max(axis=0) + 20
        box = np.concatenate([low, high]).astype(np.float32)
        joints = (1000 * camera.to_camera(upright)).astype(np.float32)
        people.append([Person(0, box, 1.0, np.zeros((134, 2)), np.zeros(134), joints)])
    return people


def test_who_stands_still_stands_still_in_the_world_and_the_way_has_metres():
    cameras = shots("goes")
    clip = ClipPoses(SIZE[1], SIZE[0], 16.0, cameras[0].intrinsics, standing(cameras))
    path = camera_path(observed(cameras, walls=False), FRAMES, cameras[0].intrinsics)
    world, known = in_world(clip, path)
    pelvis = np.stack([frame[0].joints[0] for frame in world.frames])
    seen = [frame[0].joints[0, 0] for frame in clip.frames]
    assert np.ptp(seen) > 2500  # as seen, they shift as the camera goes along
    assert np.linalg.norm(pelvis - pelvis[0], axis=1).max() < 90  # 3 % of the way
    assert known["scale_from"] == "floor" and known["way_metres"] == pytest.approx(3.0, rel=0.05)
    trunk = world.frames[0][0].joints[12] - world.frames[0][0].joints[0]
    assert trunk[1] / np.linalg.norm(trunk) < -0.99  # levelled, though the camera looks down


def test_without_a_floor_feet_that_stand_still_tell_the_scale():
    cameras = shots("goes")
    clip = ClipPoses(SIZE[1], SIZE[0], 16.0, cameras[0].intrinsics, standing(cameras))
    turns, places = truth(cameras)
    wall = np.random.default_rng(0).normal([0, -1, 9], [3, 1, 0.01], (80, 3))
    path = CameraPath(turns, places / 2, wall / 2)
    assert find_floor(path) is None
    world, known = in_world(clip, path)
    assert known["scale_from"] == "feet" and known["way_metres"] == pytest.approx(3.0, rel=0.05)
    pelvis = np.stack([frame[0].joints[0] for frame in world.frames])
    assert np.linalg.norm(pelvis - pelvis[0], axis=1).max() < 90


def test_points_are_followed_in_images_and_those_of_people_are_left_out():
    cameras = shots("goes")[:8]
    watch = BackgroundWatch()
    box = Mesh(np.array([[-1.0, 4, 0], [1, 4, 0], [0, 4, 1.5]]), np.array([[0, 1, 2]]), (0.2, 0.3, 0.4))
    for camera in cameras:
        watch.see(render(Scene([box], ground=Ground(fade=(12.0, 30.0))), camera, samples=1).color)
    nobody = [[] for _ in cameras]
    tracks = watch.tracks(nobody)
    numbers, first, last = tracks.shared(0, 7)
    assert len(numbers) > 60
    moved = np.linalg.norm(last - first, axis=1)
    assert moved.max() > 15 and np.isfinite(tracks.pixels).all()
    everywhere = Person(0, np.array([0, 0, *SIZE], np.float32), 1.0, np.zeros((134, 2)), np.zeros(134), None)
    assert not len(watch.tracks([[everywhere] for _ in cameras]).frames)


def test_paths_are_told_between_frames():
    cameras = shots("turns")
    turns, places = truth(cameras)
    path = CameraPath(turns, places, np.zeros((0, 3)))
    half = at_times(path, np.arange(FRAMES) / 30, np.array([0.5 / 30]))
    assert degrees_apart(half.turns, turns[:1])[0] == pytest.approx(
        degrees_apart(turns[1:2], turns[:1])[0] / 2, rel=1e-6
    )


def test_what_is_exported_stands_in_the_world(tmp_path):
    """A BVH of somebody who stands still before a camera that goes along."""
    from contrapposto.io import read_motion

    cameras = shots("goes")
    clip = ClipPoses(SIZE[1], SIZE[0], 16.0, cameras[0].intrinsics, standing(cameras))
    turns, places = truth(cameras)
    generator = np.random.default_rng(0)
    floor = np.c_[generator.uniform(-4, 4, 200), generator.uniform(2, 9, 200), np.zeros(200)]
    path = CameraPath(turns, places, cameras[0].to_camera(floor))
    ways = []
    for name, known in (("seen", None), ("world", path)):
        report = draw(clip, tmp_path / name, Settings(outputs=("bvh",)), path=known)
        motion = read_motion(tmp_path / name / "person_0.bvh")
        ways.append(float(np.ptp(motion.joint_positions()[:, 0, :2], axis=0).max()))
    assert ways[0] > 2.0 and ways[1] < 0.1
    assert report["camera"] == {
        "turned_degrees": pytest.approx(path.turned, abs=0.1),
        "way_metres": pytest.approx(3.0, rel=0.02),
        "scale_from": "floor",
    }


def test_a_clip_is_watched_while_it_is_read():
    """`world=true` from frames: corners of the images, with the people's boxes left out."""
    cameras = shots("turns")[:10]
    frames = [
        (t / 16, render(Scene([], ground=Ground(fade=(12.0, 30.0))), camera, samples=1).color)
        for t, camera in enumerate(cameras)
    ]
    watch = BackgroundWatch()
    seen = extract(iter(frames), Nobody(), SIZE[1], SIZE[0], 16.0, background=watch)
    path = camera_of(watch, seen, VideoJob("clip", Path("clip.mp4"), fps=32))
    assert len(path.turns) == 19 and not path.moves  # twice as many frames as the video has
    assert degrees_apart(path.turns[::2], truth(cameras)[0]).max() < 0.3


class Nobody:
    """An estimator that sees nobody."""

    def people(self, frames, intrinsics):
        """Nobody in each frame."""
        return ([] for _ in frames)
