"""BlazePose in one role among other makers' networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import (
    BodyLandmarks,
    BodyNetwork,
    everywhere,
    small_tiles,
)
from contrapposto.systems.scail_pose.estimators.blazepose.compare import box_of
from contrapposto.systems.scail_pose.estimators.blazepose.estimator import BlazePoseEstimator
from contrapposto.systems.scail_pose.estimators.blazepose.layout import to_joints, to_keypoints
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region, upright
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, NUM_KEYPOINTS, Person

_HIPS, _SHOULDERS = [8, 11], [2, 5]
_BODY = slice(0, 18)
_LEAST_SCORE = 0.3


class BlazePoseDetector:
    """People on tiles of an image, one after the other."""

    def __init__(self, *, most: int = 8, threads: int = 1) -> None:
        self._search = BlazePoseEstimator(hands=False, face=False, most=most, threads=threads).search

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB to boxes (n, 4) xyxy pixels and scores (n,), best first."""
        regions = [*everywhere(image), *small_tiles(image)]
        bodies = sorted(self._search(image, [], regions), key=lambda body: -body.score)
        boxes = np.array([box_of(body, image.shape) for body in bodies], np.float32).reshape(-1, 4)
        return boxes, np.array([body.score for body in bodies], np.float32)


class BlazePoseKeypoints:
    """134 keypoints of the people in boxes."""

    def __init__(self, *, hands: bool = True, face: bool = True, threads: int = 1) -> None:
        self._body = BodyNetwork(threads=threads)
        self._look = BlazePoseEstimator(hands=hands, face=face, threads=threads).look_at_parts

    def estimate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (n, 134, 2) pixels and scores (n, 134); all 0 where there is nobody in a box."""
        points = np.zeros((len(boxes), NUM_KEYPOINTS, 2), np.float32)
        scores = np.zeros((len(boxes), NUM_KEYPOINTS), np.float32)
        for row, box in enumerate(boxes):
            side = float(np.linalg.norm(box[2:] - box[:2]))
            body = self._body(image, Region((box[:2] + box[2:]) / 2, side))
            body = self._body(image, body.region)
            if body.score >= _LEAST_SCORE:
                points[row], scores[row] = to_keypoints(body, *self._look(image, body))
        return points, scores


class BlazePoseBody:
    """Joints in space of people whose keypoints are known."""

    def __init__(self, *, threads: int = 1) -> None:
        self._body = BodyNetwork(threads=threads)

    def estimate(
        self, frames: Sequence[np.ndarray], people: Sequence[Sequence[Person]], intrinsics: np.ndarray
    ) -> list[np.ndarray]:
        """Joints (n, 24, 3) of the n people of each frame (see `Body3D`)."""
        joints = [np.full((len(here), NUM_JOINTS, 3), np.nan, np.float32) for here in people]
        for image, here, rows in zip(frames, people, joints):
            for row, person in enumerate(here):
                body = self._look(image, person)
                if body.score >= _LEAST_SCORE:
                    rows[row] = to_joints(body, intrinsics)
        return joints

    def _look(self, image: np.ndarray, person: Person) -> BodyLandmarks:
        known = person.scores > _LEAST_SCORE
        if not known[[*_HIPS, *_SHOULDERS]].all():
            side = float(np.linalg.norm(person.box[2:] - person.box[:2]))
            body = self._body(image, Region((person.box[:2] + person.box[2:]) / 2, side))
            return self._body(image, body.region)
        hips = person.keypoints[_HIPS].mean(axis=0).astype(np.float64)
        shoulders = person.keypoints[_SHOULDERS].mean(axis=0)
        reach = np.linalg.norm(person.keypoints[_BODY][known[_BODY]] - hips, axis=-1).max()
        return self._body(image, upright(hips, shoulders, 2.5 * float(reach)))
