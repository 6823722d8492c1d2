"""What moves in a picture and belongs to nobody known."""

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.estimators.blazepose.watch import Watch

HEIGHT, WIDTH = 240, 320


def picture(x, *others, size=40):
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    for place in (x, *others):
        image[80:200, int(place) : int(place) + size] = 40
    return image


def walk(watch, frames, boxes=()):
    """Frame by frame, everybody 10 pixels farther to the right: what is pointed out."""
    found = []
    for number in range(frames):
        watch.see(picture(50 + 10 * number))
        found.append(watch.strangers(number, boxes))
    return found


def test_a_stranger_who_walks_is_pointed_out():
    found = walk(Watch(), 3)
    assert not found[0] and found[1]
    for middle, size in found[1]:  # of a plain block only the edges change
        assert abs(middle - [80, 140]).max() < 30 and 60 <= size <= 160


def test_people_who_are_known_are_not():
    assert not any(walk(Watch(), 6, [np.array([40, 70, 220, 210])]))


def test_the_same_movement_is_pointed_out_less_and_less_often():
    frames = [number for number, places in enumerate(walk(Watch(), 20)) if places]
    gaps = np.diff(frames)
    assert frames[0] == 1 and (np.diff(gaps) >= 0).all() and 4 <= gaps.max() <= 8


def test_two_who_are_apart_are_two_places():
    watch = Watch()
    for number in range(2):
        watch.see(picture(30 + 10 * number, 230 + 10 * number))
    places = watch.strangers(1, [])
    assert {middle[0] > 160 for middle, _ in places} == {True, False}


def test_a_moving_camera_and_a_cut():
    watch, generator = Watch(), np.random.default_rng(0)
    assert watch.see(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert watch.see(np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    texture = np.repeat(np.repeat(generator.integers(60, 120, (24, 32, 3)), 10, 0), 10, 1).astype(np.uint8)
    watch.see(texture)
    assert not watch.see(np.roll(texture, 10, axis=1))
    assert watch.strangers(3, []) == []


LEFT, RIGHT = Region(np.array([80.0, 120.0]), 160.0), Region(np.array([240.0, 120.0]), 160.0)


def test_what_has_not_changed_is_searched_once():
    watch = Watch()
    watch.see(picture(30))
    assert watch.changed([LEFT, RIGHT], []) == [LEFT, RIGHT]
    watch.see(picture(30))
    assert watch.changed([LEFT, RIGHT], []) == []
    watch.see(picture(30, 230))
    assert watch.changed([LEFT, RIGHT], []) == [RIGHT]
    assert watch.changed([LEFT, RIGHT], []) == []
    watch.see(picture(60, 230))
    assert watch.changed([LEFT, RIGHT], []) == [LEFT]


def test_slow_changes_add_up():
    watch = Watch()
    watch.see(np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    watch.changed([LEFT, RIGHT], [])
    looks = []
    for level in range(101, 115):
        watch.see(np.full((HEIGHT, WIDTH, 3), level, np.uint8))
        looks.append(bool(watch.changed([LEFT, RIGHT], [])))
    assert looks == [False] * 6 + [True] + [False] * 6 + [True]


def test_known_people_are_not_searched_but_what_they_uncover_is():
    watch = Watch()
    watch.see(picture(30))
    watch.changed([LEFT, RIGHT], [])
    watch.see(picture(60))
    assert watch.changed([LEFT, RIGHT], [np.array([20.0, 70.0, 110.0, 210.0])]) == []
    assert watch.changed([LEFT, RIGHT], [np.array([75.0, 70.0, 110.0, 210.0])]) == [LEFT]


def test_after_a_cut_everything_is_searched():
    watch = Watch()
    for image in (picture(30), 255 - picture(30)):
        assert watch.see(image)
        assert watch.changed([LEFT, RIGHT], []) == [LEFT, RIGHT]
