"""Features of volumes against SciPy's interpolation, their blend by hand, and a student that learns."""

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator

from cli.report import read_curves
from contrapposto.systems.anerf.joint_volumes import BoneVolumes
from contrapposto.systems.anerf.kinematics import NUM_JOINTS
from tests.lightning_modules.anerf_tiny import tiny, write_sticks
from tests.lightning_modules.sage_tiny import entry_point, only_run

EXTENT, SIZE = 0.5, 5


def test_features_are_interpolated_and_blended():
    torch.manual_seed(0)
    volumes = BoneVolumes(4, SIZE, EXTENT, joints=3)
    local = 0.25 * torch.randn(50, NUM_JOINTS, 3)
    distance = local.norm(dim=-1)
    found = volumes(local, distance).detach().numpy()
    grid = np.linspace(-EXTENT, EXTENT, SIZE)
    table = volumes.table.detach().numpy().reshape(NUM_JOINTS, SIZE, SIZE, SIZE, 4)
    for row in range(50):
        nearest = np.argsort(distance[row].numpy())[:3]
        shares = np.clip(1 - (distance[row].numpy()[nearest] / EXTENT) ** 2, 0, None) ** 2
        expected = np.zeros(4)
        for joint, share in zip(nearest, shares / (shares.sum() + 1e-6)):
            read = RegularGridInterpolator(
                (grid, grid, grid), table[joint], bounds_error=False, fill_value=None
            )
            expected += share * read(np.clip(local[row, joint].numpy(), -EXTENT, EXTENT))[0]
        np.testing.assert_allclose(found[row], expected, atol=5e-4)


def test_gradients_reach_points_and_table():
    torch.manual_seed(0)
    volumes = BoneVolumes(2, SIZE, EXTENT).double()
    local = (0.1 * torch.randn(6, NUM_JOINTS, 3, dtype=torch.float64)).requires_grad_()

    def read(points):
        return volumes(points, points.norm(dim=-1))

    assert torch.autograd.gradcheck(read, (local,), eps=1e-7, atol=1e-5)
    read(local).sum().backward()
    assert int((volumes.table.grad != 0).sum()) > 0


def test_the_student_learns_through_the_entry_points(tmp_path):
    write_sticks(tmp_path / "stores")
    small = "module.network={volume_channels:4,volume_size:8,width:32,coarse_samples:12,fine_samples:6}"
    more = (small, "trainer.overfit_batches=1", "trainer.max_epochs=80", "trainer.check_val_every_n_epoch=80")
    entry_point("train", tiny("anerf_fast", tmp_path / "stores", tmp_path / "runs", *more))
    curve = read_curves(only_run(tmp_path / "runs", "anerf_fast") / "metrics.csv")["train/loss"]
    assert curve[-1][1] < 0.2 * curve[0][1]
