"""The people of a reference image, by agreement of several looks at it.

One look at one size is easily wrong: a tree passes for a person, one person for two, a stylised character for nobody.
The original image is looked at in several sizes and with other contrast, and in close-ups. Who is seen again counts.
Where hardly any look agrees with another, a network for stylised figures looks for one (`figure_search`), and where all
that is seen is small: it may be the shield or the face of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.figure_search import Figure, FigureFinder, as_person
from contrapposto.systems.scail_pose.framing import frame_image, frame_transform
from contrapposto.systems.scail_pose.interface import Person, PoseEstimator
from contrapposto.systems.scail_pose.wholebody import THRESHOLD

_SIDES = (896, 576)  # of the whole image, pixels
_MARGIN = 0.2  # of the image's sides: a border for characters that fill it
_CLOSE_UPS = (1.3, 1.9)  # side of a close-up over the longer side of the person's box
_CLOSE_SIDE = 576  # pixels
_SAME = 0.15  # of the box's diagonal: keypoints nearer than that on average are one person's
_OVERLAP, _INSIDE = 0.6, 0.7  # boxes of one person: intersection over union; share of a box inside another's
_LEAST_SHARE = 0.5  # of the looks that saw the best one
_SURE = 0.7  # share of the looks: real people are seen by nearly all of them, false ones mostly by fewer
_LOW = 0.5  # of the image: people who are lower may be parts of a stylised figure
_PART = 1 / 3  # of a figure's box: somebody inside it who is smaller
_BODY = 14


@dataclass(frozen=True, eq=False)
class View:
    """A look at a rectangle of an image.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        scale: (2,) pixels of the view per pixel of the original, along x and y.
        shift: (2,) view pixels of the original's corner.
    """

    image: np.ndarray
    scale: np.ndarray
    shift: np.ndarray

    def people(
        self, estimator: PoseEstimator, scale: np.ndarray, shift: np.ndarray, intrinsics: np.ndarray
    ) -> list[Person]:
        """People in the pixels and the camera of an output that shows the original at `scale` and `shift`."""
        ratio = scale / self.scale
        offset = shift - self.shift * ratio
        matrix = np.array([[ratio[0], 0, offset[0]], [0, ratio[1], offset[1]], [0, 0, 1.0]])
        camera = (np.linalg.inv(matrix) @ intrinsics).astype(np.float32)
        seen = next(iter(estimator.people([self.image], camera)), [])
        return [
            replace(
                person,
                box=(person.box * np.tile(ratio, 2) + np.tile(offset, 2)).astype(np.float32),
                keypoints=(person.keypoints * ratio + offset).astype(np.float32),
            )
            for person in seen
        ]


@dataclass(eq=False)
class _Candidate:
    """Sightings of one person."""

    sightings: list[Person]
    looks: int = 1  # that saw the person
    chances: int = 1  # looks that could have

    @property
    def best(self) -> Person:
        return max(self.sightings, key=lambda person: person.score)

    @property
    def share(self) -> float:
        return self.looks / self.chances


def reference_people(
    image: np.ndarray, estimator: PoseEstimator, height: int, width: int, fit: str = "cover"
) -> list[Person]:
    """The people of a reference image, from left to right, in the pixels and the camera of the pose video.

    Args:
        image: (H, W, 3) uint8 RGB, the original.
        estimator: sees the people.
        height, width: of the pose video in pixels.
        fit: see `frame_image`.
    """
    scale, shift = frame_transform(image.shape[0], image.shape[1], height, width, fit)
    intrinsics = default_intrinsics(height, width)
    views = [View(frame_image(image, height, width, fit), scale, shift), *_whole_views(image)]
    candidates: list[_Candidate] = []
    for view in views:
        _collect(candidates, view.people(estimator, scale, shift, intrinsics))
    for candidate in candidates:
        candidate.chances = len(views)
        box = (candidate.best.box - np.tile(shift, 2)) / np.tile(scale, 2)
        for view in _close_ups(image, box):
            candidate.chances += 1
            again = [p for p in view.people(estimator, scale, shift, intrinsics) if _same(p, candidate.best)]
            if again:
                candidate.looks += 1
                # A close-up shows more than the whole image.
                candidate.sightings = [max(again, key=lambda p: p.score)]
    agreed = _agreed(candidates)
    doubtful = max((c.share for c in agreed), default=0.0) < _SURE
    if doubtful or all(_height(c.best) < _LOW * scale[1] * image.shape[0] for c in agreed):
        figure = _stylised(image)
        if figure is not None:
            person = as_person(figure, scale, shift, intrinsics)
            if doubtful or all(_part_of(c.best, person) for c in agreed):
                return [person]
    chosen = sorted((c.best for c in agreed), key=_middle)
    return [replace(person, id=number) for number, person in enumerate(chosen)]


def _stylised(image: np.ndarray) -> Figure | None:
    """A stylised figure in an image, if there is one."""
    return _finder().find(image)


@lru_cache(maxsize=1)
def _finder() -> FigureFinder:
    return FigureFinder()


def _collect(candidates: list[_Candidate], people: Sequence[Person]) -> None:
    """Add the people of a look, each to the candidate it fits best."""
    met: set[int] = set()
    for person in sorted(people, key=lambda one: -one.score):
        fits = [n for n, c in enumerate(candidates) if _same(person, c.best)]
        if not fits:
            candidates.append(_Candidate([person]))
            met.add(len(candidates) - 1)
        elif fits[0] not in met:  # a second one in the same place is the same person once more
            candidates[fits[0]].sightings.append(person)
            candidates[fits[0]].looks += 1
            met.add(fits[0])


def _agreed(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Those whom enough looks saw, without parts of somebody else."""
    ordered = sorted(candidates, key=lambda c: (-c.share, -c.best.score))
    least = _LEAST_SHARE * ordered[0].share if ordered else 0.0
    kept: list[_Candidate] = []
    for candidate in ordered:
        if candidate.share < least:
            continue
        doubles = any(
            _same(candidate.best, other.best)
            or (_share_inside(candidate.best, other.best) > _INSIDE and candidate.share < other.share)
            for other in kept
        )
        if not doubles:
            kept.append(candidate)
    return kept


def _whole_views(image: np.ndarray) -> list[View]:
    """The whole image in several sizes, with a border, and with its contrast evened out."""
    views = [_view(image, _whole(image), side) for side in _SIDES]
    wide = _whole(image)
    margin = _MARGIN * (wide[2:] - wide[:2])
    views.append(_view(image, wide + np.concatenate([-margin, margin]), _SIDES[1]))
    even = _view(image, wide, _SIDES[0])
    return [*views, replace(even, image=even_contrast(even.image))]


def _close_ups(image: np.ndarray, box: np.ndarray) -> list[View]:
    """Squares about a box (4,) xyxy in pixels of the original."""
    middle, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
    squares = [np.concatenate([middle - side * share / 2, middle + side * share / 2]) for share in _CLOSE_UPS]
    return [_view(image, square, _CLOSE_SIDE) for square in squares if side >= 8]


def _whole(image: np.ndarray) -> np.ndarray:
    return np.array([0.0, 0.0, image.shape[1], image.shape[0]])


def _view(image: np.ndarray, rectangle: np.ndarray, side: int) -> View:
    """A rectangle (4,) xyxy of an image, its longer side `side` pixels long, black beyond the image."""
    import cv2

    size = rectangle[2:] - rectangle[:2]
    scale = side / float(size.max())
    shift = -rectangle[:2] * scale
    width, height = (max(round(float(length) * scale), 1) for length in size)
    source = image
    factor = 1.0
    while scale / factor < 0.5 and min(source.shape[:2]) > 1:  # halving first avoids aliasing
        source = cv2.resize(source, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        factor /= 2
    step = np.array([image.shape[1] / source.shape[1], image.shape[0] / source.shape[0]]) * scale
    offset = shift + 0.5 * step - 0.5
    matrix = np.array([[step[0], 0, offset[0]], [0, step[1], offset[1]]])
    drawn = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return View(drawn, np.full(2, scale), shift)


def even_contrast(image: np.ndarray) -> np.ndarray:
    """An image (H, W, 3) uint8 RGB with local contrast evened out (CLAHE on the lightness)."""
    import cv2

    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def _same(first: Person, second: Person) -> bool:
    """Whether two sightings are one person's: by the body's keypoints, or by boxes where few are known."""
    both = (first.scores[:_BODY] > THRESHOLD) & (second.scores[:_BODY] > THRESHOLD)
    diagonal = max(float(np.linalg.norm(one.box[2:] - one.box[:2])) for one in (first, second))
    if both.sum() >= 4:
        away = np.linalg.norm(first.keypoints[:_BODY] - second.keypoints[:_BODY], axis=-1)[both]
        if float(away.mean()) < _SAME * diagonal:
            return True
    return _overlap(first.box, second.box) > _OVERLAP


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    shared = np.maximum(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0).prod()
    total = (first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod() - shared
    return float(shared / total) if total > 0 else 0.0


def _share_inside(first: Person, second: Person) -> float:
    """Share of the first one's box inside the second one's."""
    low, high = np.maximum(first.box[:2], second.box[:2]), np.minimum(first.box[2:], second.box[2:])
    area = float((first.box[2:] - first.box[:2]).prod())
    return float(np.maximum(high - low, 0).prod()) / area if area > 0 else 0.0


def _part_of(first: Person, second: Person) -> bool:
    """Whether the first one is only a part of the second: a shield or a face taken for somebody."""
    sides = [one.box[2:] - one.box[:2] for one in (first, second)]
    return _share_inside(first, second) > _INSIDE and float(sides[0].prod()) < _PART * float(sides[1].prod())


def _height(person: Person) -> float:
    return float(person.box[3] - person.box[1])


def _middle(person: Person) -> float:
    return float(person.box[0] + person.box[2])
