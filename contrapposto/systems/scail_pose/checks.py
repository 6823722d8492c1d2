"""Which clips are worth training on, and which frames of them (docs/specs/scail_pose.md, sections 9 and 10).

Boxes are (x1, y1, x2, y2), divided by the image's size.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

_BONES = np.array([(1, 0), (1, 2), (1, 5), (1, 8), (1, 11), (2, 3), (5, 6), (8, 9), (11, 12)])
_SHOULDERS_UP, _TRUNK, _EYES_AND_EARS = [0, 1, 2, 5], [0, 1, 2, 5, 8, 11], [14, 15, 16, 17]
_WINDOW = 4
_FRAMES = 81


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (...,) of boxes (..., 4); 0 where both are empty."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    total = box_area(first) + box_area(second) - shared
    return np.divide(shared, total, out=np.zeros_like(total), where=total > 0)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Share (...,) of the image that boxes (..., 4) take."""
    return np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1)


def box_large_enough(box: np.ndarray, height: int, width: int, least_width: float = 1 / 7) -> bool:
    """Whether a box takes a thirtieth of the image and, in a landscape image, `least_width` of its width."""
    wide = width <= height or box[2] - box[0] >= least_width
    return bool(box_area(box) >= 1 / 30 and wide)


def shows_body(valid: np.ndarray) -> np.ndarray:
    """Whether points (..., 24) that are seen make a person: head and shoulders, or shoulders and hips.

    Nose, neck and shoulders must be there, with an eye or an ear, or with both hips.
    """
    head = valid[..., _SHOULDERS_UP].all(axis=-1) & valid[..., _EYES_AND_EARS].any(axis=-1)
    return np.asarray(head | valid[..., _TRUNK].all(axis=-1))


def is_frontal(face: np.ndarray) -> bool:
    """Whether a face (68, 2), -1 where not seen, is seen from the front: eyes, nose, mouth, two of the three."""
    seen = (face != -1).any(axis=-1)
    eyes = seen[36:42].sum() >= 4 and seen[42:48].sum() >= 4
    return int(eyes) + int(seen[27:36].sum() >= 5) + int(seen[48:68].sum() >= 15) >= 2


def one_person(boxes: np.ndarray) -> bool:
    """Whether the boxes (n, 4) of a frame mean one person: one, or up to three of which one is twice as large."""
    areas = np.sort(box_area(boxes))[::-1]
    return len(areas) == 1 or (len(areas) in (2, 3) and bool(areas[0] >= 2 * areas[1]))


def several_people(boxes: np.ndarray) -> bool:
    """Whether the boxes (n, 4) of a frame mean a group: two to four, two of them at least half the largest."""
    areas = box_area(boxes)
    return 2 <= len(areas) <= 4 and bool((areas >= areas.max() / 2).sum() >= 2)


def reference_frames(poses: Sequence[WholeBodyPose]) -> list[int]:
    """Frames in which everybody shows a body, and a face from the front."""
    return [
        number
        for number, pose in enumerate(poses)
        if len(pose.subset) and shows_body(pose.subset != -1).all() and all(map(is_frontal, pose.faces))
    ]


def shows_body_throughout(poses: Sequence[WholeBodyPose]) -> bool:
    """Whether in any 4 frames that follow each other there is one in which everybody shows a body."""
    good = np.array([len(pose.subset) > 0 and bool(shows_body(pose.subset != -1).all()) for pose in poses])
    windows = range(max(len(good) - _WINDOW + 1, 1))
    return bool(len(good)) and all(good[start : start + _WINDOW].any() for start in windows)


def movement(poses: Sequence[WholeBodyPose]) -> float:
    """How much the people of a clip move: the largest turn of a bone from frame to frame in radians, on average.

    An eighth of the smallest and of the largest turns is left out. 0 where there are too few frames to tell.
    """
    turns: list[float] = []
    for before, after in itertools.pairwise(poses):
        for person in range(min(len(before.subset), len(after.subset))):
            turn = _largest_turn(before, after, person)
            if turn is not None:
                turns.append(turn)
    count = len(turns)
    kept = sorted(turns)[count // 8 : (-count) // 8 if count else None]
    return float(np.mean(kept)) if kept else 0.0


def sampled_frames(count: int) -> np.ndarray:
    """Frames (n,) that the service keeps of an uploaded clip: 65 of a short one, else 81.

    Raises:
        InputError: fewer than 65 frames.
    """
    if count < 65:
        raise InputError("The clip is too short.", found=f"{count} frames", expected="65 or more")
    if 81 <= count <= 95:
        return np.arange(_FRAMES)  # the clip's own pace
    return np.linspace(0, count - 1, 65 if count <= 80 else _FRAMES).astype(np.int64)


def _largest_turn(before: WholeBodyPose, after: WholeBodyPose, person: int) -> float | None:
    seen = (before.subset[person] != -1) & (after.subset[person] != -1)
    bones = _BONES[seen[_BONES].all(axis=1)]
    if not len(bones):
        return None
    ends = [
        pose.candidate[person][bones[:, 1]] - pose.candidate[person][bones[:, 0]] for pose in (before, after)
    ]
    angles = [np.arctan2(end[:, 1], end[:, 0]) for end in ends]
    turn = np.abs((angles[1] - angles[0] + np.pi) % (2 * np.pi) - np.pi)
    return float(turn.max())
