"""A figure is fitted to the people that an estimator sees."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.render.video import VideoWriter
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.from_video import choose_person, fit_person, watch, write_person
from contrapposto.systems.anerf.data.people import read_person
from contrapposto.systems.anerf.kinematics import pose_bones
from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT, default_intrinsics, project
from contrapposto.systems.scail_pose.interface import NUM_KEYPOINTS, Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.sides import swap_sides
from contrapposto.video_file import VideoFile

SIZE = (240, 320)


def moving(count=12, long_legs=1.0):
    """(T, 24, 3) metres before the camera of somebody who turns and waves."""
    rest = SMPL24.rest_positions.astype(np.float64)
    offsets = rest - rest[[max(p, 0) for p in SMPL24.parents]]
    offsets[[4, 5]] *= long_legs
    own = offsets.copy()
    for joint in range(1, 24):
        own[joint] = own[SMPL24.parents[joint]] + offsets[joint]
    turns = np.zeros((count, 24, 3))
    turns[:, 0] = [np.pi, 0, 0]
    turns[:, 17, 2] = np.linspace(0.3, 1.2, count)
    turns[:, 16, 2] = -1.1
    turns[:, 4, 0] = np.linspace(0, 0.6, count)
    root = torch.tensor([0.2, 0.1, 3.5]).expand(count, 3).double()
    matrices = rot.axis_angle_to_matrix(torch.from_numpy(turns))
    return pose_bones(matrices, torch.from_numpy(own - own[0]), root).joints.numpy()


def clip_of(people):
    frames = []
    for number in range(max(len(joints) for joints in people)):
        frames.append([_person(i, joints[number]) for i, joints in enumerate(people) if number < len(joints)])
    return ClipPoses(*SIZE, 10.0, default_intrinsics(*SIZE), frames)


def _person(number, joints):
    pixels = project(joints, default_intrinsics(*SIZE))[:, :2]
    box = np.concatenate([pixels.min(0), pixels.max(0)])
    return Person(number, box, 0.9, np.zeros((NUM_KEYPOINTS, 2)), np.zeros(NUM_KEYPOINTS), 1000 * joints)


def video():
    return SimpleNamespace(height=2 * SIZE[0], width=2 * SIZE[1], fps=20.0, path=None)


def test_the_figure_is_seen_where_the_person_is(tmp_path):
    joints = 1.3 * moving(long_legs=1.1)  # larger and as much farther away: the same images
    person = fit_person(clip_of([joints]), 0, video(), every=2)
    assert person.frames.tolist() == list(range(0, 24, 2))
    file = write_person(tmp_path / "poses.npz", person)
    read = read_person(file, (480, 640))
    posed = pose_bones(
        rot.axis_angle_to_matrix(torch.from_numpy(read.rotations)),
        torch.from_numpy(read.rest - read.rest[0]),
        torch.from_numpy(read.root),
    ).joints.numpy()
    shown = read.focals[0] * posed[..., :2] / posed[..., 2:] + read.centre
    wanted = 2 * project(joints, default_intrinsics(*SIZE))[..., :2]
    away = np.linalg.norm(shown - wanted, axis=-1)[:, [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]]
    assert away.mean() < 3 and away.max() < 10  # pixels of 640; the person is 250 high
    thigh = np.linalg.norm(read.rest[4] - read.rest[1]) / np.linalg.norm(
        SMPL24.rest_positions[4] - SMPL24.rest_positions[1]
    )
    assert thigh == pytest.approx(1.1 / (1.1 * 0.25 + 0.75), abs=0.06)


def test_people_are_chosen():
    clip = clip_of([moving(4), 0.5 * moving(8) + [0.3, 0, 2.0]])
    assert choose_person(clip, "longest") == 1
    assert choose_person(clip, 0) == 0
    with pytest.raises(InputError, match="no person 7"):
        choose_person(clip, 7)


class Confused:
    """Sees somebody, and takes left for right in three frames."""

    def __init__(self, clip):
        self.clip = clip

    def people(self, frames, intrinsics):
        for number, _ in enumerate(frames):
            person = self.clip.frames[number][0]
            yield [swap_sides(person, (True, True)) if number in (4, 5, 6) else person]


def test_left_and_right_do_not_change_places(tmp_path):
    clip = clip_of([moving(12)])
    for people in clip.frames:
        person, pixels = people[0], project(people[0].joints, clip.intrinsics)[:, :2]
        person.keypoints[: len(SMPL_OF_SLOT)] = pixels[list(SMPL_OF_SLOT)]
        person.scores[: len(SMPL_OF_SLOT)] = 0.9
    with VideoWriter(tmp_path / "a.mp4", 10.0, SIZE[::-1]) as writer:
        for _ in range(12):
            writer.write(np.zeros((*SIZE, 3), np.uint8))
    watched = watch(VideoFile.open(tmp_path / "a.mp4"), Confused(clip))
    for frame in range(12):
        joints, true = watched.frames[frame][0].joints, clip.frames[frame][0].joints
        assert (
            np.linalg.norm(joints - true, axis=-1)[[4, 5, 18, 19]].max() < 60
        )  # mm; the knees are 220 apart
