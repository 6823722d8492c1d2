"""Hands and faces that rest are not looked at again."""

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.estimators.blazepose.parts import Part, at_rest, kept


def hand_before(brightness: float = 0.0, *, moved: int = 0, seed: int = 0) -> np.ndarray:
    """A striped block of 40 pixels, at (100, 80), in noise."""
    rng = np.random.default_rng(seed)
    image = np.full((200, 240, 3), 120.0)
    for stripe in range(5):
        image[60:100, 80 + 8 * stripe + moved : 84 + 8 * stripe + moved] = 200
    return (image + brightness + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def part() -> Part:
    return kept(Part(np.zeros((21, 2)), 0.9, Region(np.array([100.0, 80.0]), 60.0)), hand_before())


def test_what_rests_is_kept_and_grows_older_until_it_is_looked_at_again():
    seen, ages = part(), []
    for frame in range(1, 12):
        seen = at_rest(seen, hand_before(seed=frame))
        if seen is None:
            break
        ages.append(seen.age)
    assert ages == list(range(1, 8))


def test_what_moves_or_changes_is_looked_at():
    assert at_rest(part(), hand_before(moved=4, seed=1)) is None
    assert at_rest(part(), hand_before(brightness=30, seed=1)) is None


def test_slow_movement_adds_up():
    """A tenth of a pixel a frame would never be noticed from frame to frame."""
    image = hand_before().astype(float)
    other = hand_before(moved=4).astype(float)
    seen = part()
    for frame in range(1, 8):
        seen = at_rest(seen, (image + frame / 7 * (other - image)).astype(np.uint8))
        if seen is None:
            return
    raise AssertionError("never looked at")


def test_a_part_that_was_not_kept_is_looked_at():
    assert at_rest(Part(np.zeros((21, 2)), 0.9, Region(np.array([100.0, 80.0]), 60.0)), hand_before()) is None
