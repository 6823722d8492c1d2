"""SCAIL-Pose: keypoints, camera, capsules and the camera re-fit against the original's numbers."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto.systems.scail_pose.align import fit_camera
from contrapposto.systems.scail_pose.camera import default_intrinsics, project, smpl_to_slots
from contrapposto.systems.scail_pose.cylinders import make_cylinders
from contrapposto.systems.scail_pose.palette import PALE, SINGLE, STRONG
from contrapposto.systems.scail_pose.wholebody import decode_simcc, pack_pose, to_image, to_openpose_order
from tests.parity.golden import Case, parity


def _check(case: Case, actual: np.ndarray, key: str) -> None:
    case.check(torch.from_numpy(np.ascontiguousarray(actual)), key)


@parity("scail_pose_simcc")
def test_simcc(case: Case) -> None:
    x, y = (case.arrays[f"simcc_{axis}"][:, 0].astype(np.float32) / 256 for axis in "xy")
    keypoints, scores = decode_simcc(x, y)
    _check(case, keypoints, "dec_kp")
    _check(case, scores, "dec_score")
    _check(case, scores, "score")
    size = tuple(case.manifest["config"]["model_input_size_wh"])
    _check(case, to_image(keypoints, case.arrays["centers"], case.arrays["scales"], size), "kp")


@parity("scail_pose_wholebody")
def test_wholebody(case: Case) -> None:
    height, width = (case.manifest["config"][key] for key in "HW")
    points, scores = to_openpose_order(case.arrays["kp133"], case.arrays["score133"])
    _check(case, points, "kp134")
    _check(case, scores, "score134")
    pose = pack_pose(points, scores, height, width, hands_by_side=True)
    for key in ("candidate", "subset", "faces", "hands"):
        _check(case, getattr(pose, key), key)
    _check(case, case.arrays["boxes"] / np.array([width, height] * 2), "det")
    pairs = pack_pose(points, scores, height, width).hands
    people = len(points)
    assert np.array_equal(pairs[0::2], pose.hands[:people]) and np.array_equal(
        pairs[1::2], pose.hands[people:]
    )


@parity("scail_pose_camera_skeleton")
def test_camera_skeleton(case: Case) -> None:
    joints = case.arrays["joints"]
    _check(case, smpl_to_slots(joints), "coco18")
    _check(case, smpl_to_slots(joints[..., :2]), "coco18_2d")
    for fov in (55, 40):
        matrices = [default_intrinsics(int(h), int(w), fov) for h, w in case.arrays["hw"]]
        _check(case, np.stack(matrices), f"K{fov}")
    _check(case, project(joints, default_intrinsics(512, 896)), "p2d")


@parity("scail_pose_cylinder_specs")
def test_cylinder_specs(case: Case) -> None:
    for path, palettes, scale in (
        ("single", [SINGLE], 1),
        ("multi", [PALE, STRONG], 1),
        ("phmr", [SINGLE], 1000),
    ):
        frames = len(case.arrays[f"{path}_frame_count"])
        people = zip(case.arrays["joints"][:frames], case.arrays["count"][:frames], strict=True)
        actual = [make_cylinders(joints[:count] / scale, palettes) for joints, count in people]
        assert [len(f.start) for f in actual] == case.arrays[f"{path}_frame_count"].tolist()
        for part in ("start", "end", "color"):
            _check(case, np.concatenate([getattr(f, part) for f in actual]), f"{path}_{part}")


@parity("scail_pose_align")
def test_align(case: Case) -> None:
    config, arrays = case.manifest["config"], case.arrays
    intrinsics = default_intrinsics(config["H"], config["W"])
    assert abs(intrinsics[0, 0] - arrays["focal"][0]) < 1e-2
    for mode, first, rest in (("central", 8, 1), ("down", 1, 4)):
        for row, count in enumerate(arrays["n"]):
            weights = np.array([first] + [rest] * (count - 1), np.float64)
            fit = fit_camera(
                arrays["points3d"][row, :count], arrays["target2d"][row, :count], intrinsics, weights
            )
            assert np.allclose([fit.scale, fit.aspect], arrays[f"ms_{mode}"][row], atol=2e-3)
            assert np.allclose(fit.intrinsics[:2, 2], arrays[f"K_{mode}"][row, :2, 2], atol=0.5)
            assert np.allclose(fit.intrinsics, arrays[f"K_{mode}"][row], rtol=2e-3, atol=0.5)
