"""SCAIL-Pose: other proportions in 3D and 2D, clip filters and converters, against the original's numbers."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose import checks, utils3d
from contrapposto.systems.scail_pose.reshape2d import METHODS, Figure, draw_lot, reshape_figures, reshape_pose
from contrapposto.systems.scail_pose.reshape3d import FIXED_TYPES, draw_body_type, reshape_body
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose
from tests.parity.golden import Case, parity

_PARTS = ("candidate", "subset", "faces", "hands")
_VITPOSE = ("vit_keypoints_body", "vit_keypoints_left_hand", "vit_keypoints_right_hand")


def _pose(case: Case, prefix: str) -> WholeBodyPose:
    return WholeBodyPose(*(case.arrays[f"{prefix}_{part}"].copy() for part in _PARTS))


def _same(case: Case, pose: WholeBodyPose, prefix: str) -> None:
    for part in _PARTS:
        expected = case.arrays[f"{prefix}_{part}"]
        assert np.allclose(getattr(pose, part), expected, atol=1e-5), f"{prefix}_{part}"


@parity("scail_pose_reshape3d")
def test_reshape3d(case: Case) -> None:
    config, arrays = case.manifest["config"], case.arrays
    for row, (strength, seed, methods) in enumerate(config["random_rows"]):
        body = draw_body_type(strength, Random(seed))
        assert np.allclose(body.alphas, arrays["random_alpha"][row], atol=1e-6)
        assert list(body.methods) == [method.removeprefix("reshape_") for method in methods]
    for name in (*config["methods"], "missing16"):
        body, joints = FIXED_TYPES.get(name, FIXED_TYPES["test_case_1"]), arrays["joints"].copy()
        if name == "missing16":
            joints[16] = 0
        assert np.allclose(body.alphas, arrays[f"{name}_alpha"])
        (moved,), pose = reshape_body([joints], _pose(case, "in"), body, config["H"], config["W"])
        assert np.allclose(moved, arrays[f"{name}_joints"], rtol=1e-5)
        _same(case, pose, name)


@parity("scail_pose_reshape2d")
def test_reshape2d(case: Case) -> None:
    config, arrays = case.manifest["config"], case.arrays
    lot = draw_lot(config["alpha"], Random(case.manifest["seed"]))
    assert np.allclose([*lot.offset, *lot.scale], arrays["pool_random"], atol=1e-6)
    assert list(lot.methods) == config["selected"]
    for method in METHODS:
        pose, other = _pose(case, "in"), [arrays[name].copy() for name in _VITPOSE]
        for figure in (Figure.of_pose(pose, 0), Figure.of_vitpose(*other)):
            reshape_figures([figure], method, config["alpha"], lot)
        _same(case, pose, method)
        for name, part in zip(_VITPOSE, other):
            assert np.allclose(part, arrays[f"{method}_{name}"], atol=1e-5), f"{method}_{name}"
    _same(case, reshape_pose(_pose(case, "in"), config["alpha"], lot), "pool")


@parity("scail_pose_checks")
def test_checks(case: Case) -> None:
    arrays = case.arrays
    assert np.allclose(checks.box_iou(arrays["boxA"], arrays["boxB"]), arrays["iou"], atol=1e-5)
    for key, (height, width) in {"box_ok_land": (512, 896), "box_ok_port": (896, 512)}.items():
        assert [checks.box_large_enough(b, height, width) for b in arrays["boxA"]] == arrays[key].tolist()
    assert checks.shows_body(arrays["valid"]).tolist() == arrays["part5"].tolist()
    boxes = [b[:n] for b, n in zip(arrays["det_boxes"], arrays["det_count"])]
    assert [checks.one_person(b) for b in boxes] == arrays["single_ok"].tolist()
    assert [checks.several_people(b) for b in boxes] == arrays["multi_ok"].tolist()
    frames = sum(name.startswith("kf") and name.endswith("_candidate") for name in arrays)
    poses = [_pose(case, f"kf{frame}") for frame in range(frames)]
    assert (checks.movement(poses) >= arrays["move_thresholds"]).tolist() == arrays["move_ok"].tolist()
    assert checks.reference_frames(poses) == arrays["ref_valid"].tolist()
    assert checks.shows_body_throughout(poses) == arrays["core_ok"][0]
    for count in (65, 70, 80, 81, 95, 96, 120, 300):
        assert checks.sampled_frames(count).tolist() == arrays[f"sample_{count}"].tolist()


@parity("scail_pose_utils3d")
def test_utils3d(case: Case) -> None:
    arrays = case.arrays
    body, face = arrays["body20"], arrays["face9"]
    assert np.array_equal(utils3d.body_to_openpose(body, face), arrays["body24"])
    hands = utils3d.hands_to_openpose(arrays["lhand20"], arrays["rhand20"], body)
    assert np.array_equal(hands, arrays["hands21"])
    assert np.array_equal(utils3d.face_points(face), arrays["face_out"])
    pixel, point = np.split(arrays["proj_in"], [2])
    moved = utils3d.to_pixel(point, pixel, (600, 620), (448, 256), 512, 896)
    assert np.allclose(moved, arrays["proj_out"], rtol=1e-5)
    dropped = utils3d.beside_displaced(arrays["hand_dw"], arrays["hand_3d"], utils3d.HAND_LIMBS)
    assert np.allclose(np.where(dropped[:, None], -1, arrays["hand_dw"]), arrays["hand_fixed"])
    dropped = utils3d.beside_displaced(arrays["body_dw"], arrays["body_3d"], utils3d.BODY_LIMBS)
    dropped &= arrays["subset_dw"][0] != -1
    assert np.allclose(np.where(dropped[:, None], -1, arrays["body_dw"]), arrays["body_fixed"])
    assert np.allclose(np.where(dropped, -1, arrays["subset_dw"][0]), arrays["subset_fixed"][0])


def test_a_face_that_is_turned_away_is_no_reference() -> None:
    face = np.full((68, 2), -1.0)
    assert not checks.is_frontal(face)
    face[27:36] = 0.5
    assert not checks.is_frontal(face)
    face[48:63] = 0.5
    assert checks.is_frontal(face)


def test_short_clips_are_refused() -> None:
    with pytest.raises(InputError, match="too short"):
        checks.sampled_frames(64)
