"""SAGE's rotations, body, features and metrics against the original's numbers."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto import metrics
from contrapposto import rotations as rot
from contrapposto.body import BodyModel
from contrapposto.metrics import functional
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, forward_kinematics, local_from_global
from contrapposto.systems.sage.features import sage_features
from tests.parity.golden import Case, parity


def sage_body(case: Case) -> BodyModel:
    """The synthetic body that every SAGE case uses."""
    source = case if case.name == "sage_body_model" else case.sibling("sage_body_model")
    arrays = {
        key.removeprefix("model_"): value for key, value in source.arrays.items() if key.startswith("model_")
    }
    return BodyModel.from_arrays(arrays, dmpls=source.arrays["dmpl_eigvec"])


@parity("sage_rotations")
def test_rotations(case: Case) -> None:
    aa = case["aa"]
    matrix = rot.axis_angle_to_matrix(aa)
    tight = {"tolerance": 1e-5, "absolute": True}
    case.check(matrix, "aa2matrot", **tight)
    case.check(matrix, "batch_rodrigues", **tight)
    case.check(rot.matrix_to_sixd_columns(matrix), "aa2sixd", **tight)
    case.check(rot.axis_angle_to_quaternion(aa), "aa2quat", **tight)
    raw = rot.sixd_columns_to_matrix(case["raw6d"])
    case.check(raw, "sixd2matrot", **tight)
    case.check(raw, "bgs", **tight)
    # Axis-angles and quaternions have two names near a half turn: compare what they mean.
    for actual, key in (
        (rot.matrix_to_axis_angle(matrix), "matrot2aa"),
        (rot.matrix_to_axis_angle(raw), "sixd2aa"),
        (rot.quaternion_to_axis_angle(rot.axis_angle_to_quaternion(aa)), "quat2aa"),
        (rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(case["big_aa"])), "wrapped_aa"),
    ):
        expected = rot.axis_angle_to_matrix(case[key])
        assert (rot.axis_angle_to_matrix(actual) - expected).abs().max() < 1e-5, key
        assert actual.norm(dim=-1).max() < np.pi + 1e-5, key
    quaternion = rot.quaternion_to_matrix(case["sixd2quat"])
    assert (quaternion - raw).abs().max() < 1e-5
    local = rot.sixd_columns_to_matrix(case["rel6d"].view(3, 22, 6))
    turned, _ = forward_kinematics(SMPL22.parents, local, torch.zeros(22, 3))
    case.check(rot.matrix_to_sixd_columns(turned).flatten(1), "relSixd2abs", **tight)
    back = local_from_global(SMPL22.parents, rot.sixd_columns_to_matrix(case["relSixd2abs"].view(3, 22, 6)))
    case.check(rot.matrix_to_sixd_columns(back).flatten(1), "absSixd2rel", **tight)


@parity("sage_body_model")
def test_body_model(case: Case) -> None:
    body = sage_body(case)
    rotations = rot.axis_angle_to_matrix(case["pose"].view(5, 52, 3))
    shape = torch.cat([case["betas"], case["dmpls"]], dim=1)
    full = body(rotations, case["trans"], shape)
    case.check(full.joints, "Jtr_full", tolerance=1e-5, absolute=True)
    case.check(full.vertices, "v_full", tolerance=1e-5, absolute=True)
    rotations[:, 22:] = torch.eye(3)
    posed = body(rotations, case["trans"])
    case.check(posed.joints, "Jtr_pose_trans", tolerance=1e-5, absolute=True)
    case.check(posed.vertices, "v_pose_trans", tolerance=1e-5, absolute=True)
    case.check(body.joints(rotations), "Jtr_pose", tolerance=1e-5, absolute=True)


@parity("sage_preprocess")
def test_preprocess(case: Case) -> None:
    stride = case.manifest["config"]["stride"]
    poses, trans = case.arrays["poses"][::stride], case.arrays["trans"][::stride]
    features = sage_features(Motion(poses.reshape(len(poses), 52, 3), trans, 60.0), sage_body(case))
    for ours, theirs in (
        ("rotation_local_6d", "rotation_local_full_gt_list"),
        ("joint_features", "hmd_position_global_full_gt_list"),
        ("head_transform", "head_global_trans_list"),
        ("joint_positions", "position_global_full_gt_world"),
        ("sparse", "sparse"),
    ):
        case.check(features[ours], theirs, tolerance=1e-5, absolute=True)
    # Their body parameters keep frame 0, ours do not.
    assert torch.equal(features["root_translation"], case["trans_out"][1:])


def computed(metric: metrics.ClipMetric, *arguments: torch.Tensor | float) -> float:
    metric.update(*arguments)
    return float(metric.compute())


def reported(
    pred: torch.Tensor, true: torch.Tensor, pred_aa: torch.Tensor, true_aa: torch.Tensor
) -> dict[str, float]:
    """Every figure of the sheet's table, by our classes: joints (T, 22, 3) and axis-angles (T, 22, 3)."""
    return {
        "mpjpe": computed(metrics.MPJPE(), pred, true),
        "handpe": computed(metrics.MPJPE("hands"), pred, true),
        "upperpe": computed(metrics.MPJPE("upper"), pred, true),
        "lowerpe": computed(metrics.MPJPE("lower"), pred, true),
        "rootpe": computed(metrics.MPJPE("root"), pred, true),
        "mpjve": computed(metrics.MPJVE(), pred, true, 60.0),
        "pred_jitter": computed(metrics.Jitter(), pred, 60.0),
        "gt_jitter": computed(metrics.Jitter(), true, 60.0),
        "mpjre": computed(metrics.MPJRE(), pred_aa, true_aa),
        "rootre": computed(metrics.MPJRE(joints="root"), pred_aa, true_aa),
        "upperre": computed(metrics.MPJRE(joints="upper"), pred_aa, true_aa),
        "lowerre": computed(metrics.MPJRE(joints="lower"), pred_aa, true_aa),
    }


def factor(name: str) -> float:
    if name.endswith("re"):
        return 180 / np.pi
    return 1.0 if name.endswith("jitter") else 100.0


@parity("sage_metrics")
def test_metrics(case: Case) -> None:
    true_aa = torch.cat([case["gt_root_orient"], case["gt_pose_body"]], dim=1)[1:].view(-1, 22, 3)
    matrices = rot.sixd_columns_to_matrix(case["pred6d"].view(-1, 22, 6))
    pred_aa = rot.matrix_to_axis_angle(matrices)
    expected = rot.axis_angle_to_matrix(case["pred_aa"].view(-1, 22, 3))
    assert (rot.axis_angle_to_matrix(pred_aa) - expected).abs().max() < 1e-5
    # The evaluation's kinematics: the root goes where the heads agree.
    offsets = torch.from_numpy(sage_body(case).skeleton.offsets[:22])
    _, free = forward_kinematics(SMPL22.parents, matrices, offsets)
    root = case["head_global_trans"][:, :3, 3] - free[:, 15]
    pred = free + root[:, None]
    _, true = forward_kinematics(
        SMPL22.parents, rot.axis_angle_to_matrix(true_aa), offsets, case["gt_trans"][1:]
    )
    case.check(root, "pred_root_trans", tolerance=1e-5, absolute=True)
    case.check(pred, "pred_joints", tolerance=1e-5, absolute=True)
    case.check(true, "gt_joints", tolerance=1e-5, absolute=True)
    ours = reported(pred, true, pred_aa, true_aa)
    for name, value in ours.items():
        case.check(torch.tensor(value / factor(name)), f"raw_{name}")
        if name != "rootre":  # the original computes it and reports the others
            case.check(torch.tensor(value), f"out_{name}")
    synthetic = [
        torch.cat([case[f"syn_{side}_root"], case[f"syn_{side}_angle"]], dim=1).view(-1, 22, 3)
        for side in ("pred", "gt")
    ]
    for name, value in reported(case["syn_pred_pos"], case["syn_gt_pos"], *synthetic).items():
        case.check(torch.tensor(value / factor(name)), f"syn_{name}")
    assert functional.jerk(case["syn_pred_pos"], 60.0).shape == (6, 22)
