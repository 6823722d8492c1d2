"""Repairs of motion: hands over gaps, backs of heads, left and right, impossible lengths; limbs from keypoints alone."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.attach import attach
from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT, default_intrinsics, project
from contrapposto.systems.scail_pose.clean import Clean
from contrapposto.systems.scail_pose.flat import with_limbs
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.sides import steady_sides, swap_sides

HEIGHT, WIDTH, FPS = 512, 896, 16.0
CAMERA = default_intrinsics(HEIGHT, WIDTH).astype(np.float64)
WRISTS = {92: 7, 113: 4}  # root of each hand, and the body's wrist
FACE, EYES_AND_EARS, BOTH = slice(24, 92), [14, 15, 16, 17], (True, True)


def walking(facing=1.0):
    """Two seconds of a walk across the view, 4 m away; the keypoints are the projected joints."""
    joints = generate("walk", seconds=2.0, seed=3, fps=FPS).joint_positions()[:32, :22].astype(np.float64)
    joints = joints - joints[:, :1] + [0, 0, 0.9] + np.linspace([-0.8, 0, 0], [0.8, 0, 0], 32)[:, None]
    seen = np.stack([-facing * joints[..., 0], -joints[..., 2], -facing * joints[..., 1]], -1) * 1000
    seen += [0, 900, 4000]
    seen = np.concatenate([seen, seen[:, [20, 21]] + [0, 60, 0]], axis=1)
    return [person_at(frame, one) for frame, one in enumerate(seen)]


def person_at(frame, joints):
    places = project(joints, CAMERA)[:, :2]
    points = np.zeros((134, 2))
    points[:14] = places[list(SMPL_OF_SLOT)]
    points[[14, 15, 16, 17]] = points[0] + [[-4, -5], [4, -5], [-9, 0], [9, 0]]
    points[18:21], points[21:24] = places[10], places[11]
    points[FACE] = points[0] + np.random.default_rng(1).uniform(-12, 12, (68, 2))
    for root, wrist in WRISTS.items():
        points[root : root + 21] = points[wrist] + np.random.default_rng(root).uniform(0, 14, (21, 2))
        points[root] = points[wrist] + [2, 1]
    box = np.concatenate([places.min(axis=0), places.max(axis=0)])
    return Person(0, box, 0.95, points, np.ones(134), joints)


def clip_of(persons):
    return ClipPoses(HEIGHT, WIDTH, FPS, CAMERA, [[] if person is None else [person] for person in persons])


def without(person, *rows):
    scores = person.scores.copy()
    for row in rows:
        scores[row] = 0
    return replace(person, scores=scores)


@pytest.mark.parametrize("lost", ["the hand", "the whole person"])
def test_a_hand_over_a_gap_stays_at_its_wrist(lost):
    persons = walking()
    for frame in range(10, 16):
        persons[frame] = without(persons[frame], slice(92, 113)) if lost == "the hand" else None
    for (person,) in Clean()(clip_of(persons)).frames:
        drawn = attach(person, CAMERA)
        wrist = project(np.asarray(drawn.joints, np.float64), CAMERA)[20, :2]
        assert drawn.scores[92] == 0 or np.linalg.norm(drawn.keypoints[92] - wrist) < 8


def test_a_hand_whose_wrist_is_unknown_is_not_invented():
    persons = walking()
    for frame in range(10, 16):
        persons[frame] = without(persons[frame], slice(92, 113), 7)
    persons[9], persons[16] = (without(persons[frame], 7) for frame in (9, 16))
    frames = Clean(gap=0.2)(clip_of(persons)).frames
    assert frames[12][0].scores[92:113].max() == 0 and frames[9][0].scores[92] > 0.3


def test_a_hand_far_from_its_wrist_is_not_drawn():
    person = walking()[0]
    person.keypoints[113:134] += [90, 0]
    drawn = attach(person, CAMERA)
    assert drawn.scores[113:134].max() == 0 and drawn.scores[92] == 1


@pytest.mark.parametrize("faces", [True, False], ids=["a face in some frames", "no face ever"])
@pytest.mark.parametrize("facing", [1.0, -1.0], ids=["front", "back"])
def test_no_facial_points_on_the_back_of_a_head(faces, facing):
    persons = walking(facing)
    for frame in range(0 if not faces else 12, 32):
        persons[frame] = without(persons[frame], FACE)
    shown = [bool(frame[0].scores[EYES_AND_EARS].any()) for frame in Clean(gap=0)(clip_of(persons)).frames]
    left, right = persons[-1].joints[[16, 17], 0]
    if faces:  # faces are looked for: where there is none, there is nothing of it
        assert all(shown[:12]) and not any(shown[12:])
    else:
        assert all(shown) if left > right else not any(shown)


def test_left_and_right_are_decided_over_the_track():
    truth = walking()
    wrong = list(truth)
    for frame in (7, 12, 13, 14, 15, 20):
        wrong[frame] = swap_sides(truth[frame], BOTH)
    wrong[25] = swap_sides(truth[25], (False, True))  # the legs alone
    found, changed = steady_sides(clip_of(wrong))
    assert changed == {0: 7}
    for (person,), true, given in zip(found.frames, truth, wrong):
        assert np.array_equal(person.joints, true.joints) and np.array_equal(person.keypoints, true.keypoints)
        assert (person.score < 0.7) == (given is not true)
    untouched, none = steady_sides(clip_of(truth))
    assert none == {} and untouched.frames[3][0] is truth[3]


def test_impossible_lengths_lower_the_score():
    persons = walking()
    joints = persons[9].joints.copy()
    joints[16] = joints[17] + 0.1 * (joints[16] - joints[17])  # shoulders of a fraction of their width
    persons[9] = replace(persons[9], joints=joints)
    scores = [frame[0].score for frame in Clean(outliers=False)(clip_of(persons)).frames]
    assert scores[9] < 0.85 and min(scores[:8] + scores[11:]) > 0.9


def test_keypoints_alone_get_limbs():
    flat = [replace(person, joints=np.full((24, 3), np.nan)) for person in walking()]
    clip, warnings = with_limbs(clip_of(flat))
    assert "flat" in warnings[0] and len(warnings) == 1
    for (person,), (given,) in zip(clip.frames, clip_of(flat).frames):
        places = project(np.asarray(person.joints, np.float64), CAMERA)
        np.testing.assert_allclose(places[list(SMPL_OF_SLOT), :2], given.keypoints[:14], atol=0.01)
        assert np.ptp(places[np.isfinite(places[:, 2]), 2]) < 1  # one depth
    assert 2500 < float(places[0, 2]) < 6000  # the truth is 4000
    same, nothing = with_limbs(clip_of(walking()))
    assert nothing == [] and same.frames[0][0].joints[0, 2] == walking()[0].joints[0, 2]
