"""Inverse kinematics against forward kinematics, finite differences and SciPy's least squares."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from contrapposto.ik import InverseKinematics
from contrapposto.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from contrapposto.skeleton import SMPL22, forward_kinematics

OFFSETS = torch.from_numpy(SMPL22.offsets).double()
DEVICES = [15, 20, 21]


def poses(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, 22, 3, generator=generator, dtype=torch.float64) * size
    return axis_angle_to_matrix(vectors), torch.randn(count, 3, generator=generator, dtype=torch.float64)


def place(rotations, root):
    turn, joints = forward_kinematics(SMPL22.parents, rotations, OFFSETS, root)
    return turn[..., DEVICES, :, :], joints[..., DEVICES, :]


def solver(**options):
    return InverseKinematics(SMPL22.parents, OFFSETS, DEVICES, torch.ones(22), **options)


def test_targets_of_a_reachable_pose_are_met():
    true, root = poses(40, 0.3)
    turn, joints = place(true, root)
    start = torch.eye(3, dtype=torch.float64).expand(40, 22, 3, 3)
    actual = place(*solver(iterations=40)(start, torch.zeros_like(root), joints, turn))
    apart = matrix_to_axis_angle(actual[0].mT @ turn).norm(dim=-1)
    assert (actual[1] - joints).norm(dim=-1).median() < 1e-4
    assert ((actual[1] - joints).norm(dim=-1).amax(-1) < 0.02).all() and (apart.amax(-1) < 0.05).all()


def test_a_small_change_gives_the_least_squares_solution_of_scipy():
    (pose,), (root,) = poses(1, 0.4, seed=3)
    turn, joints = place(pose, root)
    joints = joints + torch.tensor([[0.02, 0.01, 0.0], [0.0, 0.05, -0.02], [0.03, 0.0, 0.04]])
    ik = solver(iterations=30, position_tolerance=0.01, rotation_tolerance=0.1, root_freedom=0.5)
    rotations, moved = ik(pose, root, joints, turn)

    def residual(x):
        turns = torch.from_numpy(Rotation.from_rotvec(x[:-3].reshape(-1, 3)).as_matrix())
        current = pose.clone()
        current[ik.moving] = pose[ik.moving] @ turns
        found_turn, actual = place(current, root + torch.from_numpy(x[-3:]))
        apart = Rotation.from_matrix((turn @ found_turn.mT).numpy()).as_rotvec()
        parts = ((joints - actual).numpy().ravel() / 0.01, apart.ravel() / 0.1, x[:-3], x[-3:] / 0.5)
        return np.concatenate(parts)

    best = least_squares(residual, np.zeros(3 * len(ik.moving) + 3))
    mine = Rotation.from_matrix((pose[ik.moving].mT @ rotations[ik.moving]).numpy()).as_rotvec().ravel()
    mine = np.concatenate([mine, (moved - root).numpy()])
    # The step takes the turns from the prior as vectors: exact to first order, hence a hair above the optimum.
    assert 0.5 * (residual(mine) ** 2).sum() == pytest.approx(best.cost, rel=2e-3)
    np.testing.assert_allclose(mine, best.x, atol=5e-3)


def test_joints_without_freedom_and_joints_below_no_target_stay():
    pose, root = poses(3, 0.3)
    freedom = torch.ones(22)
    freedom[[3, 18]] = 0
    turn, joints = place(pose, root)
    ik = InverseKinematics(SMPL22.parents, OFFSETS, DEVICES, freedom, root_freedom=0.0)
    rotations, moved = ik(pose, root, joints + 0.05, turn)
    still = [1, 2, 3, 4, 5, 7, 8, 10, 11, 18]
    torch.testing.assert_close(rotations[:, still], pose[:, still])
    torch.testing.assert_close(moved, root)
    assert not torch.allclose(rotations[:, 16], pose[:, 16])


def test_what_is_out_of_reach_is_approached():
    start, root = (
        torch.eye(3, dtype=torch.float64).expand(1, 22, 3, 3),
        torch.zeros(1, 3, dtype=torch.float64),
    )
    _, joints = place(start, root)
    far = joints.clone()
    far[:, 1] += torch.tensor([0.6, 0.0, 1.0])
    ik = InverseKinematics(SMPL22.parents, OFFSETS, DEVICES, torch.ones(22), root_freedom=0.0, iterations=60)
    rotations, moved = ik(start, root, far)
    actual = place(rotations, moved)[1]
    assert torch.isfinite(rotations).all()
    assert (actual - far)[:, 1].norm() < 0.75 * (joints - far)[:, 1].norm()


def test_poses_do_not_depend_on_their_batch():
    true, root = poses(4, 0.2)
    turn, joints = place(true, root)
    start = torch.eye(3, dtype=torch.float64).expand(4, 22, 3, 3)
    ik = solver(iterations=4)
    together = ik(start, torch.zeros_like(root), joints, turn)[0]
    alone = torch.stack([ik(start[i], torch.zeros_like(root[i]), joints[i], turn[i])[0] for i in range(4)])
    torch.testing.assert_close(alone, together)
