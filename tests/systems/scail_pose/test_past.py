"""Newcomers are followed backwards through the frames that are held back."""

from dataclasses import replace

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyLandmarks
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.estimators.blazepose.past import Past, Track


def body(x):
    """Somebody 40 pixels wide and 100 high, in the middle at x."""
    pixels = np.stack([x + np.linspace(-20, 20, 33), np.linspace(0, 100, 33)], axis=1)
    sure, region = np.ones(33), Region(np.array([x, 50.0]), 120.0)
    return BodyLandmarks(pixels, np.zeros(33), np.zeros((33, 3)), sure, sure, 1.0, region, region)


def look(image, region):
    """The image tells where people are; one who is near the region is seen, and nobody is elsewhere."""
    near = [x for x in image.ravel().tolist() if abs(x - region.center[0]) < 30]
    return body(near[0]) if near else replace(body(0.0), score=0.1)


def given(places, tracks, length=16, most=8):
    """Numbers and places of the people of each frame; `places`: of those whom the image shows."""
    past, frames = Past(look, length, most), []
    for here, known in zip(places, tracks):
        frames += past.add(np.array(here, float), [Track(number, body(x)) for number, x in known])
    held = len(places) - len(frames)
    frames += past.empty()
    assert held == min(length, len(places)) and [f[0].ravel().tolist() for f in frames] == places
    return [[(one.id, round(float(one.body.pixels[:, 0].mean()))) for one in people] for _, people in frames]


def test_a_newcomer_is_in_the_frames_before():
    places = [[500], [500, 60], [500, 80], [500, 100], [500, 120]]
    tracks = [[(0, 500)], [(0, 500)], [(0, 500)], [(0, 500)], [(0, 500), (1, 120)]]
    expected = [[(0, 500)], *[[(0, 500), (1, x)] for x in (60, 80, 100, 120)]]
    assert given(places, tracks) == expected
    # No farther back than frames are held, and not where there is no room.
    assert given(places, tracks, length=2) == [[(0, 500)], [(0, 500)], *expected[2:]]
    assert given(places, tracks, most=1) == [[(0, 500)]] * 4 + expected[4:]


def test_nobody_is_two_people():
    places = [[60], [80], [100]]
    assert given(places, [[(0, 60)], [(0, 80)], [(1, 100)]]) == [[(0, 60)], [(0, 80)], [(1, 100)]]


def test_those_who_were_there_are_not_looked_for_again():
    """Who is hidden for some frames is bridged later, by what is known on both sides."""
    places = [[60], [80], [100], [120]]
    tracks = [[(0, 60)], [], [], [(0, 120)]]
    assert given(places, tracks) == [[(0, 60)], [], [], [(0, 120)]]
