"""The baseline without learning, on generated motion."""

import torch

from contrapposto.rotations import (
    axis_angle_to_matrix,
    geodesic_angle,
    matrix_to_sixd_columns,
    sixd_columns_to_matrix,
)
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.synthetic import generate
from contrapposto.systems.sage.body_losses import BodyKinematics
from contrapposto.systems.sage.features import sage_features, sparse_features
from contrapposto.systems.sage.held_pose import HeldPose, hanging_arms


def tracked(action, seconds=1.5):
    features = sage_features(generate(action, seconds=seconds, seed=1))
    return features, HeldPose()(features["sparse"])


def test_devices_are_followed():
    features, sixd = tracked("wave both hands")
    joints = BodyKinematics()(sixd)
    seen = features["sparse"][:, :, 12:15]
    joints = joints + (seen[:, 0] - joints[:, 15])[:, None]
    assert (joints[:, [15, 20, 21]] - seen).norm(dim=-1).max() < 0.02
    rotations = sixd_columns_to_matrix(sixd.unflatten(-1, (22, 6)))
    turn, _ = forward_kinematics(SMPL22.parents, rotations, torch.from_numpy(SMPL22.offsets))
    angles = (matrix_to_sixd_columns(turn[:, [15, 20, 21]]) - features["sparse"][..., :6]).norm(dim=-1)
    assert angles.max() < 0.1


def test_the_figure_walks_upright_and_faces_as_it_does():
    features, sixd = tracked("walk", 2.0)
    root = sixd_columns_to_matrix(sixd.unflatten(-1, (22, 6)))[:, 0]
    true = sixd_columns_to_matrix(features["rotation_local_6d"].unflatten(-1, (22, 6)))[:, 0]
    # columns: y of the rest frame is up, z is forward
    assert root[:, 2, 1].min() > 0.95
    assert (root[:, :, 2] * true[:, :, 2]).sum(-1).min() > 0.8


def test_a_pose_hangs_on_the_past_alone():
    features, sixd = tracked("squat", 1.0)
    first = HeldPose()(features["sparse"][:20])
    torch.testing.assert_close(first, sixd[:20])


def test_a_turn_of_the_devices_becomes_a_turn_of_the_body():
    """A standing figure turns a quarter in half a second and waits: the twist leaves the spine for the pelvis."""
    pose = hanging_arms().expand(121, 22, 3, 3).clone()
    angles = torch.linspace(0, torch.pi / 2, 31)
    yaw = torch.cat([angles, angles[-1:].expand(90)])
    vectors = torch.stack([torch.zeros_like(yaw), torch.zeros_like(yaw), yaw], -1)
    upright = axis_angle_to_matrix(torch.tensor([torch.pi / 2, 0.0, 0.0]))
    pose[:, 0] = axis_angle_to_matrix(vectors) @ upright
    turn, joints = forward_kinematics(SMPL22.parents, pose, torch.from_numpy(SMPL22.offsets))
    sixd = HeldPose(relaxation=0.3)(sparse_features(turn[:, [15, 20, 21]], joints[:, [15, 20, 21]]))
    found = sixd_columns_to_matrix(sixd.unflatten(-1, (22, 6)))
    assert geodesic_angle(found[-1, 0], pose[-1, 0]) < 0.2  # 0.8 without relaxation
    assert geodesic_angle(found[-1, [3, 6, 9]], torch.eye(3).expand(3, 3, 3)).max() < 0.1
