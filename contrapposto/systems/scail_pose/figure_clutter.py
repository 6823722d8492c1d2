"""What is no figure: furniture, plants, animals, lamps and heaps of solids, at random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.systems.scail_pose.figure_solids import Solids, random_color


def upright(points: np.ndarray) -> np.ndarray:
    """From y up, facing z, to z up, facing -y."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def clutter(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and colours, z up, of something that is no figure: furniture, plants, animals, heaps, parts."""
    solids = Solids()
    makers: list[Callable[[Solids, np.random.Generator], None]] = [
        _table,
        _tree,
        _animal,
        _animal,
        _heap,
        _heap,
        _lamp,
    ]
    makers[rng.integers(len(makers))](solids, rng)
    vertices, faces, colors = solids.joined()
    return upright(vertices), faces, colors


def _table(solids: Solids, rng: np.random.Generator) -> None:
    wide, deep, high, color = *rng.uniform([0.3, 0.2, 0.3], [0.9, 0.6, 1.1]), random_color(rng)
    solids.frustum(
        np.array([0, high, 0]),
        np.array([0, high + 0.06, 0]),
        (wide,) * 2,
        color,
        sides=int(rng.choice([4, 12])),
        flat=deep / wide,
    )
    for x in (-0.8, 0.8):
        for z in (-0.8, 0.8):
            solids.frustum(
                np.array([x * wide, 0, z * deep]),
                np.array([x * wide, high, z * deep]),
                (0.03, 0.04),
                color,
                sides=4,
            )
    if rng.random() < 0.6:  # a chair's back
        solids.frustum(
            np.array([0, high, -deep]),
            np.array([0, high + rng.uniform(0.3, 0.9), -deep]),
            (wide,) * 2,
            random_color(rng),
            sides=4,
            flat=0.1,
        )
    for _ in range(rng.integers(0, 4)):
        spot = np.array([rng.uniform(-wide, wide), high + 0.15, rng.uniform(-deep, deep)]) * [0.7, 1, 0.7]
        solids.ellipsoid(spot, rng.uniform(0.05, 0.2, 3), random_color(rng), None, rng.choice([1, 0.3]))


def _tree(solids: Solids, rng: np.random.Generator) -> None:
    high, thick, leaf = rng.uniform(0.4, 1.4), rng.uniform(0.03, 0.12), random_color(rng)
    solids.frustum(
        np.zeros(3), np.array([0, high, 0]), (thick, thick * 0.7), random_color(rng) * 0.6, sides=7
    )
    for _ in range(rng.integers(0, 5)):
        start = np.array([0, rng.uniform(0.4, 0.95) * high, 0])
        solids.frustum(
            start,
            start + rng.normal(0, 0.25, 3) + [0, 0.2, 0],
            (thick * 0.6, thick * 0.3),
            leaf * 0.5,
            sides=5,
        )
    for _ in range(rng.integers(1, 7)):
        if rng.random() < 0.6:
            solids.ellipsoid(
                np.array([0, high, 0]) + rng.normal(0, 0.2, 3),
                rng.uniform(0.1, 0.45, 3),
                leaf * rng.uniform(0.7, 1.2),
            )
        else:
            base = rng.uniform(0.3, 1) * high
            solids.frustum(
                np.array([0, base, 0]),
                np.array([0, base + rng.uniform(0.3, 0.7), 0]),
                (rng.uniform(0.2, 0.5), 0.02),
                leaf,
                sides=8,
            )


def _animal(solids: Solids, rng: np.random.Generator) -> None:
    """Four legs, a level trunk and a head in front."""
    color, dark = random_color(rng), random_color(rng)
    long, thick, high = rng.uniform([0.25, 0.1, 0.1], [0.6, 0.28, 0.7])
    ahead = np.array([np.cos(angle := rng.uniform(0, 2 * np.pi)), 0, np.sin(angle)])
    aside = np.cross(ahead, [0, 1, 0])
    frame = np.stack([ahead, [0, 1, 0], aside], axis=1)
    middle = np.array([0, high + thick, 0])
    solids.ellipsoid(middle, [long + thick, thick, thick], color, frame)
    for along in (-1, 1):
        for across in (-1, 1):
            hip = middle + along * long * ahead + across * 0.6 * thick * aside
            foot = hip + rng.normal(0, 0.05, 3)
            foot[1] = 0
            solids.frustum(hip, foot, (0.35 * thick, 0.25 * thick), color, sides=7)
    size = thick * rng.uniform(0.6, 1.2)
    head = middle + (long + thick) * ahead + [0, rng.uniform(-0.1, 0.5), 0]
    solids.frustum(middle + long * ahead, head, (0.6 * thick, 0.5 * size), color, sides=7)
    solids.ellipsoid(head, [1.2 * size, size, size], color, frame)
    solids.ellipsoid(head + 1.2 * size * ahead, [0.6 * size, 0.4 * size, 0.5 * size], dark, frame)
    for across in (-1, 1):
        ear = head + [0, size, 0] + across * 0.5 * size * aside
        solids.frustum(
            ear - [0, 0.3 * size, 0],
            ear + np.array([0, rng.uniform(0.1, 1.5) * size, 0]),
            (0.3 * size, 0.05 * size),
            dark,
            sides=6,
        )
        solids.ellipsoid(
            head + 0.8 * size * ahead + [0, 0.3 * size, 0] + across * 0.6 * size * aside,
            [0.15 * size] * 3,
            (0.05, 0.05, 0.05),
        )
    if rng.random() < 0.7:
        rear = middle - (long + 0.7 * thick) * ahead
        solids.frustum(
            rear,
            rear - ahead * rng.uniform(0.1, 0.5) + [0, rng.uniform(-0.3, 0.5), 0],
            (0.05, 0.03),
            dark,
            sides=6,
        )


def _heap(solids: Solids, rng: np.random.Generator) -> None:
    """Solids anywhere, of the sizes that parts of figures have."""
    for _ in range(rng.integers(1, 14)):
        spot = rng.uniform(-0.6, 0.6, 3) + np.array([0, 0.7, 0])
        if rng.random() < 0.5:
            turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
            solids.ellipsoid(
                spot,
                np.exp(rng.uniform(np.log(0.03), np.log(0.4), 3)),
                random_color(rng),
                turn,
                rng.choice([1, 0.5, 0.2]),
            )
        else:
            away = rng.normal(0, 0.3, 3)
            radii = np.exp(rng.uniform(np.log(0.02), np.log(0.3), 2))
            solids.frustum(
                spot,
                spot + away,
                (float(radii[0]), float(radii[1])),
                random_color(rng),
                sides=int(rng.choice([4, 6, 10])),
            )


def _lamp(solids: Solids, rng: np.random.Generator) -> None:
    """Solids above each other: lamps, vases, towers, signs."""
    height = 0.0
    for _ in range(rng.integers(2, 6)):
        tall = rng.uniform(0.05, 0.6)
        radii = np.exp(rng.uniform(np.log(0.02), np.log(0.4), 2))
        solids.frustum(
            np.array([0, height, 0]),
            np.array([0, height + tall, 0]),
            (float(radii[0]), float(radii[1])),
            random_color(rng),
            sides=int(rng.choice([4, 8, 12])),
        )
        height += tall
