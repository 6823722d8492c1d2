"""The recurrent tracker at tiny size: live equals offline, lost and further devices, loading, augmentation and loss."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.augmentation import Augmentation, augment, mirrored
from contrapposto.systems.sage.features import sage_features, sparse_features
from contrapposto.systems.sage.finishing import Finishing
from contrapposto.systems.sage.head_frame import TRACKER_JOINTS, device_inputs
from contrapposto.systems.sage.recurrent_loss import TrackerLoss
from contrapposto.systems.sage.recurrent_stream import TrackerStream
from contrapposto.systems.sage.recurrent_tracker import Tracker, TrackerNetwork
from contrapposto.systems.sage.stream import stream_of
from tests.systems.sage.test_features import motion


@pytest.fixture
def tracker() -> Tracker:
    torch.manual_seed(0)
    network = TrackerNetwork(width=24, layers=2, contacts=True)
    torch.nn.init.normal_(network.out.weight, std=0.3)
    return Tracker(network).eval()


@pytest.fixture
def sparse() -> torch.Tensor:
    return sage_features(motion(frames=41))["sparse"]


def _all_devices(frames: int = 41) -> torch.Tensor:
    """(N, 6, 18) of head, wrists, pelvis and ankles."""
    clip = motion(frames=frames)
    local = rot.axis_angle_to_matrix(torch.from_numpy(clip.rotations[:, :22]).double())
    offsets, root = (
        torch.from_numpy(SMPL22.offsets).double(),
        torch.from_numpy(clip.root_translation).double(),
    )
    turns, joints = forward_kinematics(SMPL22.parents, local, offsets, root)
    return sparse_features(turns[:, list(TRACKER_JOINTS)], joints[:, list(TRACKER_JOINTS)]).float()


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("devices", [3, 6])
def test_live_equals_offline(tracker: Tracker, devices: int, lost: bool) -> None:
    sparse = _all_devices()[:, :devices]
    seen = torch.ones(len(sparse), devices, dtype=torch.bool)
    seen[10:25, 1], seen[:, 3:4] = False, False
    flags = seen if lost else None
    whole, stream = tracker.track(sparse, flags), tracker.stream()
    for _ in range(2):  # the second time after a reset
        for frame, features in enumerate(sparse):
            body = stream.push(features, None if flags is None else flags[frame])
            torch.testing.assert_close(body.sixd[0], whole.sixd[frame], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(body.joints[0], whole.joints[frame], atol=1e-5, rtol=1e-5)
        stream.reset()
    assert isinstance(stream_of(tracker), TrackerStream)


def test_the_future_does_not_matter_and_the_past_does(tracker: Tracker, sparse: torch.Tensor) -> None:
    changed = sparse.clone()
    changed[20:] += 0.1
    before, after = tracker.predict(sparse), tracker.predict(changed)
    assert torch.equal(before[:20], after[:20])
    assert not torch.allclose(tracker.predict(sparse[15:])[1], before[16], atol=1e-3)


def test_values_of_devices_that_are_not_seen_do_not_matter(tracker: Tracker, sparse: torch.Tensor) -> None:
    seen = torch.ones(len(sparse), 3, dtype=torch.bool)
    seen[10:30, 2] = False
    other = sparse.clone()
    other[10:30, 2, 12:] = 7.0
    assert torch.equal(tracker.predict(sparse, seen), tracker.predict(other, seen))
    assert not torch.allclose(tracker.predict(sparse, seen)[12], tracker.predict(sparse)[12], atol=1e-4)
    six = _all_devices()
    without = torch.ones(len(six), 6, dtype=torch.bool)
    without[:, 3:] = False
    torch.testing.assert_close(tracker.predict(six, without), tracker.predict(sparse), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("degrees", [37.0, -170.0])
def test_turning_and_moving_the_room_turns_and_moves_the_body(tracker: Tracker, degrees: float) -> None:
    clip = motion(frames=31)
    turn, shift = Rotation.from_euler("z", degrees, degrees=True), np.array([1.0, -2.0, 0.0])
    moved = motion(frames=31)
    root = (turn * Rotation.from_rotvec(clip.rotations[:, 0])).as_rotvec()
    moved.rotations[:, 0] = root
    pelvis = clip.root_translation + SMPL22.offsets[0]
    moved.root_translation[:] = turn.apply(pelvis) + shift - SMPL22.offsets[0]
    joints = tracker.track(sage_features(clip)["sparse"]).joints.double().numpy()
    expected = turn.apply(joints.reshape(-1, 3)).reshape(joints.shape) + shift
    # The root's 6D is filtered in the world, where the filter is the same for every direction.
    found = tracker.track(sage_features(moved)["sparse"]).joints.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_inputs_of_an_upside_down_head_are_finite() -> None:
    devices = torch.zeros(1, 3, 18)
    flipped = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # upside down: no heading
    devices[..., :6] = rot.matrix_to_sixd_columns(flipped @ torch.diag(torch.tensor([-1.0, -1, 1])))
    devices[..., 6], devices[..., 10] = 1, 1
    inputs, frame = device_inputs(devices)
    assert inputs.isfinite().all() and torch.allclose(frame @ frame.mT, torch.eye(3), atol=1e-5)


def test_it_loads_where_lightning_cannot_be_imported(tracker: Tracker, tmp_path: Path) -> None:
    options = {"network": {"width": 24, "layers": 2, "contacts": True}, "finishing": {"cutoff": 3.0}}
    (tmp_path / "checkpoints").mkdir()
    state = {f"tracker.{name}": value for name, value in tracker.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": options}, tmp_path / "checkpoints" / "last.ckpt")
    OmegaConf.save(OmegaConf.create({"name": "tracker"}), tmp_path / "config.yaml")
    script = (
        "import sys, json\n"
        "for name in ('pytorch_lightning', 'lightning_fabric', 'lightning_modules', 'datamodules', 'hydra'):\n"
        "    sys.modules[name] = None\n"
        "import torch\n"
        "from contrapposto.systems.sage.methods import load_tracker\n"
        f"tracker = load_tracker({str(tmp_path)!r})\n"
        "sparse = torch.linspace(0, 1, 5 * 54).reshape(5, 3, 18)\n"
        "print(json.dumps([tracker.finishing.cutoff, tracker.predict(sparse).sum().item()]))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    cutoff, total = json.loads(result.stdout)
    expected = tracker.predict(torch.linspace(0, 1, 5 * 54).reshape(5, 3, 18)).sum().item()
    assert cutoff == 3.0 and total == pytest.approx(expected, rel=1e-4)


def _batch() -> tuple[torch.Tensor, ...]:
    clip = motion(frames=31)
    local = rot.axis_angle_to_matrix(torch.from_numpy(clip.rotations[None, :, :22])).float()
    root = torch.from_numpy(clip.root_translation[None]).float()
    offsets = torch.from_numpy(SMPL22.offsets[:22]).float()
    return local, root, torch.tensor([31]), offsets, torch.tensor([5])


def test_without_augmentation_the_devices_are_those_of_the_features() -> None:
    options = Augmentation(mirror=0.0, lost_hands=0.0)
    made = augment(*_batch(), options=options)
    expected = sage_features(motion(frames=31))
    torch.testing.assert_close(made.devices[0, :, :3], expected["sparse"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made.positions[0], expected["joint_positions"], atol=1e-4, rtol=1e-4)
    assert made.valid.all() and made.seen[..., :3].all() and not made.seen[..., 3:].any()


def test_contacts_are_learnt_and_weights_without_them_fit() -> None:
    local, root, *rest = _batch()
    local[:, :15], root[:, :15] = local[:, :1], root[:, :1]
    made = augment(local, root, *rest, options=Augmentation(mirror=0.0, lost_hands=0.0))
    truth = rot.matrix_to_sixd_columns(made.local).flatten(2)
    speed = made.positions[:, :, [10, 11]].diff(dim=1).norm(dim=-1)
    stands = torch.cat([torch.zeros(1, 1, 2), (speed < 0.004).float()], dim=1)
    assert 0 < stands[:, 1:].mean() < 1
    right, wrong = (
        float(TrackerLoss(warmup=0)(torch.cat([truth, sign * (20 * stands - 10)], -1), made).contacts)
        for sign in (1, -1)
    )
    assert right < 1e-3 < 5 < wrong and TrackerLoss()(truth, made).contacts == 0
    plain, more = TrackerNetwork(width=8), TrackerNetwork(width=8, contacts=True)
    more.load_state_dict(plain.state_dict())
    values, _ = more(made.devices)
    torch.testing.assert_close(values[..., :132], plain(made.devices)[0])
    assert torch.equal(values[..., 132:], torch.zeros_like(values[..., 132:]))


def test_mirroring_exchanges_left_and_right() -> None:
    local, root, _, offsets, _ = _batch()
    other, other_root = mirrored(local, root)
    symmetric = (offsets + mirrored_offsets(offsets)) / 2
    joints = forward_kinematics(SMPL22.parents, local, symmetric, root)[1]
    found = forward_kinematics(SMPL22.parents, other, symmetric, other_root)[1]
    expected = joints[..., [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20], :]
    torch.testing.assert_close(found, expected * torch.tensor([-1.0, 1, 1]), atol=1e-5, rtol=1e-5)
    assert torch.equal(mirrored(other, other_root)[0], local)


def mirrored_offsets(offsets: torch.Tensor) -> torch.Tensor:
    swap = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
    return offsets[swap] * torch.tensor([-1.0, 1, 1])


def test_other_proportions_keep_the_standing_height() -> None:
    _, _, lengths, offsets, ids = _batch()
    options = Augmentation(mirror=0.0, lost_hands=0.0, proportions=0.2)
    upright = torch.eye(3).repeat(1, 31, 22, 1, 1)
    upright[:, :, 0] = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    pelvis = torch.zeros(1, 31, 3)
    pelvis[..., 2] = 1.0 - float(offsets[0, 1])
    made = augment(upright, pelvis, lengths, offsets, ids, options=options)
    plain = augment(upright, pelvis, lengths, offsets, ids, options=Augmentation(mirror=0.0, lost_hands=0.0))

    def tall(batch: object) -> float:
        joints = batch.positions[0, 0]  # type: ignore[attr-defined]
        return float(joints[15, 2] - joints[[7, 8], 2].mean())

    assert tall(made) == pytest.approx(tall(plain), abs=1e-4)
    arm = made.offsets[0, 0, 18].norm() / offsets[18].norm()
    assert abs(float(arm) - 1) > 0.01


def test_faster_and_slower_motion_has_the_same_poses() -> None:
    options = Augmentation(mirror=0.0, lost_hands=0.0, speed=0.3)
    local, root, lengths, offsets, _ = _batch()
    ids = torch.arange(20)
    many = (local.expand(20, -1, -1, -1, -1), root.expand(20, -1, -1), lengths.expand(20))
    made = augment(*many, offsets, ids, options=options)
    counts = made.valid.sum(1)
    assert counts.min() < 30 and counts.max() == 30
    fast = int(counts.argmin())
    last = made.local[fast, counts[fast] - 1]
    error = (last - local[0]).flatten(1).norm(dim=1).min()
    assert float(error) < 0.2


def test_the_loss_of_the_truth_is_nothing_and_terms_mean_what_they_say() -> None:
    made = augment(*_batch(), options=Augmentation(mirror=0.0, lost_hands=0.0))
    truth = rot.matrix_to_sixd_columns(made.local).flatten(2)
    losses = TrackerLoss(warmup=5)(truth, made)
    assert float(losses.aligned) < 1e-5 and float(losses.velocity) < 1e-5
    assert math.isclose(float(losses.total), float(10 * losses.feet), abs_tol=1e-3)
    wrong = truth.clone()
    wrong[:, :5] += 1.0
    assert float(TrackerLoss(warmup=5)(wrong, made).body) < 1e-5
    with pytest.raises(ValueError, match="terms"):
        TrackerLoss({"feets": 1.0})


def test_one_default_of_finishing() -> None:
    """Evaluation (the module) and use (the loaded tracker) take the same settings."""
    from lightning_modules.sage import TrackerModule

    assert TrackerModule().finishing == TrackerModule().tracker.finishing == Finishing()
    chosen = {"cutoff": 1.0, "floor": None}
    assert TrackerModule(finishing=chosen).finishing == Finishing(**chosen)
    assert Tracker.from_options({"finishing": chosen}).finishing == Finishing(**chosen)
