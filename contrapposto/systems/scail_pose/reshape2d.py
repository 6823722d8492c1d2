"""Keypoints of other proportions, the original's augmentation in the image (docs/specs/scail_pose.md, section 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from contrapposto.errors import ConfigError, nearest
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

_LEFT, _RIGHT = 0, 1
# (anchor, end, body points that move, hand that moves with them)
_LENGTHS: dict[str, tuple[tuple[int, int, tuple[int, ...], int | None], ...]] = {
    "body": ((1, 8, (8, 9, 10), None), (1, 11, (11, 12, 13), None)),
    "arm": ((2, 3, (3, 4), _RIGHT), (5, 6, (6, 7), _LEFT), (3, 4, (4,), _RIGHT), (6, 7, (7,), _LEFT)),
    "leg": ((8, 9, (9, 10), None), (11, 12, (12, 13), None), (9, 10, (10,), None), (12, 13, (13,), None)),
    "shoulder": ((1, 2, (2, 3, 4), _RIGHT), (1, 5, (5, 6, 7), _LEFT)),
}
_LOTS = tuple(f"{how}_{part}" for how in ("extend", "shrink") for part in ("body", "arm", "leg"))
_EXTRAS = ("offset_wholebody", "dilate_face", "shrink_face")
METHODS = (*_LOTS, "extend_shoulder", "shrink_shoulder", *_EXTRAS, "scale_wholebody")


@dataclass
class Figure:
    """A person's keypoints, to be changed in place.

    Attributes:
        body: (K, 2), at least 18 points in the order of the 134.
        seen: (K,) which of them count.
        hands: left and right, (21, 2) each. hands_seen: (21,) each.
        face: (68, 2), or (0, 2). face_seen: (68,).
        firm: that points which do not count keep their place when all of a person moves.
    """

    body: np.ndarray
    seen: np.ndarray
    hands: tuple[np.ndarray, np.ndarray]
    hands_seen: tuple[np.ndarray, np.ndarray]
    face: np.ndarray
    face_seen: np.ndarray
    firm: bool = True

    @classmethod
    def of_pose(cls, pose: WholeBodyPose, person: int) -> Figure:
        """A view of one person of a pose."""
        hands = pose.hands[2 * person], pose.hands[2 * person + 1]
        face = pose.faces[person]
        return cls(
            pose.candidate[person],
            pose.subset[person] != -1,
            hands,
            (_seen(hands[0]), _seen(hands[1])),
            face,
            _seen(face),
        )

    @classmethod
    def of_vitpose(cls, body: np.ndarray, left: np.ndarray, right: np.ndarray) -> Figure:
        """A view of ViTPose's keypoints (18, 3), (21, 3), (21, 3): x, y, and a score that counts from 0.5."""
        sure = [part[:, 2] >= 0.5 for part in (body, left, right)]
        nothing = np.zeros((0, 2), body.dtype)
        hands, seen = (left[:, :2], right[:, :2]), (sure[1], sure[2])
        return cls(body[:, :2], sure[0], hands, seen, nothing, np.zeros(0, bool), firm=False)

    def parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """All points and which of them count."""
        hands = list(zip(self.hands, self.hands_seen))
        return [(self.body, self.seen), *hands, (self.face, self.face_seen)]


@dataclass(frozen=True)
class Lot:
    """What happens to the figures of a clip.

    Attributes:
        offset: (x, y) of the whole image.
        scale: (x, y) by which all grows.
        methods: of `METHODS`, in order.
    """

    offset: tuple[float, float]
    scale: tuple[float, float]
    methods: tuple[str, ...]


def draw_lot(alpha: float, generator: Random) -> Lot:
    """Two of six lengths and up to one thing more.

    Args:
        alpha: twice the largest scale.
        generator: Python's, so that a seed gives the original's offsets and scales.
    """
    offset = generator.uniform(-1 / 16, 1 / 16), generator.uniform(-1 / 16, 1 / 16)
    scale = generator.uniform(-alpha / 2, alpha / 2), generator.uniform(-alpha / 2, alpha / 2)
    ways = generator.sample(
        ("extend_body", "extend_arm", "extend_leg", "shrink_body", "shrink_arm", "shrink_leg"), 2
    )
    return Lot(offset, scale, (*ways, *generator.sample(_EXTRAS, generator.randint(0, 1))))


def reshape_pose(pose: WholeBodyPose, alpha: float, lot: Lot) -> WholeBodyPose:
    """The people of a frame with other proportions; hands as pairs, coordinates divided by the image's size."""
    work = WholeBodyPose(*(part.copy() for part in (pose.candidate, pose.subset, pose.faces, pose.hands)))
    for method in lot.methods:
        reshape_figures([Figure.of_pose(work, i) for i in range(len(work.candidate))], method, alpha, lot)
    return work


def reshape_figures(figures: Sequence[Figure], method: str, alpha: float, lot: Lot) -> None:
    """Change figures in place by one method.

    Raises:
        ConfigError: no such method, or `scale_wholebody` for several people.
    """
    if method not in METHODS:
        raise ConfigError(f"{method!r} reshapes nothing.", expected=nearest(method, METHODS))
    if method == "scale_wholebody" and len(figures) != 1:
        raise ConfigError("scale_wholebody is for one person.", found=f"{len(figures)} people")
    how, part = method.split("_")
    for figure in figures:
        if method == "offset_wholebody":
            _move_all(figure, np.array(lot.offset), np.zeros(2))
        elif method == "scale_wholebody":
            _move_all(figure, np.zeros(2), np.array(lot.scale))
        elif part == "face":
            _grow_face(figure, alpha if how == "dilate" else -alpha / 2)
        else:
            _lengthen(figure, part, alpha if how == "extend" else -alpha)


def _lengthen(figure: Figure, part: str, share: float) -> None:
    for anchor, end, carried, side in _LENGTHS[part]:
        if not (figure.seen[anchor] and figure.seen[end]):
            continue
        offset = share * (figure.body[end] - figure.body[anchor])
        points = [point for point in carried if figure.seen[point]]
        figure.body[points] += offset
        if side is not None:
            figure.hands[side][figure.hands_seen[side]] += offset


def _grow_face(figure: Figure, share: float) -> None:
    if not figure.seen[0]:
        return
    nose = figure.body[0].copy()
    around = [point for point in (14, 15, 16, 17) if figure.seen[point]]
    figure.body[around] += share * (figure.body[around] - nose)
    figure.face[figure.face_seen] += share * (figure.face[figure.face_seen] - nose)


def _move_all(figure: Figure, offset: np.ndarray, scale: np.ndarray) -> None:
    body, *others = figure.parts()
    if scale.any():  # about the middle of all there is; the body moves whole
        body = (body[0], np.ones(len(body[0]), bool))
    moving = [(p, s if figure.firm else np.ones(len(p), bool)) for p, s in (body, *others)]
    every = np.concatenate([points[seen] for points, seen in moving])
    middle = (every.min(axis=0) + every.max(axis=0)) / 2
    for points, seen in moving:
        points[seen] += offset + scale * (points[seen] - middle)


def _seen(points: np.ndarray) -> np.ndarray:
    return (points != -1).any(axis=-1)
