"""Filter, reach and floor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.synthetic import generate
from contrapposto.systems.sage import limbs
from contrapposto.systems.sage.features import sparse_features
from contrapposto.systems.sage.finishing import Finisher, Finishing, matrices

ARMS, LEGS = [16, 17, 18, 19, 20, 21], [0, 1, 2, 4, 5, 7, 8, 10, 11]
REACH = Finishing.none(reach=True)


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local rotation matrices (N, 22, 3, 3) of a walk, its device features (N, 3, 18), and its joints (N, 22, 3)."""
    motion = generate("walk", seconds=1.0, seed=3).to_skeleton(SMPL22)
    local = Rotation.from_rotvec(motion.rotations.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
    turns, joints = _joints(local, motion.root_translation)
    sparse = sparse_features(turns[:, [15, 20, 21]], joints[:, [15, 20, 21]])
    return local[1:], sparse.numpy(), joints[1:].numpy()


def _joints(local: np.ndarray, root: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    matrices = torch.from_numpy(local).double()
    place = torch.from_numpy(np.asarray(root)).double()
    return forward_kinematics(SMPL22.parents, matrices, torch.from_numpy(SMPL22.offsets).double(), place)


def _sixd(local: np.ndarray) -> np.ndarray:
    return rot.matrix_to_sixd_columns(torch.from_numpy(local)).flatten(1).numpy()


def _wrong(local: np.ndarray, joints: list[int]) -> np.ndarray:
    """Some joints 20 degrees off."""
    off = Rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.2, (len(local) * len(joints), 3)))
    wrong = local.copy()
    wrong[:, joints] = wrong[:, joints] @ off.as_matrix().reshape(-1, len(joints), 3, 3)
    return wrong


def test_the_posed_joints_are_those_of_forward_kinematics(clip: tuple[np.ndarray, ...]) -> None:
    local, sparse, _ = clip
    for settings in (REACH, Finishing()):
        posed = Finisher(settings)(_sixd(_wrong(local, list(range(22)))), sparse)
        joints = _joints(posed.local, posed.root_translation)[1].numpy()
        np.testing.assert_allclose(posed.positions, joints, atol=1e-6)
        np.testing.assert_allclose(
            posed.local @ posed.local.swapaxes(-1, -2),
            np.broadcast_to(np.eye(3), posed.local.shape),
            atol=1e-6,
        )


def test_wrong_arms_reach_the_devices(clip: tuple[np.ndarray, ...]) -> None:
    """Arms 20 degrees off in every joint end where the devices are; legs and trunk stay."""
    local, sparse, _ = clip
    wrong = _wrong(local, ARMS)
    before = Finisher(Finishing.none())(_sixd(wrong), sparse)
    posed = Finisher(REACH)(_sixd(wrong), sparse)
    devices = sparse[:, 1:, 12:15]
    assert np.linalg.norm(before.positions[:, [20, 21]] - devices, axis=-1).mean() > 0.05
    assert np.linalg.norm(posed.positions[:, [20, 21]] - devices, axis=-1).max() < 1e-3
    assert np.linalg.norm(posed.positions[:, 15] - sparse[:, 0, 12:15], axis=-1).max() < 1e-6
    turns = _joints(posed.local, posed.root_translation)[0][:, [15, 20, 21]].numpy()
    np.testing.assert_allclose(turns, matrices(sparse[..., :6].astype(np.float64)), atol=1e-5)
    np.testing.assert_allclose(posed.local[:, LEGS], wrong[:, LEGS], atol=1e-6)


def test_a_right_pose_stays(clip: tuple[np.ndarray, ...]) -> None:
    """A pose that already meets the devices is not changed."""
    local, sparse, joints = clip
    posed = Finisher(Finishing(smooth=False, plant=False, floor=None))(_sixd(local), sparse)
    np.testing.assert_allclose(posed.positions, joints, atol=1e-3)
    planted = Finisher(Finishing(smooth=False, floor=None))(_sixd(local), sparse)
    away = np.linalg.norm(planted.positions - joints, axis=-1)
    assert away.max() < 0.05 and away.mean() < 0.005  # a true foot that steps starts a little late


def test_a_hand_out_of_reach_is_approached_and_bones_keep_their_length(clip: tuple[np.ndarray, ...]) -> None:
    local, sparse, joints = clip
    far = sparse.copy()
    far[:, 1, 12:15] = joints[:, 16] + 2.0
    posed = Finisher(REACH)(_sixd(local), far)
    lengths = np.linalg.norm(SMPL22.offsets[1:22], axis=-1)
    bones = posed.positions[:, 1:] - posed.positions[:, list(SMPL22.parents[1:22])]
    np.testing.assert_allclose(
        np.linalg.norm(bones, axis=-1), np.broadcast_to(lengths, (len(local), 21)), atol=1e-6
    )
    way, arm = far[:, 1, 12:15] - posed.positions[:, 16], posed.positions[:, 20] - posed.positions[:, 16]
    cosine = (way * arm).sum(-1) / np.linalg.norm(way, axis=-1) / np.linalg.norm(arm, axis=-1)
    assert cosine.min() > 0.999


def test_no_joint_is_below_the_floor(clip: tuple[np.ndarray, ...]) -> None:
    """A body 15 cm too low bends its legs; the head stays where it was seen."""
    local, sparse, _ = clip
    low = sparse.copy()
    low[..., 14] -= 0.15
    free = Finisher(REACH)(_sixd(local), low)
    posed = Finisher(Finishing(smooth=False))(_sixd(local), low)
    assert free.positions[..., 2].min() < -0.1
    assert posed.positions[..., 2].min() > -1e-6
    assert np.linalg.norm(posed.positions[:, 15] - low[:, 0, 12:15], axis=-1).max() < 1e-6
    very_low = sparse.copy()
    very_low[..., 14] = 0.05
    assert Finisher(Finishing())(_sixd(local), very_low).positions[..., 2].min() > -1e-6


def test_the_filter_takes_noise_away_and_keeps_motion(clip: tuple[np.ndarray, ...]) -> None:
    local, sparse, joints = clip
    noise = Rotation.from_rotvec(np.random.default_rng(1).normal(0, 0.02, (len(local) * 22, 3))).as_matrix()
    noisy = _sixd(local @ noise.reshape(-1, 22, 3, 3))

    def jitter(positions: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(positions, n=3, axis=0), axis=-1).mean())

    raw = Finisher(Finishing.none())(noisy, sparse)
    smooth = Finisher(Finishing(reach=False, floor=None))(noisy, sparse)
    assert jitter(smooth.positions) < 0.5 * jitter(raw.positions)
    assert np.linalg.norm(smooth.positions - joints, axis=-1).mean() < 0.05


def test_frames_one_by_one_and_a_hand_that_is_lost(clip: tuple[np.ndarray, ...]) -> None:
    """Blocks of any size give the same; a hand that comes back reaches its device without a jump."""
    local, sparse, _ = clip
    wrong = _sixd(_wrong(local[:1], ARMS[:1]).repeat(len(local), 0))
    seen = np.ones((len(local), 3), bool)
    seen[20:40, 1] = False
    whole = Finisher(Finishing())(wrong, sparse, seen)
    finisher = Finisher(Finishing())
    parts = [finisher(wrong[i : i + 1], sparse[i : i + 1], seen[i : i + 1]) for i in range(len(local))]
    np.testing.assert_allclose(np.concatenate([part.positions for part in parts]), whole.positions, atol=1e-9)
    posed = Finisher(REACH)(wrong, sparse, seen)
    off = np.linalg.norm(posed.positions[:, 20] - sparse[:, 1, 12:15], axis=-1)
    assert off[:20].max() < 1e-3 and off[50:].max() < 1e-3 and off[30] > 0.02
    steps = np.linalg.norm(np.diff(posed.positions[:, 20], axis=0), axis=-1)
    assert steps[18:52].max() < 0.06


def test_standing_feet_stay_and_return_without_a_jump(clip: tuple[np.ndarray, ...]) -> None:
    """A foot said to stand stops sliding, in any blocks of frames; bones keep their length; later it is back in place."""
    local, sparse, _ = clip
    frames, still = 150, 60
    poses = local[:1].repeat(frames, 0)
    away = sparse[:1].repeat(frames, 0)
    # The predicted body slides by 4 cm, then stops.
    slide = 0.04 * np.minimum(np.arange(frames), still) / still
    away[..., 12] += slide[:, None]
    logits = np.where(np.arange(frames) < still, 9.0, -9.0)[:, None].repeat(2, 1)
    settings = Finishing(smooth=False, reach=False, floor=None)
    sixd = np.concatenate([_sixd(poses), logits], axis=1)
    free, posed = Finisher(Finishing.none())(sixd, away), Finisher(settings)(sixd, away)

    def steps(positions: np.ndarray) -> np.ndarray:
        return np.linalg.norm(np.diff(positions[:, [10, 11]], axis=0), axis=-1)

    assert steps(posed.positions)[20:50].max() < 0.4 * steps(free.positions)[20:50].min()
    assert steps(posed.positions).max() < 0.02
    np.testing.assert_allclose(posed.positions[-1], free.positions[-1], atol=0.01)
    joints = _joints(posed.local, posed.root_translation)[1].numpy()
    np.testing.assert_allclose(posed.positions, joints, atol=1e-6)
    finisher = Finisher(settings)
    parts = [finisher(sixd[i : i + 7], away[i : i + 7]).positions for i in range(0, frames, 7)]
    np.testing.assert_allclose(np.concatenate(parts), posed.positions, atol=1e-9)
    said_to_move = Finisher(settings)(np.concatenate([sixd[:, :132], -np.abs(logits)], axis=1), away)
    np.testing.assert_allclose(said_to_move.positions, free.positions, atol=1e-4)


@pytest.mark.parametrize(("speed", "held"), [(0.3, True), (2.0, False)])
@pytest.mark.parametrize("contacts", [False, True])
def test_slow_feet_stand_and_fast_ones_do_not(
    clip: tuple[np.ndarray, ...], speed: float, held: bool, contacts: bool
) -> None:
    """Metres per second of the predicted feet for 0.2 s, with and without contacts that state that they stand."""
    local, sparse, _ = clip
    poses, away = local[:1].repeat(12, 0), sparse[:1].repeat(12, 0)
    way = speed * np.arange(12) / 60
    away[..., 12] += way[:, None]
    sixd = np.concatenate([_sixd(poses), np.full((12, 2), 9.0)], axis=1)[:, : 134 if contacts else 132]
    posed = Finisher(Finishing(smooth=False, reach=False, floor=None))(sixd, away).positions
    moved = np.linalg.norm(posed[-1, [10, 11]] - posed[0, [10, 11]], axis=-1)
    assert (moved < 0.6 * way[-1]).all() if held else (moved > 0.95 * way[-1]).all()


def test_swing_turns_one_direction_into_another() -> None:
    vectors = np.random.default_rng(2).normal(size=(2, 50, 3))
    first, second = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    turned = (limbs.swing(first, second) @ first[..., None])[..., 0]
    np.testing.assert_allclose(turned, second, atol=1e-9)


def test_settings_say_what_they_do() -> None:
    assert "floor at 0 m" in str(Finishing()) and "no reach" in str(Finishing.none())
    assert Finishing.of({"reach": True}) == REACH and Finishing.of({}).does_nothing
    assert Finishing.of({"finishing": {"cutoff": 3.0}}).cutoff == 3.0
