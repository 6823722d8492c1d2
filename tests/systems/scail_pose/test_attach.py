"""Hands and faces at the skeleton's wrists and head; hands behind something nearer."""

import numpy as np
import pytest

from contrapposto.systems.scail_pose.attach import attach, hide_hands
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses, pack_people
from contrapposto.systems.scail_pose.pipeline import ClipDrawer, Look

HEIGHT, WIDTH = 240, 320
AWAY = np.array([7, 0])
CAMERA = default_intrinsics(HEIGHT, WIDTH)


def pixel(joint):
    return CAMERA[[0, 1], [0, 1]] * joint[:2] / joint[2] + CAMERA[:2, 2]


@pytest.fixture
def person():
    """Both hands and the face 7 pixels to the right of where the skeleton says."""
    generator = np.random.default_rng(0)
    joints = generator.normal([0, 0, 3000], [200, 400, 50], (24, 3))
    points = generator.uniform(0, 200, (134, 2))
    for wrist, first in ((20, 92), (21, 113)):
        points[first : first + 21] = pixel(joints[wrist]) + AWAY + generator.normal(0, 3, (21, 2))
        points[first] = pixel(joints[wrist]) + AWAY
    points[[16, 17]] = pixel(joints[15]) + AWAY + np.array([[-5, 0], [5, 0]])
    box = np.array([50, 20, 200, 220], np.float32)
    return Person(0, box, 0.9, points.astype(np.float32), np.ones(134, np.float32), joints.astype(np.float32))


def test_parts_go_to_their_joints_and_keep_their_shape(person):
    moved = attach(person, CAMERA)
    for wrist, first in ((20, 92), (21, 113)):
        np.testing.assert_allclose(moved.keypoints[first], pixel(person.joints[wrist]), atol=1e-3)
        shift = moved.keypoints[first : first + 21] - person.keypoints[first : first + 21]
        np.testing.assert_allclose(shift, np.broadcast_to([-7, 0], (21, 2)), atol=1e-3)
    np.testing.assert_allclose(moved.keypoints[24:92] - person.keypoints[24:92], [[-7, 0]] * 68, atol=1e-3)
    np.testing.assert_array_equal(moved.keypoints[1:14], person.keypoints[1:14])  # the body's own


def test_what_is_unknown_or_far_stays(person):
    person.scores[113] = 0.1
    person.joints[20] = np.nan
    person.joints[15, 0] += 1000
    np.testing.assert_array_equal(attach(person, CAMERA).keypoints, person.keypoints)


def test_hands_behind_something_nearer_are_left_out(person):
    pose = pack_people([attach(person, CAMERA)], HEIGHT, WIDTH)
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    depth[:] = person.joints[20, 2] - 50  # its own forearm
    person.joints[21, 2] = depth[0, 0] + 500
    hands = hide_hands(pose, person.joints, depth).hands
    np.testing.assert_array_equal(hands[0], pose.hands[0])
    assert (hands[1] == -1).all()


def test_the_drawing_follows(person):
    clip = ClipPoses(HEIGHT, WIDTH, 16.0, CAMERA, [[person]])
    plain, moved = (
        ClipDrawer(clip, Look(attach=way), device="cpu").keypoints([person]).hands for way in (False, True)
    )
    np.testing.assert_allclose((plain - moved) * [WIDTH, HEIGHT], [np.full((21, 2), [7.0, 0])] * 2, atol=1e-2)
