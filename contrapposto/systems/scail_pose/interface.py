"""What estimators give and what they can be made of (docs/specs/scail_pose.md, section 12)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NUM_KEYPOINTS = 134
NUM_JOINTS = 24


@dataclass(frozen=True)
class Person:
    """A person in a frame.

    Attributes:
        id: the same person's in all frames, from 0.
        box: (4,) xyxy pixels.
        score: in [0, 1].
        keypoints: (134, 2) pixels, in the order of `wholebody.to_openpose_order`.
        scores: (134,) in [0, 1]; 0 where a point was not looked for or not found.
        joints: (24, 3) SMPL joints in millimetres in camera space (x right, y down, z forward); NaN where unknown.
    """

    id: int
    box: np.ndarray
    score: float
    keypoints: np.ndarray
    scores: np.ndarray
    joints: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """(24,) which joints are known."""
        return np.isfinite(self.joints).all(axis=-1)


class PoseEstimator(Protocol):
    """Everybody in every frame."""

    def people(self, frames: Iterable[np.ndarray], intrinsics: np.ndarray) -> Iterator[list[Person]]:
        """The people of one frame after the other, by id; reads on no more frames than it needs.

        Args:
            frames: (H, W, 3) uint8 RGB, consecutive.
            intrinsics: (3, 3) pixels, of the camera that the joints are wanted in.
        """
        ...


class PersonDetector(Protocol):
    """Boxes about people."""

    def detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB to boxes (n, 4) xyxy pixels and scores (n,), best first."""
        ...


class WholeBody2D(Protocol):
    """Keypoints in the image."""

    def estimate(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (n, 134, 2) pixels and scores (n, 134) of the people in n boxes; a missing part has score 0."""
        ...


class Body3D(Protocol):
    """Joints in space."""

    def estimate(
        self, frames: Sequence[np.ndarray], people: Sequence[Sequence[Person]], intrinsics: np.ndarray
    ) -> list[np.ndarray]:
        """Joints (n, 24, 3), millimetres in camera space, NaN where unknown, of the n people of each frame.

        Args:
            frames: (H, W, 3) uint8 RGB, consecutive.
            people: of each frame, with boxes and keypoints; their joints are not known yet.
            intrinsics: (3, 3) pixels.
        """
        ...
