"""Head and hands where the devices are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto import rotations as rot
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.synthetic import generate
from contrapposto.systems.sage.features import sparse_features
from contrapposto.systems.sage.reach import Reach

ARMS, LEGS = [16, 17, 18, 19, 20, 21], [0, 1, 2, 4, 5, 7, 8, 10, 11]


@pytest.fixture(scope="module")
def clip() -> tuple[np.ndarray, torch.Tensor]:
    """Local rotation matrices (N, 22, 3, 3) of a walk, and its device features (N, 3, 18)."""
    motion = generate("walk", seconds=1.0, seed=3).to_skeleton(SMPL22)
    local = Rotation.from_rotvec(motion.rotations.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
    turns, joints = _joints(local, motion.root_translation)
    return local[1:], sparse_features(turns[:, [15, 20, 21]], joints[:, [15, 20, 21]])


def _joints(local: np.ndarray, root: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    matrices = torch.from_numpy(local).float()
    place = torch.from_numpy(np.asarray(root)).float()
    return forward_kinematics(SMPL22.parents, matrices, torch.from_numpy(SMPL22.offsets), place)


def _sixd(local: np.ndarray) -> torch.Tensor:
    return rot.matrix_to_sixd_columns(torch.from_numpy(local).float()).flatten(1)


def _hands(sixd: torch.Tensor) -> torch.Tensor:
    """(N, 2, 3) hands as seen from the head, metres."""
    local = rot.sixd_columns_to_matrix(sixd.view(-1, 22, 6)).numpy()
    joints = _joints(local, np.zeros((len(local), 3)))[1]
    return joints[:, [20, 21]] - joints[:, 15:16]


def test_wrong_arms_reach_the_devices(clip: tuple[np.ndarray, torch.Tensor]) -> None:
    """Arms 20 degrees off in every joint end where the devices are; legs stay."""
    local, sparse = clip
    off = Rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.2, (len(local) * 6, 3))).as_matrix()
    wrong = local.copy()
    wrong[:, ARMS] = wrong[:, ARMS] @ off.reshape(-1, 6, 3, 3)
    seen = sparse[:, 1:, 12:15] - sparse[:, :1, 12:15]
    before = (_hands(_sixd(wrong)) - seen).norm(dim=-1)
    reached = Reach()(_sixd(wrong), sparse)
    after = (_hands(reached) - seen).norm(dim=-1)
    assert before.mean() > 0.05
    assert after.mean() < 0.005 and after.max() < 0.03
    wanted = _sixd(wrong).view(-1, 22, 6)[:, LEGS]
    assert torch.allclose(reached.view(-1, 22, 6)[:, LEGS], wanted, atol=1e-5)


def test_a_right_pose_stays(clip: tuple[np.ndarray, torch.Tensor]) -> None:
    """What already meets the devices is not changed."""
    local, sparse = clip
    assert torch.allclose(Reach()(_sixd(local), sparse), _sixd(local), atol=1e-3)
