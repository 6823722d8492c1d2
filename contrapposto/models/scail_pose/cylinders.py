"""Bones as coloured capsules (fact sheet, section 7.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contrapposto.models.scail_pose.camera import smpl_to_slots

RADIUS = 21.5  # millimetres
ALPHA = 0.8
Palette = tuple[tuple[int, int, int], ...]
LIMBS = (
    (1, 2),
    (1, 5),
    (2, 3),
    (3, 4),
    (5, 6),
    (6, 7),
    (1, 8),
    (8, 9),
    (9, 10),
    (1, 11),
    (11, 12),
    (12, 13),
    (1, 0),
)
# The first limb found wins exact ties of depth, so the order belongs to the look.
_EMISSION = (0, 2, 3, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12)

# fmt: off
SINGLE: Palette = (
    (255, 0, 0), (0, 255, 255), (255, 85, 0), (255, 170, 0), (0, 170, 255), (0, 85, 255), (180, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 0, 255), (85, 0, 255), (170, 0, 255), (150, 150, 150),
)
PALE: Palette = (
    (255, 150, 150), (180, 230, 240), (255, 180, 140), (255, 215, 150), (160, 200, 255), (100, 120, 255),
    (200, 255, 100), (100, 255, 100), (140, 255, 180), (120, 140, 255), (180, 90, 255), (190, 120, 255),
    (210, 210, 210),
)
STRONG: Palette = (
    (255, 20, 20), (0, 230, 255), (255, 60, 0), (255, 110, 0), (0, 130, 255), (0, 70, 255), (160, 255, 40),
    (0, 255, 50), (0, 255, 100), (0, 0, 255), (80, 0, 255), (160, 0, 255), (130, 130, 130),
)
# fmt: on


@dataclass(frozen=True)
class Cylinders:
    """Capsules of one frame: start and end (C, 3) in camera space, color (C, 4) RGBA."""

    start: np.ndarray
    end: np.ndarray
    color: np.ndarray


def make_cylinders(people: np.ndarray, palettes: Sequence[Palette]) -> Cylinders:
    """SMPL joints (n, 24, 3) of the people of a frame as capsules, one palette per person in turn.

    A joint that is not finite, or whose coordinates sum to 0 (the original's mark), is missing; so are its limbs.
    """
    slots = smpl_to_slots(np.nan_to_num(people, nan=0.0, posinf=0.0, neginf=0.0))
    present = slots.sum(-1) != 0
    chosen = [
        (person, limb, *LIMBS[limb])
        for person in range(len(slots))
        for limb in _EMISSION
        if present[person, list(LIMBS[limb])].all()
    ]
    colors = [
        [c / 300 + 0.15 for c in palettes[p % len(palettes)][limb]] + [ALPHA] for p, limb, _, _ in chosen
    ]
    return Cylinders(
        np.array([slots[p, a] for p, _, a, _ in chosen], np.float32).reshape(-1, 3),
        np.array([slots[p, b] for p, _, _, b in chosen], np.float32).reshape(-1, 3),
        np.array(colors, np.float32).reshape(-1, 4),
    )
