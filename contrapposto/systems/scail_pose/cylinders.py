"""Bones as coloured capsules (docs/specs/scail_pose.md, section 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT
from contrapposto.systems.scail_pose.palette import SINGLE, Palette

RADIUS = 21.5  # millimetres
ALPHA = 0.8


@dataclass(frozen=True)
class StickFigure:
    """What is drawn of a skeleton.

    Attributes:
        num_joints: of the skeleton.
        limbs: pairs of joints, in the order in which they win exact ties of depth.
        colors: (r, g, b) in 0..255 of each limb.
        radii: of each limb, in the unit of the joints.
        slots: which color of a person's palette a limb takes; None: its own number.
    """

    num_joints: int
    limbs: tuple[tuple[int, int], ...]
    colors: Palette
    radii: tuple[float, ...]
    slots: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.limbs or {len(self.colors), len(self.radii), len(self.limbs)} != {len(self.limbs)}:
            raise InputError(
                "The parts of a stick figure do not fit together.",
                found=f"{len(self.limbs)} limbs, {len(self.colors)} colours, {len(self.radii)} radii",
                expected="as many of each, at least 1",
            )
        if min(map(min, self.limbs)) < 0 or max(map(max, self.limbs)) >= self.num_joints:
            raise InputError(
                "A limb of a stick figure has a joint that is not there.",
                expected=f"joints 0 to {self.num_joints - 1}",
            )
        if not np.isfinite(self.radii).all() or min(self.radii) <= 0:
            raise InputError("A limb of a stick figure has no thickness.", found=f"radius {min(self.radii)}")


def _smpl_figure(radius: float) -> StickFigure:
    # Slots of the drawing skeleton, in the original's order of drawing and the number of their colour.
    drawn = (
        ((1, 2), 0),
        ((2, 3), 2),
        ((3, 4), 3),
        ((1, 5), 1),
        ((5, 6), 4),
        ((6, 7), 5),
        ((1, 8), 6),
        ((8, 9), 7),
        ((9, 10), 8),
        ((1, 11), 9),
        ((11, 12), 10),
        ((12, 13), 11),
        ((1, 0), 12),
    )
    limbs = tuple((SMPL_OF_SLOT[a], SMPL_OF_SLOT[b]) for (a, b), _ in drawn)
    slots = tuple(slot for _, slot in drawn)
    return StickFigure(24, limbs, tuple(SINGLE[slot] for slot in slots), (radius,) * len(drawn), slots)


SMPL_FIGURE = _smpl_figure(RADIUS)
"""13 limbs over the 24 SMPL joints in millimetres."""
SMPL_FIGURE_METRES = _smpl_figure(RADIUS / 1000)


@dataclass(frozen=True)
class Cylinders:
    """Capsules of one frame, in camera space.

    Attributes:
        start, end: (C, 3) ends of the axes.
        color: (C, 4) RGBA in [0, 1].
        radius: (C,) in the unit of the ends.
        person: (C,) int32, whose.
    """

    start: np.ndarray
    end: np.ndarray
    color: np.ndarray
    radius: np.ndarray
    person: np.ndarray


def make_cylinders(
    people: np.ndarray,
    palettes: Sequence[Palette],
    *,
    persons: Sequence[int] | None = None,
    figure: StickFigure = SMPL_FIGURE,
) -> Cylinders:
    """The people of a frame as capsules.

    A joint that is not finite, or whose coordinates sum to 0 (the original's mark), is missing; so are its limbs.

    Args:
        people: (n, J, 3) joints in camera space.
        palettes: a color (r, g, b) in 0..255 for each limb; person p has number p, beginning again after the last.
        persons: number p of each of the people; None: 0, 1, ...
        figure: of J joints.
    """
    people = np.nan_to_num(np.asarray(people), nan=0.0, posinf=0.0, neginf=0.0)
    if people.shape[1:] != (figure.num_joints, 3):
        raise InputError("Joints", found=f"shape {people.shape}", expected=f"(n, {figure.num_joints}, 3)")
    numbers = np.arange(len(people)) if persons is None else np.asarray(persons, np.int64)
    limbs = np.array(figure.limbs)
    slots = range(len(limbs)) if figure.slots is None else figure.slots
    color = np.array([[palette[slot] for slot in slots] for palette in palettes], np.float64) / 300 + 0.15
    color = np.concatenate([color, np.full((*color.shape[:2], 1), ALPHA)], axis=-1)
    present = people.sum(-1) != 0
    owner, limb = np.nonzero(present[:, limbs].all(-1))
    return Cylinders(
        people[owner, limbs[limb, 0]].astype(np.float32),
        people[owner, limbs[limb, 1]].astype(np.float32),
        color[numbers[owner] % len(color), limb].astype(np.float32),
        np.array(figure.radii, np.float32)[limb],
        numbers[owner].astype(np.int32),
    )
