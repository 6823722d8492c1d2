"""An estimator put together from a detector, a network for keypoints and one for joints in space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from contrapposto.systems.scail_pose.interface import (
    NUM_JOINTS,
    Body3D,
    Person,
    PersonDetector,
    WholeBody2D,
)
from contrapposto.systems.scail_pose.tracking import Tracker, sight


class ComposedEstimator:
    """Detector, keypoints and joints of any make; identities by `Tracker`.

    Args:
        detector, whole_body, body: the three roles.
        most: people at a time; the surest ones.
        chunk: frames that `body` is given at a time.
    """

    def __init__(
        self,
        detector: PersonDetector,
        whole_body: WholeBody2D,
        body: Body3D,
        *,
        most: int = 8,
        chunk: int = 16,
    ) -> None:
        self.detector, self.whole_body, self.body = detector, whole_body, body
        self.most, self.chunk = most, chunk

    def people(self, frames: Iterable[np.ndarray], intrinsics: np.ndarray) -> Iterator[list[Person]]:
        """The people of one frame after the other (see `PoseEstimator`)."""
        tracker, rest, number = Tracker(), iter(frames), 0
        while images := list(islice(rest, self.chunk)):
            seen = [self._in_image(image, tracker, number + i) for i, image in enumerate(images)]
            number += len(images)
            for here, joints in zip(seen, self.body.estimate(images, seen, intrinsics)):
                yield [replace(person, joints=one) for person, one in zip(here, joints)]

    def _in_image(self, image: np.ndarray, tracker: Tracker, frame: int) -> list[Person]:
        boxes, sure = self.detector.detect(image)
        boxes, sure = boxes[: self.most], sure[: self.most]
        points, scores = self.whole_body.estimate(image, boxes)
        ids = tracker.number(frame, [sight(image, p, s) for p, s in zip(points, scores)])
        unknown = np.full((NUM_JOINTS, 3), np.nan, np.float32)
        people = [Person(*parts, unknown) for parts in zip(ids, boxes, map(float, sure), points, scores)]
        return sorted(people, key=lambda person: person.id)
