"""The same person is found in several cameras, whatever number each camera gives."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.systems.anerf.data.view_people import match_people
from tests.systems.anerf.data.test_from_views import camera, in_world, seen

ASIDE = np.array([1.2, -0.8, 0])
CAMERAS = [camera(0.0, "a"), camera(1.3, "b"), camera(-1.0, "c")]


def clips(people):
    """For each camera a clip of the people it sees, numbered in this order; some for fewer frames."""
    result = []
    for one, own in zip(CAMERAS, people):
        alone = [seen(one, world) for world in own]
        frames = [
            [replace(clip.frames[t][0], id=i) for i, clip in enumerate(alone) if t < len(clip.frames)]
            for t in range(max(len(clip.frames) for clip in alone))
        ]
        result.append(replace(alone[0], frames=frames))
    return result


def test_numbers_differ_between_cameras():
    person, other = in_world(), in_world() + ASIDE
    shown = clips([[person, other], [other, person], [other, person]])
    assert match_people(CAMERAS, shown, 0) == [0, 1, 1]
    assert match_people(CAMERAS, shown, 1) == [1, 0, 0]


def test_longest_counts_all_cameras():
    person, bystander = in_world(12), in_world(12) + ASIDE
    # The second camera sees the bystander longer, the third does not see the bystander.
    shown = clips([[bystander, person], [bystander, person[:10]], [person]])
    assert match_people(CAMERAS, shown) == [1, 1, 0]
    assert match_people(CAMERAS, shown, 0) == [0, 0, None]


def test_a_stranger_is_not_added():
    person, stranger = in_world(12), in_world(12) + ASIDE
    assert match_people(CAMERAS, clips([[person], [person], [stranger]])) == [0, 0, None]


def test_rays_that_never_meet_are_an_error():
    person, up = in_world(12), np.array([0, 0, 1.0])
    with pytest.raises(InputError, match="same place by two cameras") as error:
        match_people(CAMERAS, clips([[person], [person + up], [person - up]]))
    assert "m apart" in str(error.value)
