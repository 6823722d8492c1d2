"""Identities: people drawn as coloured sticks who cross, stand still, leave and come back."""

import numpy as np

from contrapposto.systems.scail_pose.tracking import Tracker, sight

HEIGHT, WIDTH = 200, 400
RED, BLUE, GREEN = (220, 30, 30), (30, 30, 220), (30, 200, 30)
# A standing figure, its 14 body keypoints about the neck, 100 pixels high.
FIGURE = 100 * np.array(
    [
        *((0, -0.12), (0, 0), (-0.12, 0.02), (-0.15, 0.2), (-0.15, 0.38), (0.12, 0.02), (0.15, 0.2)),
        *((0.15, 0.38), (-0.08, 0.38), (-0.08, 0.6), (-0.08, 0.82), (0.08, 0.38), (0.08, 0.6), (0.08, 0.82)),
    ]
)


def frame_of(people):
    """Picture and sightings of (x, colour) people, those named first in front."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for x, color in reversed(people):
        image[40:160, max(int(x) - 18, 0) : max(int(x) + 18, 0)] = color
    sightings = []
    for x, _ in people:
        points, scores = np.zeros((134, 2)), np.zeros(134)
        points[:14], scores[:14] = FIGURE + np.array([x, 70]), 0.9
        sightings.append(sight(image, points, scores))
    return sightings


def run(tracks):
    """Numbers of people by colour: tracks give per frame a list of (x, colour), in any order."""
    tracker, found = Tracker(), []
    for number, people in enumerate(tracks):
        ids = tracker.number(number, frame_of(people))
        found.append({color: i for (_, color), i in zip(people, ids)})
    return found


def shuffled(tracks, seed=0):
    generator = np.random.default_rng(seed)
    return [[people[i] for i in generator.permutation(len(people))] for people in tracks]


def test_people_who_cross_keep_their_numbers():
    tracks = [[(60 + 7 * t, RED), (340 - 7 * t, BLUE)] for t in range(40)]
    found = run(shuffled(tracks))
    assert all(here == found[0] for here in found)


def test_twins_who_cross_are_told_apart_by_their_motion():
    tracker, generator, found = Tracker(), np.random.default_rng(1), []
    for number in range(40):
        places, order = [60 + 7 * number, 340 - 7 * number], generator.permutation(2)
        ids = tracker.number(number, frame_of([(places[i], GREEN) for i in order]))
        found.append([ids[list(order).index(i)] for i in (0, 1)])
    assert all(here == found[0] for here in found) and sorted(found[0]) == [0, 1]


def test_the_hidden_one_gets_the_old_number_back():
    both = [[(60 + 7 * t, RED), (340 - 7 * t, BLUE)] for t in range(40)]
    tracks = [people if t < 16 or t > 26 else people[:1] for t, people in enumerate(both)]
    found = run(tracks)
    assert found[39] == found[0]
    assert all(here[RED] == found[0][RED] for here in found)


def test_who_comes_back_elsewhere_is_known_by_the_clothes():
    tracks = [[(80, RED), (300, BLUE)]] * 5 + [[(80, RED)]] * 30 + [[(80, RED), (200, BLUE)]] * 5
    found = run(tracks)
    assert found[-1] == found[0]


def test_a_stranger_gets_a_new_number():
    tracks = (
        [[(80, RED)]] * 5 + [[(80, RED), (300, GREEN)]] * 5 + [[(80, RED)]] * 10 + [[(80, RED), (300, BLUE)]]
    )
    found = run(tracks)
    assert len({found[0][RED], found[6][GREEN], found[-1][BLUE]}) == 3


def test_who_is_doubted_is_somebody_known_or_nobody():
    tracker = Tracker()
    assert tracker.number(0, frame_of([(100, RED)])) == [0]
    people = frame_of([(102, RED), (300, BLUE)])
    assert tracker.number(1, people, doubted=[0, 1]) == [0, -1]
    assert tracker.number(2, people, doubted=[0]) == [0, 1]


def test_points_out_of_the_picture_have_no_colour():
    points, scores = np.full((134, 2), -50.0), np.full(134, 0.9)
    seen = sight(np.zeros((10, 10, 3), np.uint8), points, scores)
    assert np.isnan(seen.colors).all() and seen.size == 1.0
    assert Tracker().number(0, [seen]) == [0]
    assert Tracker().number(0, []) == []


def test_in_a_crowd_who_leaps_or_wears_other_clothes_is_somebody_else():
    tracker = Tracker()
    for number in range(10):
        tracker.number(number, frame_of([(60 + 7 * number, RED)]))
    (on,), (back,), (other,) = (frame_of([place]) for place in ((130, RED), (105, RED), (130, BLUE)))
    assert [tracker.fit(10, [one], [0], {0}) for one in (on, back, other)] == [[0], [-1], [-1]]
    assert tracker.fit(10, [back], [0]) == [0]  # alone, a leap is no proof


def test_looks_that_landed_on_each_other_are_put_right_by_the_clothes():
    tracker = Tracker()
    for number in range(10):
        tracker.number(number, frame_of([(60 + 7 * number, RED), (200 - 7 * number, BLUE)]))
    (red,), (blue,) = (frame_of([(130, color)]) for color in (RED, BLUE))
    assert tracker.fit(10, [blue, red], [0, 1], {0, 1}) == [1, 0]


def test_clothes_are_not_learned_from_those_in_front():
    tracker = Tracker()
    tracker.number(0, frame_of([(100, RED)]))
    for number in range(1, 30):
        tracker.meet(0, number, frame_of([(100, BLUE)])[0], crowded=True)
    red, blue = (frame_of([(100, color)])[0] for color in (RED, BLUE))
    assert tracker.fit(31, [blue, red], [0]) == [-1, 0]


def test_who_is_lost_is_expected_where_they_were_going():
    tracker = Tracker()
    for number in range(10):
        tracker.number(number, frame_of([(60 + 7 * number, RED)]))
    assert tracker.expected(9, 32) == [] and tracker.expected(50, 32) == []
    ((middle, _),) = tracker.expected(14, 32)
    assert abs(middle[0] - (60 + 7 * 14)) < 12
