"""Pose vectors, clips and the way to and from Motion."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.retarget.ground import floor_height
from contrapposto.skeleton import SMPL22, SMPL24, SMPLH52, SMPLX55
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt import cameras, clips, poses


@pytest.mark.parametrize("skeleton", [SMPL22, SMPL24, SMPLH52, SMPLX55])
def test_motion_there_and_back(skeleton):
    clip = generate("walk", seconds=2, fps=60)
    pose = poses.from_motion(clip, skeleton)
    assert pose.shape == (60, 3 * skeleton.num_joints + 3)
    assert (pose[0, -3:] == 0).all()
    back = poses.to_motion(pose, skeleton)
    expected = clip.resample(30).to_skeleton(skeleton)
    shift = back.root_translation - expected.root_translation
    assert np.ptp(shift, axis=0).max() < 1e-5, "only the start may differ"
    assert abs(floor_height(back)) < 5e-3
    difference = Rotation.from_rotvec(back.rotations.reshape(-1, 3)).inv() * Rotation.from_rotvec(
        expected.rotations.reshape(-1, 3)
    )
    assert difference.magnitude().max() < 1e-4
    lifted = poses.to_motion(pose, skeleton, height=2.0)
    assert lifted.root_translation[0, 2] == pytest.approx(2.0)


def test_up_is_minus_y():
    clip = generate("jump", seconds=3, fps=30)
    pose = poses.from_motion(clip, SMPL22)
    height = clip.root_translation[:, 2] - clip.root_translation[0, 2]
    assert np.abs(-pose[:, -2].numpy() - height).max() < 1e-5


def test_network_input_holds_the_first_two_columns():
    pose = torch.randn(4, 3 * 22 + 3, generator=torch.Generator().manual_seed(0))
    x = poses.network_input(pose)
    matrix = Rotation.from_rotvec(pose[2, 15:18].numpy()).as_matrix()
    assert np.allclose(x[2, 30:36].view(3, 2), matrix[:, :2], atol=1e-6)
    assert torch.equal(x[:, -3:], pose[:, -3:])


def test_wrong_poses_are_refused():
    with pytest.raises(ValueError, match="3 J"):
        poses.split_pose(torch.zeros(5, 70))
    with pytest.raises(InputError, match="smpl22"):
        poses.to_motion(torch.zeros(5, 168), SMPL22)


def test_mirroring_agrees_with_motion():
    clip = generate("wave left hand", seconds=2, fps=30)
    mirrored = clips.mirror(poses.from_motion(clip, SMPLH52))
    expected = poses.from_motion(clip.mirror(), SMPLH52)
    assert (mirrored - expected).abs().max() < 1e-4
    assert torch.allclose(clips.mirror(mirrored), poses.from_motion(clip, SMPLH52), atol=1e-6)
    with pytest.raises(ValueError, match="7 joints"):
        clips.mirror(torch.zeros(24))


def test_augmentation_draws_whole_degrees_in_range():
    draws = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    found = [clips.Augmentation.draw(draw) for draw in draws]
    for name, limit in (("tilt", 15), ("yaw", 180), ("roll", 15)):
        degrees = np.rad2deg([getattr(how, name) for how in found])
        assert np.allclose(degrees, degrees.round(), atol=1e-6)
        assert degrees.min() == pytest.approx(-limit, abs=2)
        assert degrees.max() == pytest.approx(limit, abs=2)
    assert 0.45 < np.mean([how.mirror for how in found]) < 0.55
    assert clips.Augmentation.draw(draws[0], max_tilt=0).tilt == 0
    how = clips.Augmentation(0.2, 2.0, -0.1)
    expected = Rotation.from_euler("XYZ", [0.2, 2.0, -0.1]).as_matrix()  # capital: about the turned axes
    assert np.allclose(how.turn, expected, atol=1e-6)


def test_pieces_and_crops():
    pose = torch.arange(100.0)[:, None].expand(-1, 9).clone()
    pieces = clips.cut(pose, 32, 16, 0)
    assert [len(piece) for piece in pieces] == [32, 32, 32]
    assert [float(piece[0, 0]) for piece in pieces] == [0, 32, 64]
    assert all((piece[0, -3:] == 0).all() for piece in pieces)
    item, valid = clips.crop(pose, 64)
    assert (float(item[0, 0]), int(valid.sum())) == (18, 64)
    item, valid = clips.crop(pose[:20], 64)
    assert (float(item[-1, 0]), int(valid.sum())) == (19, 20)
    assert clips.stretch(pose, 0.5, 1.0).shape[0] == 16
    with pytest.raises(ValueError, match="overlap"):
        clips.cut(pose, 32, 16, 32)
    assert clips.frames_at(250, 100).tolist()[:4] == [0, 3, 6, 10]


def test_a_framed_camera_centres_the_points():
    points = torch.randn(3, 20, 3, generator=torch.Generator().manual_seed(0)) * 0.3 + torch.tensor(
        [0.4, -0.2, 0]
    )
    shift = cameras.frame_points(points, 1.2)
    pixels = cameras.project(points + shift[:, None])
    middle = (pixels.amin(1) + pixels.amax(1)) / 2
    assert (middle - 112).abs().max() < 12
    assert 150 < float((pixels.amax(1) - pixels.amin(1)).amax()) < 224
    off = cameras.project(points + cameras.frame_points(points, 1.2, original=True)[:, None])
    assert ((off.amin(1) + off.amax(1)) / 2 - 112).abs().max() > 20
