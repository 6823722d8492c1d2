"""What stylised figures have on their heads: hair, hats, helmets, hoods, crowns, ears of animals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapposto.systems.scail_pose.figure_solids import Solids


@dataclass(frozen=True, eq=False)
class Head:
    """An ellipsoid.

    Attributes:
        center, half: (3,) middle and half sizes. turn: (3, 3) rotation.
    """

    center: np.ndarray
    half: np.ndarray
    turn: np.ndarray

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """A place (3,) in shares of the half sizes."""
        return np.asarray(self.center + self.turn @ (self.half * [x, y, z]))


def headwear(solids: Solids, head: Head, palette: list[np.ndarray], rng: np.random.Generator) -> None:
    """Something on a head, or nothing."""
    color, other = palette[7], palette[6]
    kind = str(rng.choice(["none", "hair", "hair", "cone", "brimmed", "helmet", "hood", "crown"]))
    if kind == "hair" or (kind == "brimmed" and rng.random() < 0.5):
        _hair(solids, head, color, rng)
    if kind in ("cone", "brimmed"):
        _hat(solids, head, kind, color, other, rng)
    if kind == "helmet":
        _helmet(solids, head, color, other, rng)
    if kind == "hood":
        solids.ellipsoid(head.at(0, 0.05, -0.3), head.half * [1.3, 1.2, 1.1], palette[1], head.turn)
    if kind == "crown":
        solids.frustum(
            head.at(0, 0.6, 0),
            head.at(0, 1.2, 0),
            (0.9 * head.half[0], 1.0 * head.half[0]),
            np.array([0.95, 0.8, 0.2]),
            sides=8,
        )
    if rng.random() < 0.2:
        _ears(solids, head, palette[0], rng)


def _hair(solids: Solids, head: Head, color: np.ndarray, rng: np.random.Generator) -> None:
    solids.ellipsoid(
        head.at(0, 0.25, -0.2),
        head.half * rng.uniform([1.02, 0.85, 0.95], [1.25, 1.0, 1.1]),
        color,
        head.turn,
        rng.choice([1, 0.6]),
    )
    if rng.random() < 0.4:
        solids.ellipsoid(
            head.at(0, -0.6, -0.7),
            head.half * [rng.uniform(0.6, 1.2), rng.uniform(0.6, 2.0), 0.4],
            color,
            head.turn,
        )
    if rng.random() < 0.25:
        for side in (-1, 1):
            solids.ellipsoid(
                head.at(side * 1.2, rng.uniform(-0.6, 0.5), -0.2),
                head.half[1] * rng.uniform(0.2, 0.7) * np.array([1, 1.5, 1]),
                color,
                head.turn,
            )
    for _ in range(int(rng.choice([0, 0, 4, 7]))):
        spike = rng.normal(size=3) * [1, 0.6, 0.6] + [0, 0.6, -0.2]
        spike /= np.linalg.norm(spike)
        solids.frustum(
            head.at(*(0.8 * spike)),
            head.at(*(rng.uniform(1.2, 1.6) * spike)),
            (0.4 * head.half[0], 0.02 * head.half[0]),
            color,
            sides=6,
        )


def _hat(
    solids: Solids, head: Head, kind: str, color: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> None:
    if kind == "cone":
        solids.frustum(
            head.at(0, 0.45, -0.1),
            head.at(rng.uniform(-0.4, 0.4), rng.uniform(1.6, 3.2), rng.uniform(-1, 0.2)),
            (1.15 * head.half[0], 0.03),
            color,
            sides=10,
        )
    brim = rng.uniform(1.2, 2.2) * head.half[0]
    solids.frustum(
        head.at(0, 0.4, 0),
        head.at(0, 0.5, 0),
        (brim, brim * 0.9),
        other if kind == "brimmed" else color,
        sides=12,
    )
    if kind == "brimmed":
        solids.frustum(
            head.at(0, 0.45, 0),
            head.at(0, rng.uniform(0.9, 1.7), 0),
            (1.1 * head.half[0], rng.uniform(0.5, 1.2) * head.half[0]),
            color,
            sides=10,
        )


def _helmet(
    solids: Solids, head: Head, color: np.ndarray, other: np.ndarray, rng: np.random.Generator
) -> None:
    closed = rng.random() < 0.4
    solids.ellipsoid(
        head.at(0, 0.15, -0.2 if not closed else 0.02),
        head.half * (1.15 if not closed else 1.1),
        color,
        head.turn,
        rng.choice([1, 0.5]),
    )
    if closed:
        solids.ellipsoid(
            head.at(0, rng.uniform(-0.2, 0.2), 1.0),
            head.half * [0.7, rng.uniform(0.06, 0.25), 0.2],
            other * 0.3,
            head.turn,
            0.5,
        )
    if rng.random() < 0.4:
        solids.frustum(
            head.at(0, 1.0, -0.1),
            head.at(0, rng.uniform(1.3, 2.2), -0.5),
            (0.15 * head.half[0], 0.35 * head.half[0]),
            other,
            sides=6,
        )
    if rng.random() < 0.3:
        for side in (-1, 1):
            solids.frustum(
                head.at(side * 0.9, 0.6, 0),
                head.at(side * 1.7, rng.uniform(0.8, 1.9), 0),
                (0.3 * head.half[0], 0.02),
                other,
                sides=6,
            )


def _ears(solids: Solids, head: Head, color: np.ndarray, rng: np.random.Generator) -> None:
    tall = rng.uniform(0.5, 1.8)
    for side in (-1, 1):
        solids.frustum(
            head.at(side * 0.6, 0.7, 0),
            head.at(side * rng.uniform(0.6, 1), 0.8 + tall, 0),
            (0.35 * head.half[0], 0.08 * head.half[0]),
            color,
            sides=6,
            flat=0.5,
        )
