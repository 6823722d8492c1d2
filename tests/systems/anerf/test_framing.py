"""Render modes show the person whole, wherever the scene has them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from contrapposto.systems.anerf.avatar import Avatar
from contrapposto.systems.anerf.cameras import extrinsic, orbit, project
from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE
from contrapposto.systems.anerf.paths import PoseFrames
from contrapposto.tasks.anerf_inputs import FRAMED, make_path

SIZE = (96, 128)
OPTIONS = {"animate": {"joints": [16, 18], "steps": 3}, "bubble": {"steps": 8}, "interpolate": {"steps": 3}}


def video():
    """A camera at the origin, and people who walk past it three to five units away."""
    generator = torch.Generator().manual_seed(0)
    count = 4
    bones = 0.3 * torch.randn(count, 24, 3, generator=generator)
    bones[:, 0] = torch.tensor([np.pi, 0, 0])
    root = torch.tensor([[-1.0, 0.2, 3.0], [0.0, 0.2, 4.0], [1.0, 0.3, 5.0], [2.0, 0.3, 4.0]])
    camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).repeat(count, 1, 1)
    rest = torch.from_numpy(REST_POSE * UNIT_SCALE).float()
    return PoseFrames(bones, root, rest, camera, torch.full((count, 2), 120.0), torch.full((count, 2), 40.0))


def ring():
    """Cameras around a person who stands beside the origin, looking down at it."""
    frames = video()
    tilt = torch.tensor([[1.0, 0, 0, 0], [0, 0.94, 0.34, -2.0], [0, -0.34, 0.94, -6.0], [0, 0, 0, 1]])
    cameras = orbit((tilt @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])))[None], 4)[:, 0]
    return PoseFrames(frames.bones, frames.root - frames.root + 1.5, frames.rest_pose, cameras, frames.focals)


@pytest.mark.parametrize("scene", [video, ring])
@pytest.mark.parametrize("mode", [*FRAMED, "retarget"])
def test_every_joint_is_in_the_image(mode, scene):
    frames = scene()
    avatar = SimpleNamespace(frames=lambda refined: frames, size=SIZE, poses=None)
    options = {"centre_root": True} if mode == "retarget" else OPTIONS.get(mode, {"count": 9})
    path = make_path(avatar, mode, [1, 3], options, refined=True)
    assert path.frames.unique().tolist() in ([1], [3], [1, 3])
    for number in range(len(path)):
        view = path.view(number, SIZE)
        centre = torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
        pixels = project(path.joints[number], view.camera_to_world, view.focal, centre)
        matrix = extrinsic(view.camera_to_world)
        depth = path.joints[number] @ matrix[2, :3] + matrix[2, 3]
        assert float(depth.min()) > 0.5
        assert (pixels >= 0).all() and (pixels < torch.tensor([SIZE[1], SIZE[0]])).all()
        assert float(pixels[:, 1].max() - pixels[:, 1].min()) > 0.2 * SIZE[0]


def test_a_person_without_a_scene_stands_upright():
    rest = REST_POSE * UNIT_SCALE
    frames = Avatar(torch.nn.Identity(), rest, 0.6).standing()
    path = make_path(
        SimpleNamespace(frames=lambda refined: frames, size=(64, 64), poses=None),
        "selected",
        [0],
        {},
        refined=True,
    )
    joints = path.joints[0]
    assert float(joints[15, 1]) < float(joints[0, 1]) < float(joints[7, 1])  # y points down
    assert float(joints[20, 1]) > float(joints[16, 1]) + 0.5  # hands hang
    assert float(joints[10, 2]) < float(joints[7, 2])  # toes point to the camera
