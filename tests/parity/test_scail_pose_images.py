"""SCAIL-Pose: detector, framing, and what follows the camera, against the original's numbers."""

from __future__ import annotations

import numpy as np
import torch

from contrapposto.systems.scail_pose.detection import (
    decode_grid,
    letterbox,
    person_boxes,
    suppress,
    suppress_classes,
)
from contrapposto.systems.scail_pose.framing import cover
from contrapposto.systems.scail_pose.retarget import face_scale, follow_camera, only_first, scale_face
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose
from tests.parity.golden import Case, parity

_PARTS = ("candidate", "subset", "faces", "hands")


def _check(case: Case, actual: np.ndarray, key: str) -> None:
    case.check(torch.from_numpy(np.ascontiguousarray(actual)), key)


@parity("scail_pose_detector")
def test_detector(case: Case) -> None:
    arrays = case.arrays
    canvas, ratio = letterbox(arrays["pre_img"], (64, 64))
    assert np.abs(canvas - arrays["pre_out"]).max() <= 1
    assert np.isclose(ratio, arrays["pre_ratio"][0])
    raw = arrays["dec_raw"]
    _check(case, decode_grid(raw, (128, 128)), "dec_out")
    _check(case, decode_grid(np.concatenate([raw, raw[:, :4]], axis=1), (128, 128), p6=True), "dec_p6_out")
    boxes, scores = arrays["nms_boxes"], arrays["nms_scores"]
    _check(case, suppress(boxes, scores[:, 0]), "nms_keep")
    _check(case, suppress_classes(boxes, scores), "mcnms_out")
    output = np.zeros((1, 8400, 85), np.float32)
    output[0, arrays["inf_raw_index"]] = arrays["inf_raw_rows"]
    height, width = arrays["inf_hw"]
    _check(case, person_boxes(output, min(640 / height, 640 / width))[0], "inf_boxes")


@parity("scail_pose_resize_crop")
def test_resize_crop(case: Case) -> None:
    for row in range(5):
        height, width = case.arrays[f"target{row}"].tolist()
        actual, expected = cover(case[f"in{row}"], height, width), case[f"out{row}"]
        assert actual.shape == expected.shape
        assert (actual.int() - expected.int()).abs().max() <= 1


@parity("scail_pose_retarget")
def test_retarget(case: Case) -> None:
    arrays, config = case.arrays, case.manifest["config"]
    poses = [WholeBodyPose(*(arrays[f"in{f}_{part}"] for part in _PARTS)) for f in range(3)]
    scale = face_scale(arrays["ref_faces"][0], poses[0].faces[0])
    assert np.isclose(scale, arrays["face_scale"][0], rtol=1e-4)
    for frame, pose in enumerate(poses):
        scaled = scale_face(pose, scale)
        joints = arrays["joints"][frame, 0].copy()
        if frame == arrays["joint15_zero_frame"][0]:
            joints[15] = 0
        moved = follow_camera(
            only_first(scaled), joints, arrays["K0"], arrays["K1"], config["H"], config["W"]
        )
        for part in _PARTS:
            _check(case, getattr(scaled, part), f"scaled{frame}_{part}")
            _check(case, getattr(moved, part), f"shift{frame}_{part}")
