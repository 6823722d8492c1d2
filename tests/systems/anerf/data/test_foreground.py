"""Masks before a camera at rest, on drawn people of known outline."""

from __future__ import annotations

import numpy as np
import pytest

from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.foreground import FlatFigure, StillCamera

SIZE = (120, 160)
METRE = 45.0
COUNT = 12


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray, FlatFigure]:
    """Images, true masks, those of a network that sees no head and no arms, and the figure: discs that walk aside."""
    generator = np.random.default_rng(0)
    scene = generator.integers(40, 216, (*SIZE, 3)).astype(np.float64)
    rest = SMPL24.rest_positions[:, :2] - SMPL24.rest_positions[0, :2]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    images, masks, seen, joints = [], [], [], []
    for frame in range(COUNT):
        centre = np.array([40 + 80 * frame / (COUNT - 1), 52])
        flat = centre + rest * [1, -1] * METRE
        head = np.hypot(columns - flat[15, 0], rows - flat[15, 1] + 4) < 6
        body = np.zeros(SIZE, bool)
        for child, parent in enumerate(SMPL24.parents):
            for share in np.linspace(0, 1, 9) if parent >= 0 and child != 15 else ():
                point = flat[parent] + share * (flat[child] - flat[parent])
                body |= np.hypot(columns - point[0], rows - point[1]) < 4
        image = scene + generator.normal(0, 2, scene.shape)
        image[head | body] = (200, 60, 40)
        images.append(image.clip(0, 255).astype(np.uint8))
        masks.append(head | body)
        seen.append(body & (rows > flat[12, 1] + 3))  # no head, no arms
        joints.append(flat)
    figure = FlatFigure(np.array(joints), np.full(COUNT, METRE))
    return np.array(images), np.array(masks), np.array(seen), figure


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.fixture(scope="module")
def camera() -> StillCamera:
    images, _, seen, figure = drawn()
    near = np.stack([figure.near(frame, SIZE) for frame in range(COUNT)])
    return StillCamera.of_frames(images, seen | near)


def test_what_the_network_misses_is_part_of_the_person(camera: StillCamera) -> None:
    images, true, seen, figure = drawn()
    for frame in (0, 5, COUNT - 1):
        mask = camera.person(images[frame], figure.near(frame, SIZE), seen[frame])
        assert overlap(mask, true[frame]) > 0.85 > overlap(seen[frame], true[frame])


def test_what_moves_elsewhere_is_not(camera: StillCamera) -> None:
    images, true, seen, figure = drawn()
    image = images[0].copy()
    image[20:60, 120:150] = 0  # somebody else
    known = seen[0].copy()
    known[20:60, 120:150] = True
    mask = camera.person(image, figure.near(0, SIZE), known)
    assert not mask[:, 100:].any() and overlap(mask, true[0]) > 0.85


def test_a_shadow_is_not(camera: StillCamera) -> None:
    images, true, seen, figure = drawn()
    image, ground = images[3].copy(), np.zeros(SIZE, bool)
    feet = figure.joints[3, [10, 11]].mean(0).astype(int)
    ground[feet[1] : feet[1] + 6, feet[0] - 12 : feet[0] + 12] = True
    ground &= ~true[3]
    image[ground] = (camera.background[ground] * 0.7).astype(np.uint8)
    mask = camera.person(image, figure.near(3, SIZE), seen[3])
    assert (mask & ground).sum() < 0.5 * ground.sum()


def test_a_background_that_was_never_seen_is_left_to_the_network() -> None:
    """A person who stays: near the bones, all that is known is what the network sees."""
    images, _, seen, figure = drawn()
    still = np.stack([images[0]] * COUNT)
    near = figure.near(0, SIZE)
    camera = StillCamera.of_frames(still, np.stack([near | seen[0]] * COUNT))
    mask = camera.person(images[0], near, seen[0])
    assert overlap(mask, seen[0]) > 0.8 and not (mask & ~near).any()


def test_the_trunk_of_a_person_who_stays_is_part_of_the_mask() -> None:
    """The network loses the trunk, and of the background behind it nothing is known."""
    images, true, seen, figure = drawn()
    near, inside = figure.near(0, SIZE), figure.inside(0, SIZE)
    camera = StillCamera.of_frames(np.stack([images[0]] * COUNT), np.stack([near | seen[0]] * COUNT))
    lost = seen[0].copy()
    top, bottom = figure.joints[0, [12, 0], 1].astype(int)
    lost[top:bottom] = False
    trunk, middle = np.zeros(SIZE, bool), int(figure.joints[0, 0, 0])
    part = slice(top, bottom), slice(middle - 5, middle + 6)
    trunk[part] = true[0][part]
    assert (
        inside & ~true[0]
    ).sum() < 0.25 * inside.sum()  # blocks of four pixels, on limbs that are eight wide
    without = camera.person(images[0], near, lost)
    mask = camera.person(images[0], near, lost, inside)
    assert (mask & trunk).sum() > 0.7 * trunk.sum() and (without & trunk).sum() < 0.3 * trunk.sum()
