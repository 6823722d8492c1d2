"""Hands and faces at the skeleton's wrists and head, or hidden (docs/specs/scail_pose.md, section 11, item 10).

Hands and faces are found in the image, the skeleton in space; smoothing and constant bones move the one and not the
other, and gaps would open between them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.camera import project
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.wholebody import THRESHOLD, WholeBodyPose

_HANDS = ((20, slice(92, 113)), (21, slice(113, 134)))  # wrist among the joints, hand among the keypoints
_HEAD, _EARS = 15, [16, 17]
_FACE = [0, 14, 15, 16, 17, *range(24, 92)]  # nose, eyes, ears, and the face's landmarks
_FARTHEST = 0.1  # of the box's diagonal: what is farther away is an error of the keypoints or of the joints
_BEHIND = (
    80.0  # millimetres by which something must be nearer than the wrist to hide a hand: not its own forearm
)


def attach(person: Person, intrinsics: np.ndarray) -> Person:
    """The person with each hand moved so that its wrist lies on the skeleton's, and the face so that the middle of the
    ears lies on the head's joint.

    A hand that is too far from a known wrist to be this person's gets score 0. What is not known of both stays.
    """
    places = project(np.asarray(person.joints, np.float64), intrinsics)[:, :2]
    points, scores = np.array(person.keypoints, np.float64), np.array(person.scores)
    farthest = _FARTHEST * float(np.linalg.norm(person.box[2:] - person.box[:2]))
    for wrist, hand in _HANDS:
        shift = places[wrist] - points[hand.start]
        if scores[hand.start] <= THRESHOLD or not np.isfinite(shift).all():
            continue
        if np.linalg.norm(shift) <= farthest:
            points[hand] += shift
        else:
            scores[hand] = 0.0
    if scores[_EARS].min() > THRESHOLD:
        shift = places[_HEAD] - points[_EARS].mean(axis=0)
        if np.isfinite(shift).all() and np.linalg.norm(shift) <= farthest:
            points[_FACE] += shift
    return replace(person, keypoints=points.astype(np.float32), scores=scores)


def hide_hands(pose: WholeBodyPose, joints: np.ndarray, depth: np.ndarray) -> WholeBodyPose:
    """One person's pose without the points of hands that lie behind something nearer.

    Args:
        pose: of one person.
        joints: (24, 3) millimetres before the camera of the drawing.
        depth: (H, W) of the drawing, infinite where nothing is.
    """
    hands = pose.hands.copy()
    limit = np.array(depth.shape[::-1])
    for hand, (wrist, _) in zip(hands, _HANDS):
        pixels = (hand * limit).astype(int)
        inside = ((hand >= 0) & (pixels < limit)).all(axis=-1)
        x, y = pixels[inside].T
        hidden = depth[y, x] < joints[wrist, 2] - _BEHIND
        hand[np.flatnonzero(inside)[hidden]] = -1
    return WholeBodyPose(pose.candidate, pose.subset, pose.faces, hands)
