"""SCAIL-Pose: keypoints painted in 2D, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from contrapposto.systems.scail_pose import draw2d
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose
from tests.parity.golden import Case, parity


def pose_of(case: Case, prefix: str) -> WholeBodyPose:
    return WholeBodyPose(
        *(case.arrays[f"{prefix}_{part}"] for part in ("candidate", "subset", "faces", "hands"))
    )


@parity("scail_pose_draw2d")
def test_draw2d(case: Case) -> None:
    height, width = case.manifest["config"]["H"], case.manifest["config"]["W"]
    pose = pose_of(case, "in")
    points, subset, face, hands = pose.candidate[0], pose.subset[0], pose.faces[0], pose.hands[:2]

    def painted(paint: Callable[[np.ndarray], None]) -> np.ndarray:
        canvas = np.zeros((height, width, 3), np.uint8)
        paint(canvas)
        return canvas

    cheeks, dots = draw2d.CHEEKS, draw2d.CHEEK_JOINTS
    full = draw2d.draw_pose(pose, height, width, wrap=True)
    actual = {
        "body": painted(lambda c: draw2d.draw_body(c, points, subset)),
        "body_feet": painted(lambda c: draw2d.draw_body(c, points, subset, feet=True)),
        "cheek": painted(lambda c: draw2d.draw_body(c, points, subset, limbs=cheeks, joints=dots)),
        "hand": painted(lambda c: draw2d.draw_hands(c, hands)),
        "hand_lr": painted(lambda c: draw2d.draw_hands(c, hands, by_side=True, thickness=2, dot=4)),
        "dwutil_hand": painted(lambda c: draw2d.draw_hands(c, hands, thickness=2)),
        "face_opt": painted(lambda c: draw2d.draw_face(c, face)),
        "face_all": painted(lambda c: draw2d.draw_face(c, face, landmarks=range(68))),
        "dwutil_face": painted(lambda c: draw2d.draw_face(c, face, landmarks=range(68), radius=3)),
        "pose_full": full,
        "pose_scail": draw2d.draw_overlay(pose, height, width, wrap=True),
        "scale_up": draw2d.stretch(full, 1.1, 1.13),
        "scale_down": draw2d.stretch(full, 0.9, 0.87),
        "big_scail": draw2d.draw_overlay(pose_of(case, "big"), 896, 512, wrap=True),
    }
    # Lines and polygons of other versions of OpenCV may differ by a pixel here and there.
    for key, image in actual.items():
        expected = case.arrays[key]
        wrong = (image != expected).any(-1).sum()
        assert image.shape == expected.shape and wrong <= 0.005 * (expected != 0).any(-1).sum(), key
