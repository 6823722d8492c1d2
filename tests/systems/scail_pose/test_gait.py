"""Hidden people go on as they walk."""

import numpy as np

from contrapposto.skeleton import SMPL24
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.clean import bridge
from contrapposto.systems.scail_pose.gait import go_on, repetition

FPS, GAP = 16.0, (26, 44)


def walker(action="walk", noise=0.0):
    """(64, 24, 3) millimetres before a camera, and the truth without noise."""
    motion = generate(action, seconds=4.0, seed=3, fps=FPS).to_skeleton(SMPL24)
    places = 1000 * motion.joint_positions()[:64, :, [0, 2, 1]] * [1, -1, 1] + [0, 0, 5000.0]
    return places + np.random.default_rng(0).normal(0, noise, places.shape), places


def hidden(joints):
    """The same with straight lines over the gap."""
    joints = joints.copy()
    joints[slice(*GAP)] = np.nan
    return bridge(joints, [GAP])


def error(joints, true):
    """Millimetres about the pelvis in the gap."""
    apart = (joints - joints[:, :1]) - (true - true[:, :1])
    return float(np.linalg.norm(apart[slice(*GAP)], axis=-1).mean())


def test_steps_go_on_where_somebody_is_hidden():
    joints, true = walker(noise=25.0)
    straight = hidden(joints)
    walking = go_on(straight, [GAP], FPS)
    assert error(walking, true) < 0.55 * error(straight, true)
    np.testing.assert_array_equal(walking[: GAP[0] - 2], straight[: GAP[0] - 2])
    np.testing.assert_array_equal(walking[:, 0], straight[:, 0])  # the pelvis keeps its way


def test_the_time_of_a_repetition_is_that_of_the_steps():
    _, true = walker()
    frames = repetition(true - true[:, :1], FPS)
    knees = true[:, 4, 2] - true[:, 0, 2] - (true[:, 5, 2] - true[:, 0, 2])
    around = np.fft.rfft(knees - knees.mean(), 1024)
    assert abs(frames - 1024 / np.abs(around).argmax()) < 1.0


def test_what_does_not_repeat_itself_stays_a_straight_line():
    generator = np.random.default_rng(1)
    steps = generator.normal(0, 40, (64, 24, 3)).cumsum(axis=0)
    straight = hidden(steps + np.array([0, 0, 5000.0]))
    np.testing.assert_array_equal(go_on(straight, [GAP], FPS), straight)
    np.testing.assert_array_equal(go_on(straight, [], FPS), straight)


def test_frames_beside_a_gap_are_of_use_where_little_else_is_seen():
    joints, true = walker()
    gaps = [(start, start + 4) for start in range(5, 60, 9)]
    relative = true - true[:, :1]
    for start, stop in gaps:
        relative[start - 2 : stop + 2] = np.nan
    assert repetition(relative, FPS) is None  # without two frames beside each gap
    for start, stop in gaps:
        joints[start:stop] = np.nan
    straight = bridge(joints.copy(), gaps)
    walking = go_on(straight, gaps, FPS)
    assert not np.array_equal(walking, straight)
