"""VQ losses against the same formulas over the whole body, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.skeleton import SMPL22, forward_kinematics
from contrapposto.systems.sage.joints import LOWER_JOINTS, UPPER_JOINTS
from contrapposto.systems.sage.losses import VQLoss, corrupt, keep_joints

JOINTS = {"upper": UPPER_JOINTS, "lower": LOWER_JOINTS}


def whole_body(part, sixd):
    """Joint positions of the part by kinematics of all 22 joints, the other part at rest."""
    matrices = torch.eye(3).repeat(len(sixd), 22, 1, 1)
    matrices[:, list(JOINTS[part])] = rot.sixd_columns_to_matrix(sixd.view(len(sixd), -1, 6))
    return forward_kinematics(SMPL22.parents, matrices, torch.from_numpy(SMPL22.offsets))[1]


def inputs(part, batch=5):
    torch.manual_seed(0)
    width = 6 * len(JOINTS[part])
    return (
        torch.randn(batch, width),
        torch.randn(batch, width),
        torch.rand(batch, 10),
        torch.randn(batch, 3, 18),
    )


@pytest.mark.parametrize("part", ["upper", "lower"])
def test_terms_against_kinematics_of_the_whole_body(part):
    pred, true, quantizer, sparse = inputs(part)
    losses = VQLoss(part)(pred, true, quantizer, sparse)
    reconstruction = 0.2 * F.smooth_l1_loss(pred[:, :6], true[:, :6]) + F.smooth_l1_loss(
        pred[:, 6:], true[:, 6:]
    )
    positions, true_positions = whole_body(part, pred), whole_body(part, true)
    kinematics = F.smooth_l1_loss(positions[:, list(JOINTS[part])], true_positions[:, list(JOINTS[part])])
    total = reconstruction + 0.25 * quantizer.mean() + 5 * kinematics
    hand = torch.zeros(())
    if part == "upper":
        observed = sparse[:, :, 12:15]
        aligned = positions + observed[:, :1] - positions[:, 15:16]
        hand = F.smooth_l1_loss(aligned[:, [20, 21]], observed[:, 1:])
        total = total + 5 * hand
    torch.testing.assert_close(losses.reconstruction, reconstruction)
    torch.testing.assert_close(losses.kinematics, kinematics)
    torch.testing.assert_close(losses.hand, hand)
    torch.testing.assert_close(losses.total, total)


@pytest.mark.parametrize("part", ["upper", "lower"])
def test_gradient_by_finite_differences(part):
    pred, true, quantizer, sparse = (x.double() for x in inputs(part, batch=2))
    loss = VQLoss(part).double()
    pred = pred.requires_grad_()
    loss(pred, true, quantizer, sparse).total.backward()
    for column in (0, 4, 7, 30, pred.shape[1] - 1):
        step = torch.zeros_like(pred)
        step[1, column] = 1e-6
        with torch.no_grad():
            ends = [loss(pred + sign * step, true, quantizer, sparse).total for sign in (1, -1)]
        assert float((ends[0] - ends[1]) / 2e-6) == pytest.approx(
            float(pred.grad[1, column]), rel=1e-5, abs=1e-8
        )


def test_perfect_prediction_costs_nothing_and_gradients_stay_finite():
    _, true, _, sparse = inputs("lower")
    pred = true.clone().requires_grad_()
    losses = VQLoss("lower")(pred, true, torch.zeros(5, 10), sparse)
    losses.total.backward()
    assert float(losses.total.detach()) == 0
    degenerate = torch.zeros(2, 54, requires_grad=True)
    VQLoss("lower")(degenerate, true[:2], torch.zeros(2, 10)).total.backward()
    assert torch.isfinite(degenerate.grad).all()


def test_options_are_checked():
    with pytest.raises(ValueError, match="no hands"):
        VQLoss("lower", hand_weight=5.0)
    pred, true, quantizer, _ = inputs("upper")
    with pytest.raises(ValueError, match="sparse"):
        VQLoss("upper")(pred, true, quantizer)
    assert not VQLoss("upper").state_dict()  # a body's measures do not belong into checkpoints


def test_corruption_hides_whole_joints_but_never_the_root():
    draws = torch.from_numpy(np.random.default_rng(0).uniform(size=(400, 14)).astype(np.float32))
    keep = keep_joints(draws)
    assert keep[:, 0].all()
    assert torch.equal(keep[:, 1:], draws[:, 1:] >= 0.5)
    motion = torch.randn(400, 20, 84)
    hidden = corrupt(motion, keep).view(400, 20, 14, 6)
    assert (hidden[~keep[:, None].expand(-1, 20, -1)] == 0.01).all()
    assert torch.equal(
        hidden[keep[:, None].expand(-1, 20, -1)],
        motion.view(400, 20, 14, 6)[keep[:, None].expand(-1, 20, -1)],
    )
