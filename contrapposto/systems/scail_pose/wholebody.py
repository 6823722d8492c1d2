"""Whole-body keypoints: SimCC, the 134-point order, pose dicts (docs/specs/scail_pose.md, sections 4.2 to 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.errors import InputError

SPLIT_RATIO = 2.0
THRESHOLD = 0.3
_SLOTS = [1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17]
_SOURCES = [17, 6, 8, 10, 7, 9, 12, 14, 16, 13, 15, 2, 1, 4, 3]


def decode_simcc(simcc_x: np.ndarray, simcc_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of the two 1D heat maps (N, K, 2w) and (N, K, 2h).

    Returns:
        keypoints (N, K, 2) in pixels of the network's input, -0.5 where the score is not positive, and
        scores (N, K), the lower one of the two maxima.
    """
    if simcc_x.ndim != 3 or simcc_x.shape[:2] != simcc_y.shape[:2]:
        raise InputError(
            "SimCC outputs", found=f"{simcc_x.shape} and {simcc_y.shape}", expected="(N, K, bins)"
        )
    places = np.stack([simcc_x.argmax(-1), simcc_y.argmax(-1)], -1).astype(np.float32)
    scores = np.minimum(simcc_x.max(-1), simcc_y.max(-1))
    places[scores <= 0] = -1
    return places / np.float32(SPLIT_RATIO), scores


def to_image(
    keypoints: np.ndarray, centers: np.ndarray, scales: np.ndarray, input_size: tuple[int, int]
) -> np.ndarray:
    """Keypoints (N, K, 2) of crops to image pixels; centers and scales (N, 2) in pixels, input size (w, h)."""
    fractions = keypoints / np.asarray(input_size)
    return fractions * scales[:, None] + centers[:, None] - scales[:, None] / 2


def to_openpose_order(keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO-WholeBody (n, 133, 2) and (n, 133) to the 134-point order with the neck between the shoulders."""
    if keypoints.shape[1:] != (133, 2) or scores.shape != keypoints.shape[:2]:
        raise InputError(
            "whole-body keypoints",
            found=f"{keypoints.shape} and scores {scores.shape}",
            expected="(n, 133, 2) and (n, 133)",
        )
    neck = keypoints[:, [5, 6]].mean(axis=1)
    neck_score = (scores[:, [5, 6]] > THRESHOLD).all(axis=1).astype(scores.dtype)
    points = np.insert(keypoints, 17, neck, axis=1)
    values = np.insert(scores, 17, neck_score, axis=1)
    points[:, _SLOTS], values[:, _SLOTS] = points[:, _SOURCES], values[:, _SOURCES]
    return points, values


@dataclass(frozen=True)
class WholeBodyPose:
    """Keypoints of the n people of one frame, divided by the image's width and height.

    Attributes:
        candidate: (n, 24, 2) body and feet; not invalidated.
        subset: (n, 24) the joint's index, -1 where its score is too low.
        faces: (n, 68, 2), -1 where the score is too low.
        hands: (2n, 21, 2), left and right of each person in turn, -1 where the score is too low.
    """

    candidate: np.ndarray
    subset: np.ndarray
    faces: np.ndarray
    hands: np.ndarray


def pack_pose(
    keypoints: np.ndarray, scores: np.ndarray, height: int, width: int, *, hands_by_side: bool = False
) -> WholeBodyPose:
    """Keypoints (n, 134, 2) in pixels and scores (n, 134) as a pose.

    Args:
        hands_by_side: the original's order of hands, all left ones and then all right ones; it pairs the wrong
            hands as soon as there are two people.
    """
    points = keypoints / np.array([width, height], keypoints.dtype)
    subset = np.where(scores[:, :24] > THRESHOLD, np.arange(24), -1)
    shown = np.where((scores < THRESHOLD)[..., None], -1, points)
    hands = np.stack([shown[:, 92:113], shown[:, 113:134]], axis=0 if hands_by_side else 1)
    return WholeBodyPose(points[:, :24], subset, shown[:, 24:92], hands.reshape(-1, 21, 2))
