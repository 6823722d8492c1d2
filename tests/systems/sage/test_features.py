"""SAGE's features against SciPy, and their meaning."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, SMPLX55
from contrapposto.systems.sage.features import part_columns, sage_features, sparse_features


def motion(frames=12, fps=60.0, skeleton=SMPL22, seed=0):
    rng = np.random.default_rng(seed)
    start = rng.normal(scale=0.4, size=(1, skeleton.num_joints, 3))
    drift = rng.normal(scale=0.02, size=(frames, skeleton.num_joints, 3)).cumsum(0)
    return Motion(start + drift, rng.normal(scale=0.01, size=(frames, 3)).cumsum(0), fps, skeleton)


def loop_kinematics(clip):
    """Global rotations and positions by SciPy, joint by joint."""
    turns, places = [], []
    for joint, parent in enumerate(SMPL22.parents):
        local = Rotation.from_rotvec(clip.rotations[:, joint].astype(np.float64))
        if parent < 0:
            turns.append(local)
            places.append(SMPL22.offsets[0] + clip.root_translation.astype(np.float64))
        else:
            turns.append(turns[parent] * local)
            places.append(places[parent] + turns[parent].apply(SMPL22.offsets[joint]))
    return turns, places


def sixd(rotation):
    matrix = rotation.as_matrix()
    return np.concatenate([matrix[:, :, 0], matrix[:, :, 1]], axis=1)


def test_features_against_scipy():
    clip = motion()
    features = sage_features(clip)
    turns, places = loop_kinematics(clip)
    everything = features["joint_features"].numpy()
    for joint in range(22):
        velocity = turns[joint][:-1].inv() * turns[joint][1:]
        six, three = slice(6 * joint, 6 * joint + 6), slice(3 * joint, 3 * joint + 3)
        for start, columns, expected in (
            (0, six, sixd(turns[joint])[1:]),
            (132, six, sixd(velocity)),
            (264, three, places[joint][1:]),
            (330, three, np.diff(places[joint], axis=0)),
        ):
            np.testing.assert_allclose(everything[:, start:][:, columns], expected, atol=2e-6)
        local = Rotation.from_rotvec(clip.rotations[1:, joint])
        np.testing.assert_allclose(features["rotation_local_6d"][:, six].numpy(), sixd(local), atol=2e-6)
    for slot, joint in enumerate((15, 20, 21)):
        expected = np.concatenate(
            [
                everything[:, 6 * joint : 6 * joint + 6],
                everything[:, 132 + 6 * joint :][:, :6],
                everything[:, 264 + 3 * joint :][:, :3],
                everything[:, 330 + 3 * joint :][:, :3],
            ],
            axis=1,
        )
        np.testing.assert_array_equal(features["sparse"][:, slot].numpy(), expected)
    head = features["head_transform"].numpy()
    np.testing.assert_allclose(head[:, :3, :3], turns[15].as_matrix()[1:], atol=2e-6)
    np.testing.assert_allclose(head[:, :3, 3], places[15][1:], atol=2e-6)
    np.testing.assert_array_equal(head[:, 3], np.tile([0, 0, 0, 1], (11, 1)))
    np.testing.assert_allclose(features["joint_positions"].numpy(), np.stack(places, 1)[1:], atol=2e-6)
    assert torch.equal(features["root_translation"], torch.from_numpy(clip.root_translation[1:]))
    assert all(value.dtype == torch.float32 and len(value) == 11 for value in features.values())


def test_other_skeletons_and_bodies():
    plain = motion()
    wide = plain.to_skeleton(SMPLX55)
    for name, value in sage_features(plain).items():
        assert torch.equal(value, sage_features(wide)[name])
    large = SimpleNamespace(skeleton=SMPL22.with_offsets(2 * SMPL22.offsets))
    still = Motion(plain.rotations, np.zeros_like(plain.root_translation), 60.0, SMPL22)
    twice = sage_features(still, large)["joint_positions"]
    torch.testing.assert_close(twice, 2 * sage_features(still)["joint_positions"])


def test_sparse_features_of_tracked_devices():
    clip = motion()
    turns, places = loop_kinematics(clip)
    devices = (15, 20, 21)
    rotations = torch.from_numpy(np.stack([turns[j].as_matrix() for j in devices], 1))
    positions = torch.from_numpy(np.stack([places[j] for j in devices], 1))
    found = sparse_features(rotations, positions).float()
    torch.testing.assert_close(found, sage_features(clip)["sparse"], atol=2e-6, rtol=0)


def test_unsuitable_clips_are_refused():
    with pytest.raises(InputError, match="60 frames/s"):
        sage_features(motion(fps=30.0))
    with pytest.raises(InputError, match="one frame"):
        sage_features(motion(frames=1))


def test_part_columns():
    assert part_columns((0, 3)) == [0, 1, 2, 3, 4, 5, 18, 19, 20, 21, 22, 23]
