"""Who is found in an image: looks in a mirror, and people who are small."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.photographs import judge
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.estimators import make_estimator
from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyLandmarks, BodyNetwork, tiles
from contrapposto.systems.scail_pose.estimators.blazepose.compare import alike, mean_of
from contrapposto.systems.scail_pose.estimators.blazepose.networks import Region
from contrapposto.systems.scail_pose.extract import read_image
from contrapposto.systems.scail_pose.framing import frame_image

SIDES = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *np.arange(11, 33).reshape(-1, 2)[:, ::-1].ravel()]


@pytest.fixture(scope="module")
def person(shared_data):
    return read_image(shared_data / "images" / "tfjs_pose" / "pose.jpg")


def standing():
    """Somebody who stands straight, 33 landmarks in pixels."""
    heights = np.array(
        [0, -2, -2, -2, -2, -2, -2, 0, 0, 3, 3, 20, 20, 40, 40, *[58] * 8, 60, 60, 95, 95, *[130] * 6]
    )
    across = np.array([0, 2, 3, 4, -2, -3, -4, 6, -6, 2, -2, *[10, -10] * 11])
    pixels = np.stack([100.0 + across, 50.0 + heights], axis=1)
    sure = np.ones(33)
    region = Region(np.array([100.0, 110.0]), 200.0)
    return BodyLandmarks(pixels, np.zeros(33), np.zeros((33, 3)), sure, sure, 1.0, region, region)


def test_a_look_in_a_mirror_is_a_look_at_the_mirrored_image(person):
    network = BodyNetwork()
    width = person.shape[1]
    looked = network(person, Region(np.array([490.0, 440.0]), 600.0, 0.2), mirrored=True)
    other = network(
        np.ascontiguousarray(person[:, ::-1]), Region(np.array([width - 490.0, 440.0]), 600.0, -0.2)
    )
    expected = other.pixels[SIDES] * [-1, 1] + [width, 0]
    assert np.linalg.norm(looked.pixels - expected, axis=-1).mean() < 3
    assert np.abs(looked.world - other.world[SIDES] * [-1, 1, 1]).mean() < 0.01
    assert np.abs(looked.confidence - other.confidence[SIDES]).max() < 0.1
    assert np.linalg.norm(looked.region.center - (other.region.center * [-1, 1] + [width, 0])) < 3


def test_networks_give_the_same_bits_with_any_number_of_threads(person):
    region = Region(np.array([490.0, 440.0]), 600.0, 0.2)
    one, three = (BodyNetwork(threads=threads)(person, region) for threads in (1, 3))
    assert np.array_equal(one.pixels, three.pixels) and np.array_equal(one.world, three.world)


def test_fronts_and_backs_are_one_person_and_turned_ones_are_not():
    body = standing()
    assert alike(body, replace(body, pixels=body.pixels[SIDES]))
    assert not alike(body, replace(body, pixels=(body.pixels - 110) @ np.array([[0.0, 1], [-1, 0]]) + 110))
    # Legs of which neither look is sure do not count.
    away = body.pixels + np.where(np.arange(33) >= 25, 80.0, 0.0)[:, None]
    assert not alike(body, replace(body, pixels=away))
    hidden = np.where(np.arange(33) >= 25, 0.01, 1.0)
    assert alike(replace(body, visibility=hidden), replace(body, pixels=away))
    assert np.allclose(mean_of(body, replace(body, pixels=away)).pixels, (body.pixels + away) / 2)


def test_small_people_are_found(person):
    image = np.full((512, 896, 3), (150, 190, 220), np.uint8)
    small = frame_image(person, 66, 100)
    image[300:366, 520:620] = small
    estimator = make_estimator("blazepose", hands=False, face=False)
    (seen,) = next(estimator.people([image], default_intrinsics(512, 896)))
    assert np.linalg.norm(seen.keypoints[0] - [566, 327]) < 4  # nose, by eye
    assert len(tiles(512, 896, (0.35,))) > 2 * len(tiles(512, 896))


def test_points_whose_side_is_not_known_may_be_exchanged():
    keypoints = np.zeros((134, 2))
    keypoints[10], keypoints[13], keypoints[2] = (20, 90), (40, 90), (10, 10)
    truth = {"box": [0, 0, 60, 100], "kinds": [], "points": {"ankles": [[41, 90], [20, 92]]}}
    assert judge(truth, keypoints).right == [True, True]
    truth["points"] = {"left_ankle": [20, 90], "right_shoulder": [10, 19]}
    assert judge(truth, keypoints).right == [False, True]
    assert judge(truth, None).right == [False, False]
