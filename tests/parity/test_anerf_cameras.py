"""A-NeRF's poses and cameras of every render type against the original's."""

from __future__ import annotations

from dataclasses import replace

import torch

from contrapposto.systems.anerf import cameras, paths
from tests.parity.golden import Case, parity

TIGHT = {"tolerance": 1e-5}


@parity("anerf_cameras")
def test_poses_and_cameras(case: Case) -> None:
    c2ws = case["c2ws"]
    for axis in "xyz":
        case.check(cameras.orbit(c2ws[0], 8, axis), f"orbit_{axis}", **TIGHT)
    case.check(cameras.orbit(c2ws[:2], 4), "orbit_batch", **TIGHT)
    turns = torch.stack([cameras.rotation_about(axis, 0.3) for axis in "xyz"])
    case.check(turns.float(), "rot_xyz", **TIGHT)
    frames = paths.PoseFrames(case["bones"], case["kp3d"][:, 0], case["rest_pose"], c2ws, case["focals"])
    refined = frames.refined(case["ref_bones"], case["ref_kps"][:, 0])
    sel = case["sel"].tolist()
    moving = [18, 19, 20, 21]
    actual = {
        "retarget": paths.retarget(frames, sel, length=3, skip=2),
        "retarget_center": paths.retarget(frames, sel, centre_root=True, level_root=True),
        "retarget_refined": paths.retarget(refined, sel),
        "bullet": paths.bullet(frames, sel, count=3, centre_root=True),
        "bullet_nocenter": paths.bullet(frames, sel, count=3),
        "bullet_undo": paths.bullet(frames, sel, count=2, centre_camera=False, level_root=True),
        "interpolate": paths.interpolate(frames, sel, steps=3, level_root=True, centre_camera=True),
        "animate": paths.animate(frames, sel, joints=moving, steps=3),
        "bubble": paths.bubble(frames, sel, steps=4),
        "correction": paths.correction(frames, sel, refined, steps=3),
        "selected": paths.selected(frames, sel),
        "poserot": paths.pose_turn(frames, case["sel_poserot"].tolist(), count=6),
    }
    for name, path in actual.items():
        case.check(path.joints, f"{name}_kps", **TIGHT)
        case.check(path.world_to_bone, f"{name}_skts", **TIGHT)
        case.check(path.cameras, f"{name}_c2ws", **TIGHT)
        case.check(path.focals, f"{name}_focals", **TIGHT)
        case.check(path.frames, f"{name}_cam_idxs")
    for name in ("retarget", "retarget_center", "retarget_refined", "poserot"):
        case.check(actual[name].bones, f"{name}_bones", **TIGHT)
    for name, count in (("bullet", 3), ("bullet_nocenter", 3), ("bullet_undo", 2)):
        case.check(actual[name].bones[::count], f"{name}_bones", **TIGHT)  # the original's are not repeated
    case.check(paths.two_circles(6), "camera_path", **TIGHT)
    case.check(torch.tensor(paths.positions([20, 7, 99], [5, 7, 20])), "idx_map")


def test_before_camera_keeps_the_camera_and_takes_any_pose() -> None:
    generator = torch.Generator().manual_seed(0)
    bones, root = torch.rand(5, 24, 3, generator=generator), torch.rand(5, 3, generator=generator)
    frames = paths.PoseFrames(
        bones[:2], root[:2], torch.rand(24, 3), torch.eye(4).repeat(2, 1, 1), torch.ones(2)
    )
    frames = replace(frames, rest_pose=frames.rest_pose - frames.rest_pose[:1])
    path = paths.before_camera(frames, bones, root, 1)
    assert len(path) == 5 and torch.allclose(path.joints[:, 0], root, atol=1e-6)
    assert path.frames.tolist() == [1] * 5
