"""SCAIL-Pose: two people in one scene, and which of three are kept."""

from __future__ import annotations

import numpy as np

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.cylinders import make_cylinders
from contrapposto.systems.scail_pose.draw2d import compose, draw_overlay
from contrapposto.systems.scail_pose.multi import keep_people, largest_boxes
from contrapposto.systems.scail_pose.palette import palettes_for
from contrapposto.systems.scail_pose.render import CapsuleRenderer, depth_range
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose
from tests.parity.golden import Case, parity
from tests.parity.test_scail_pose_e2e import check_picture

PARTS = ("candidate", "subset", "faces", "hands")


@parity("scail_pose_multi")
def test_multi(case: Case) -> None:
    arrays, (height, width) = case.arrays, (case.manifest["config"][key] for key in "HW")
    frames = [make_cylinders(joints, palettes_for(2)) for joints in arrays["joints"]]
    renderer = CapsuleRenderer(
        height, width, default_intrinsics(height, width), depth_range(frames), device="cpu"
    )
    for number, drawing in enumerate(renderer.stream(frames)):
        check_picture(drawing.rgba, arrays["video_no2d"][number])
        boxes = arrays[f"in{number}_boxes"]
        kept = largest_boxes(boxes)
        assert kept.tolist() == arrays["largest_idx"][number].tolist()
        assert np.array_equal(boxes[kept], arrays[f"lim{number}_boxes"])
        pose = WholeBodyPose(*(arrays[f"in{number}_{part}"] for part in PARTS))
        limited = keep_people(pose, kept, original=True)
        for part in PARTS:
            assert np.array_equal(getattr(limited, part), arrays[f"lim{number}_{part}"]), part
        overlay = draw_overlay(limited, height, width, wrap=True)
        expected = arrays["video"][number]
        painted = (overlay != 0).any(-1)
        same = overlay[overlay != 0] == expected[..., :3][overlay != 0]
        assert painted.any() and same.mean() > 0.995
        finished = np.concatenate([compose(drawing.rgba, overlay), drawing.rgba[..., 3:]], axis=-1)
        assert np.array_equal(finished[..., :3][overlay != 0], overlay[overlay != 0])
        check_picture(finished * ~painted[..., None], expected * ~painted[..., None])
