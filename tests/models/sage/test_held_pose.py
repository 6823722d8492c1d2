"""The baseline without learning, on generated motion."""

import torch

from contrapposto.models.sage.body_losses import BodyKinematics
from contrapposto.models.sage.features import sage_features
from contrapposto.models.sage.held_pose import HeldPose
from contrapposto.rotations import matrix_to_sixd_columns, sixd_columns_to_matrix
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.synth import generate


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
