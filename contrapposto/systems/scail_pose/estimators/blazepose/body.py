"""BlazePose body: detector with four alignment points, and 33 landmarks in the image and in space.

Sources: Bazarevsky and others, BlazePose, 2020; Grishchenko and others, BlazePose GHUM Holistic, 2022;
docs/specs/scail_pose.md, section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.networks import (
    FOLDER,
    Network,
    Region,
    crop,
    sigmoid,
    upright,
    whole,
)

_GRIDS = ((28, 2), (14, 2), (7, 6))
_NUM_LANDMARKS = 33
_ROI_SCALE = 1.25
_TILE_SIDES, _TILE_OVERLAP = (1.0, 0.6), 0.5
_FINE_SIDE = 0.35  # of the tiles on which people who are small in the image are found
_FINE_PIXELS = 96  # the network sees 224: a smaller tile shows nothing more, and noise looks like people
_MIRRORED = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9]  # landmarks of the other side
_MIRRORED += [left + other for left in range(11, 33, 2) for other in (1, 0)]


@dataclass(frozen=True)
class Detection:
    """A person found.

    Attributes:
        score: in [0, 1].
        box: (4,) xyxy pixels, about the face.
        points: (4, 2) pixels: middle of the hips, top of the circle about the body, middle of the shoulders, top of
            the circle about the upper body.
    """

    score: float
    box: np.ndarray
    points: np.ndarray

    @property
    def region(self) -> Region:
        """The square for the landmarks."""
        return body_region(self.points[0], self.points[1])


@dataclass(frozen=True)
class BodyLandmarks:
    """33 landmarks of a person, in BlazePose's order.

    Attributes:
        pixels: (33, 2).
        depth: (33,) towards the camera negative, in pixels, from the hips.
        world: (33, 3) metres from the middle of the hips, x right, y down, z away from the camera.
        visibility: (33,) probability that a point is in the image and not hidden.
        presence: (33,) probability that it is in the image.
        score: probability that there is a person.
        region: in which the person should be in the next frame.
        region_seen: in which the network looked.
    """

    pixels: np.ndarray
    depth: np.ndarray
    world: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    score: float
    region: Region
    region_seen: Region

    @property
    def confidence(self) -> np.ndarray:
        """(33,) visibility times presence."""
        return self.visibility * self.presence


class BodyDetector:
    """People in an image, with what the landmarks need to begin."""

    def __init__(self, *, threads: int = 1, threshold: float = 0.5) -> None:
        self._network = Network("pose_detection.tflite", threads=threads)
        self.threshold = threshold

    def detect(self, image: np.ndarray, region: Region | None = None) -> list[Detection]:
        """People (H, W, 3) uint8 RGB shows in a region, or in the whole of it; best first."""
        return merge(self._look(image, region or whole(image)))

    def detect_in(self, image: np.ndarray, regions: Sequence[Region]) -> list[Detection]:
        """Like `detect`, looking at several regions (see `everywhere`)."""
        return merge([one for region in regions for one in self._look(image, region)])

    def _look(self, image: np.ndarray, region: Region) -> list[Detection]:
        values, logits = self._network(crop(image, region, self._network.size) / 127.5 - 1)
        scores = sigmoid(logits[:, 0])
        chosen = scores >= self.threshold
        cells = values[chosen].astype(np.float64) / self._network.size
        anchors = _anchors()[chosen]
        detections = []
        for score, cell, anchor in zip(scores[chosen], cells, anchors):
            middle, half = cell[:2] + anchor, cell[2:4] / 2
            box = region.to_image(np.stack([middle - half, middle + half])).ravel()
            detections.append(Detection(float(score), box, region.to_image(cell[4:].reshape(4, 2) + anchor)))
        return detections


class BodyNetwork:
    """33 landmarks of the person in a region.

    Args:
        path: of the network; None: the one that ships.
        threads: for one run.
    """

    def __init__(self, path: Path | None = None, *, threads: int = 1) -> None:
        path = path or FOLDER / "pose_landmark_full.tflite"
        self._network = Network(path.name, threads=threads, folder=path.parent)

    def __call__(self, image: np.ndarray, region: Region, *, mirrored: bool = False) -> BodyLandmarks:
        """Look at a region of an image; `mirrored`: in a mirror, with the result mirrored back."""
        size = self._network.size
        seen = crop(image, region, size, corners=True) / 255
        values, flag, _, _, world = self._network(seen[:, ::-1] if mirrored else seen)
        # 33 landmarks and two alignment points for the next frame; four more are not documented.
        points = values.reshape(-1, 5).astype(np.float64)
        world = world.reshape(-1, 3)
        if mirrored:
            points[:, 0] = size - 1 - points[:, 0]
            points[:_NUM_LANDMARKS] = points[_MIRRORED]
            world = world[_MIRRORED] * [-1, 1, 1]
        pixels = region.to_image(points[:, :2] / size)
        return BodyLandmarks(
            pixels[:_NUM_LANDMARKS],
            points[:_NUM_LANDMARKS, 2] / size * region.side,
            region.turned(world[:_NUM_LANDMARKS].astype(np.float64)),
            sigmoid(points[:_NUM_LANDMARKS, 3]),
            sigmoid(points[:_NUM_LANDMARKS, 4]),
            float(flag[0]),
            body_region(pixels[_NUM_LANDMARKS], pixels[_NUM_LANDMARKS + 1]),
            region,
        )


def body_region(hips: np.ndarray, top: np.ndarray) -> Region:
    """The square about the circle round the hips that goes through `top`, turned so that `top` is up."""
    return upright(hips, top, 2 * float(np.linalg.norm(top - hips)) * _ROI_SCALE)


def everywhere(image: np.ndarray) -> list[Region]:
    """The whole of an image and overlapping squares over it, which show more people."""
    return [whole(image), *tiles(image.shape[0], image.shape[1])]


def small_tiles(image: np.ndarray) -> list[Region]:
    """Overlapping small squares over an image, for small people; none where they would have too few pixels."""
    fine = _FINE_SIDE * min(image.shape[:2]) >= _FINE_PIXELS
    return tiles(image.shape[0], image.shape[1], (_FINE_SIDE,)) if fine else []


def tiles(height: int, width: int, sides: Sequence[float] = _TILE_SIDES) -> list[Region]:
    """Overlapping squares over an image, of some sides in shares of its shorter one."""
    squares = []
    for share in sides:
        side = min(height, width) * share
        steps = [
            max(int(np.ceil((length - side) / (side * _TILE_OVERLAP) - 1e-6)), 0)
            for length in (width, height)
        ]
        across, down = (
            np.linspace(side / 2, length - side / 2, count + 1) if count else np.array([length / 2])
            for length, count in zip((width, height), steps)
        )
        squares += [Region(np.array([x, y]), side) for y in down for x in across]
    return squares


def merge(detections: list[Detection], threshold: float = 0.3) -> list[Detection]:
    """One detection for each group whose boxes overlap: their mean, weighted by score; best first."""
    rest = sorted(detections, key=lambda one: -one.score)
    merged = []
    while rest:
        best = rest[0]
        same = [overlap(best.box, one.box) > threshold for one in rest]
        same[0] = True
        group = [one for one, one_of in zip(rest, same) if one_of]
        rest = [one for one, one_of in zip(rest, same) if not one_of]
        weights = np.array([one.score for one in group]) / sum(one.score for one in group)
        box = np.tensordot(weights, np.stack([one.box for one in group]), 1)
        points = np.tensordot(weights, np.stack([one.points for one in group]), 1)
        merged.append(Detection(best.score, box, points))
    return merged


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) xyxy."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    shared = float(np.maximum(sides, 0).prod())
    total = float((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod()) - shared
    return shared / total if total > 0 else 0.0


@cache
def _anchors() -> np.ndarray:
    """(2254, 2) centres of the detector's cells, in units of the side."""
    places = []
    for cells, count in _GRIDS:
        rows, columns = np.mgrid[:cells, :cells]
        centers = (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) / cells
        places.append(centers.repeat(count, axis=0))
    return np.concatenate(places)
