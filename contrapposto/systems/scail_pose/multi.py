"""Which people of a frame stay, as the original's script for two people has it (docs/specs/scail_pose.md, section 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrapposto.systems.scail_pose.wholebody import WholeBodyPose


def largest_boxes(boxes: np.ndarray, count: int = 2) -> np.ndarray:
    """Numbers of the `count` largest of boxes (n, 4) xyxy, the largest first."""
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    return np.argsort(-areas, kind="stable")[:count]


def keep_people(
    pose: WholeBodyPose, numbers: Sequence[int] | np.ndarray, *, original: bool = False
) -> WholeBodyPose:
    """The pose of some of its people, in that order.

    With `original`, `candidate` stays as it is, so that cheeks are painted at somebody else's head.
    """
    numbers = np.asarray(numbers, np.int64)
    hands = np.stack([2 * numbers, 2 * numbers + 1], axis=1).reshape(-1)
    candidate = pose.candidate if original else pose.candidate[numbers]
    return WholeBodyPose(candidate, pose.subset[numbers], pose.faces[numbers], pose.hands[hands])
