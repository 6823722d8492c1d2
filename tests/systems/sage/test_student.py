"""The student at tiny size: live equals offline, causal, indifferent to where the room's axes are; its loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.synthetic import generate
from contrapposto.systems.sage.body_losses import BodyKinematics, DecoderLoss
from contrapposto.systems.sage.features import sage_features, sparse_features
from contrapposto.systems.sage.stream import stream_of
from contrapposto.systems.sage.student import (
    StudentLoss,
    StudentNetwork,
    StudentStream,
    StudentTracker,
    heading,
)
from contrapposto.tasks.sage import prepared
from tests.systems.sage.test_features import motion


@pytest.fixture
def tracker():
    torch.manual_seed(0)
    network = StudentNetwork(width=24, layers=2)
    torch.nn.init.normal_(network.head[3].weight, std=0.3)
    return StudentTracker(network).eval()


@pytest.fixture
def sparse():
    return sage_features(motion(frames=31))["sparse"]


def test_live_equals_offline(tracker, sparse):
    whole, stream = tracker.track(sparse), tracker.stream()
    for _ in range(2):  # the second time after a reset
        for frame, features in enumerate(sparse):
            body = stream.push(features.flatten() if frame % 2 else features)
            torch.testing.assert_close(body.sixd[0], whole.sixd[frame], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(body.joints[0], whole.joints[frame], atol=1e-5, rtol=1e-5)
        stream.reset()


def test_the_live_tracker_takes_it(tracker):
    assert isinstance(stream_of(tracker), StudentStream)


def test_the_future_does_not_matter_and_the_past_does(tracker, sparse):
    changed = sparse.clone()
    changed[20:] += 0.1
    before, after = tracker.track(sparse).sixd, tracker.track(changed).sixd
    assert torch.equal(before[:20], after[:20])
    assert not torch.allclose(tracker.track(sparse[5:]).sixd[-1], before[-1], atol=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 37.0, 90.0, -170.0])
def test_turning_and_moving_in_the_room_turns_and_moves_the_body(tracker, degrees):
    generator = np.random.default_rng(0)
    rotations = torch.from_numpy(
        Rotation.random(36, rng=generator).as_matrix().reshape(12, 3, 3, 3).astype(np.float32)
    )
    positions = torch.randn(12, 3, 3, generator=torch.Generator().manual_seed(0))
    turn = torch.from_numpy(Rotation.from_euler("z", degrees, degrees=True).as_matrix()).float()
    shift = torch.tensor([3.0, -2.0, 0.0])
    here = tracker.track(sparse_features(rotations, positions))
    there = tracker.track(sparse_features(turn @ rotations, positions @ turn.T + shift))
    torch.testing.assert_close(there.rotations[:, 1:], here.rotations[:, 1:], atol=1e-3, rtol=0)
    torch.testing.assert_close(there.rotations[:, 0], turn @ here.rotations[:, 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(there.joints, here.joints @ turn.T + shift, atol=2e-3, rtol=0)


def test_heading_of_known_poses():
    def of(rotation):
        sparse = torch.zeros(1, 3, 18)
        sparse[0, 0, :3] = torch.from_numpy(rotation.as_matrix()[:, 0])
        cosine, sine = heading(sparse)[0].tolist()
        return math.degrees(math.atan2(sine, cosine))

    upright = Rotation.from_euler("x", 90, degrees=True)
    for yaw in (0, 40, -120):
        turned = Rotation.from_euler("z", yaw, degrees=True) * upright
        assert of(turned) == pytest.approx(yaw, abs=1e-4)
        nod = turned * Rotation.from_euler("x", 80, degrees=True)
        assert of(nod) == pytest.approx(yaw, abs=1e-4)
    lying = Rotation.from_matrix([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # the left axis points down
    assert of(lying) == 0


def test_loss_against_the_terms_written_out():
    generator = torch.Generator().manual_seed(0)
    prediction, target, teacher = (torch.randn(2, 9, 132, generator=generator) for _ in range(3))
    lengths = torch.tensor([9, 5])
    weights = (0.5, 1.0, 5.0, 2.0, 30.0, 5.0, 0.5)
    losses = StudentLoss(weights=weights)(prediction, target, lengths, teacher)
    kinematics, decoder = BodyKinematics(), DecoderLoss()
    expected = {name: [] for name in ("root", "body", "aligned", "hands", "velocity", "jitter", "teacher")}
    for row in [(0, slice(0, 9)), (1, slice(0, 5))]:
        one, true, taught = prediction[row], target[row], teacher[row]
        terms = decoder(one, true, torch.zeros(len(one), 3, 18))
        for name in ("root", "body", "aligned"):
            expected[name].append(float(getattr(terms, name)))
        joints, others = kinematics(one).numpy(), kinematics(true).numpy()
        joints, others = joints - joints[:, 15:16], others - others[:, 15:16]
        expected["hands"].append(np.linalg.norm((joints - others)[:, 20:22], axis=-1).mean())
        expected["velocity"].append(np.linalg.norm(np.diff(joints - others, axis=0), axis=-1).mean())
        expected["jitter"].append(np.linalg.norm(np.diff(joints, n=3, axis=0), axis=-1).mean())
        distance = (one - taught).numpy().reshape(-1, 22, 6)
        expected["teacher"].append(np.linalg.norm(distance, axis=-1).mean())
    means = {name: np.mean(values) for name, values in expected.items()}
    for name, value in means.items():
        np.testing.assert_allclose(getattr(losses, name), value, rtol=1e-5)
    total = sum(weight * value for weight, value in zip(weights, means.values()))
    np.testing.assert_allclose(losses.total, total, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_loss_of_short_sequences_is_finite(frames):
    prediction = torch.randn(2, frames, 132, requires_grad=True)
    loss = StudentLoss()(prediction, torch.randn(2, frames, 132), torch.tensor([frames, 1])).total
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(prediction.grad).all()


def test_it_learns_a_clip():
    """One sequence by heart."""
    features = sage_features(motion(frames=13))
    sparse, target = features["sparse"][None], features["rotation_local_6d"][None]
    torch.manual_seed(0)
    tracker = StudentTracker(StudentNetwork(width=48, layers=2))
    loss, lengths = StudentLoss(), torch.tensor([12])
    optimizer = torch.optim.AdamW(tracker.parameters(), lr=5e-3, fused=True)
    for _ in range(150):
        losses = loss(tracker.network(sparse)[0], target, lengths)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    joints = tracker.eval().track(sparse[0]).joints
    error = torch.linalg.vector_norm(joints - features["joint_positions"], dim=-1)
    assert float(error.mean()) < 0.03


def test_eight_bits_are_near_and_stream_as_they_track() -> None:
    tracker = StudentTracker.from_pretrained()
    sparse = sage_features(generate("walk", seconds=1.0, seed=0))["sparse"]
    rounded = prepared(tracker, None, "int8")
    expected, found = tracker.track(sparse).joints, rounded.track(sparse).joints
    away = (found - expected).norm(dim=-1)
    assert 0 < float(away.max()) < 0.06 and float(away.mean()) < 0.01
    stream = rounded.stream()
    for frame, joints in zip(sparse, found):  # inputs are rounded by the range of a call
        assert float((stream.push(frame).joints[0] - joints).norm(dim=-1).max()) < 0.06
    assert prepared(tracker, None, "packed") is tracker
