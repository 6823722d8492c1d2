"""Hands and face of a person whose body is known, by BlazePose's networks (docs/specs/scail_pose.md, section 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.networks import (
    Network,
    Region,
    crop,
    sigmoid,
    upright,
)

_PALM = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # points of a hand that stay together when it closes
NOSE_TIP = 1  # of the 468 points of a face
_EYE_CORNERS = (33, 263)  # right and left
_LOOK = 24  # pixels: side of what is compared
_REST = 0.15  # change of a region at rest, in shares of its contrast: points move by 3 % of a hand
_NOISE = 4.0  # grey levels
_OLDEST = 7  # frames
# The 68 points of dlib (jaw, brows, nose, eyes, mouth) among the 468.
_DLIB = (
    "162 234 93 58 172 136 149 148 152 377 378 365 397 288 323 454 389 71 63 105 66 107 336 296 334 293 301 "
    "168 197 5 4 75 97 2 326 305 33 160 158 133 153 144 362 385 387 263 373 380 "
    "61 39 37 0 267 269 291 405 314 17 84 181 78 82 13 312 308 317 14 87"
)
DLIB_OF_FACE = tuple(int(number) for number in _DLIB.split())


@dataclass(frozen=True)
class Part:
    """A hand or a face.

    Attributes:
        pixels: (n, 2): 21 points of a hand, 468 of a face.
        score: probability that it is there.
        region: in which it should be in the next frame.
        look: what the region showed when the network looked, see `at_rest`; None: not kept.
        age: frames since then.
    """

    pixels: np.ndarray
    score: float
    region: Region
    look: np.ndarray | None = None
    age: int = 0


def kept(part: Part, image: np.ndarray) -> Part:
    """The part with what its region shows in the image that it was found in."""
    return replace(part, look=_look(image, part.region))


def at_rest(part: Part, image: np.ndarray) -> Part | None:
    """The part, one frame older, where its region in the next image shows what it did; None where it changed.

    Now and then None all the same: slow changes add up.
    """
    if part.look is None or part.age >= _OLDEST:
        return None
    change = np.abs(_look(image, part.region) - part.look).mean()
    return replace(part, age=part.age + 1) if change < _REST * (part.look.std() + _NOISE) else None


def _look(image: np.ndarray, region: Region) -> np.ndarray:
    """(24, 24) grey levels."""
    return crop(image, region, _LOOK).mean(-1)


class HandNetwork:
    """21 points of a hand: wrist, and four of each finger from the thumb to the little one."""

    def __init__(self, *, threads: int = 1) -> None:
        self._points = Network("hand_landmark_full.tflite", threads=threads)
        self._recrop = Network("hand_recrop.tflite", threads=threads)

    def __call__(self, image: np.ndarray, region: Region) -> Part:
        """Look at a region that shows a hand, fingers up."""
        size = self._points.size
        values, score, _, _ = self._points(crop(image, region, size, corners=True) / 255)
        pixels = region.to_image(values.reshape(21, 3)[:, :2].astype(np.float64) / size)
        return Part(pixels, float(score[0]), hand_region(pixels))

    def find(self, image: np.ndarray, wrist: np.ndarray, index: np.ndarray, pinky: np.ndarray) -> Region:
        """Where the hand is of which a body's landmarks (2,), pixels, are known."""
        size, rough = self._recrop.size, rough_hand_region(wrist, index, pinky)
        values = self._recrop(crop(image, rough, size, corners=True) / 255)[0].reshape(2, 2)
        middle, below = rough.to_image(values.astype(np.float64) / size)
        return upright(middle, 2 * middle - below, 2 * float(np.linalg.norm(below - middle)))


class FaceNetwork:
    """468 points of a face."""

    def __init__(self, *, threads: int = 1) -> None:
        self._network = Network("face_landmark.tflite", threads=threads)

    def __call__(self, image: np.ndarray, region: Region) -> Part:
        """Look at a region that shows a face."""
        size = self._network.size
        values, logit = self._network(crop(image, region, size, corners=True) / 255)
        pixels = region.to_image(values.reshape(-1, 3)[:, :2].astype(np.float64) / size)
        right, left = pixels[list(_EYE_CORNERS)]
        return Part(pixels, float(sigmoid(logit.ravel())[0]), around(pixels, _angle(left - right), 1.5))


def around(points: np.ndarray, angle: float, scale: float) -> Region:
    """The turned square about points (n, 2), enlarged."""
    plain = Region(np.zeros(2), 1.0, -angle)
    turned = plain.to_image(points + 0.5)
    low, high = turned.min(axis=0), turned.max(axis=0)
    middle = Region(np.zeros(2), 1.0, angle).to_image((low + high) / 2 + 0.5)
    return Region(middle, float((high - low).max()) * scale, angle)


def hand_region(points: np.ndarray) -> Region:
    """The square about 21 points of a hand, with room for moving fingers."""
    knuckles = 0.25 * (points[5] + points[13]) + 0.5 * points[9]
    angle = upright(points[0], knuckles, 1.0).angle
    return around(points[list(_PALM)], angle, 1.0).moved(0.0, -0.1, 2.0)


def rough_hand_region(wrist: np.ndarray, index: np.ndarray, pinky: np.ndarray) -> Region:
    """The square in which the hand of a body must be."""
    middle = (2 * index + pinky) / 3
    length = float(np.linalg.norm(middle - wrist))
    return Region(middle, 2 * length, upright(wrist, middle, 1.0).angle).moved(0.0, -0.1, 2.7)


def face_region(body: np.ndarray) -> Region:
    """The square about the face of a body's 33 landmarks (33, 2) pixels."""
    points = body[:11]
    right, left = body[5], body[2]
    return around(points, _angle(left - right), 2.0)


def _angle(right: np.ndarray) -> float:
    return math.atan2(right[1], right[0])
