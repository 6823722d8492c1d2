"""PoseGPT's geometry and data against the original's numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.metrics.functional import procrustes_align
from contrapposto.models.posegpt import cameras, clips, poses
from tests.parity.golden import Case, parity

TIGHT = {"tolerance": 1e-5}


@parity("posegpt_geometry")
def test_geometry(case: Case) -> None:
    check_rotations(case)
    check_poses(case)
    check_cameras(case)
    aligned = procrustes_align(case["proc_S1"], case["proc_S2"])
    case.check(aligned, "proc_hat", **TIGHT)
    turn, shift = similarity(case["proc_S1"], aligned)
    case.check(torch.linalg.det(turn) ** (1 / 3), "proc_scale", **TIGHT)
    case.check((turn / torch.linalg.det(turn) ** (1 / 3)), "proc_R", **TIGHT)
    case.check(shift[:, None], "proc_t", **TIGHT)


def similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (scale times rotation) and shift that make `target` of `source`, by plain linear regression."""
    ones = torch.cat([source, torch.ones(len(source), 1)], dim=1).double()
    solution = torch.linalg.lstsq(ones, target.double()).solution.float()
    return solution[:3].T, solution[3]


def check_rotations(case: Case) -> None:
    matrix = rot.axis_angle_to_matrix(case["rotvec"])
    case.check(matrix, "rotmat", **TIGHT)
    sixd = rot.matrix_to_sixd_interleaved(matrix)
    case.check(rot.sixd_interleaved_to_matrix(case["sixd"].flatten(1)), "gram", **TIGHT)
    assert sixd.shape == (40, 6)
    back = rot.matrix_to_axis_angle(case["rotmat"])
    composed = rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(case["rotvec2"]) @ matrix)
    for found, key in ((back, "rotvec_back"), (composed, "compose")):
        # Half turns have two axis-angles: compare what they mean.
        expected = rot.axis_angle_to_matrix(case[key])
        assert (rot.axis_angle_to_matrix(found) - expected).abs().max() < 1e-5, key
        assert found.norm(dim=-1).max() < torch.pi + 1e-5, key
    turn = clips.Augmentation(0.2, 2.0, -0.1)
    turned = clips.augment(case["pose"][0], turn)
    case.check(turned[:, :3], "aug_root", **TIGHT)
    case.check(turned[:, -3:], "aug_trans", **TIGHT)
    axis = torch.nn.functional.normalize(case["axis"], dim=0)
    case.check(rot.axis_angle_to_matrix(0.7 * axis), "rotation_matrix", **TIGHT)


def check_poses(case: Case) -> None:
    pose, valid = case["pose"], case["valid"]
    case.check(poses.network_input(pose), "pose_x", **TIGHT)
    case.check(pose[..., -3:].diff(dim=1), "pose_trans_delta", **TIGHT)
    case.check(poses.integrate_translation(case["delta"], valid), "trans_valid", **TIGHT)
    case.check(poses.integrate_translation(case["delta"]), "trans_novalid", **TIGHT)
    case.check(poses.repeat_last_valid(pose[..., :9], valid), "repeat_last_valid", **TIGHT)
    case.check(poses.repeat_last_valid(case["p4"], valid), "repeat_last_valid4", **TIGHT)
    case.check(poses.repeat_last_valid(case["p4"][:, :, 0], valid)[:, -1], "slice_last_valid", **TIGHT)
    for name, width in (("smplx", 168), ("smpl", 75)):
        marks = torch.arange(1.0, width + 1)  # every number says where it came from
        case.check(clips.mirror(marks).abs().long() - 1, f"flip_perm_{name}")
        case.check(clips.mirror(marks)[None].sign(), f"flip_sign_{name}")


def check_cameras(case: Case) -> None:
    points, turn, shift = case["pts"], case["cam_R"], case["cam_t"]
    seen = cameras.to_camera(points, turn, shift)
    case.check(seen, "world2cam", **TIGHT)
    case.check(cameras.to_world(seen, turn, shift), "cam2world", **TIGHT)
    pixels = cameras.project(seen)
    case.check(pixels, "proj", **TIGHT)
    case.check(cameras.unproject(pixels, seen[..., 2]), "unproj", **TIGHT)
    case.check(cameras.fit_translation(case["est_p3"], case["est_p2"]), "est_trans", **TIGHT)
    case.check(cameras.frame_points(points, 1.1, original=True), "best_camera", **TIGHT)
    video = cameras.frame_points(
        points.flatten(0, 1)[None], 1.3, distance=5, chosen=case["perm"][:30], original=True
    )
    case.check(video, "best_camera_video", **TIGHT)
