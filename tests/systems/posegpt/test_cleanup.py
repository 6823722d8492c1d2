"""Post-processing and the figures that show its effect."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.errors import ConfigError
from contrapposto.retarget.ground import sole_heights
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.cleanup import Cleanup, gaussian, grounded, runs, smoothed
from contrapposto.systems.posegpt.planting import _leg, _swing_lift, planted
from contrapposto.systems.posegpt.quality import clip_quality, kept_by_action


def clip(action="walk", seconds=2.0):
    return generate(action, seconds=seconds, seed=2, fps=30.0)


def lifted(motion, by):
    shift = np.zeros((motion.num_frames, 3), np.float32)
    shift[:, 2] = by
    return replace(motion, root_translation=motion.root_translation + shift)


@pytest.mark.parametrize("height", [0.3, -0.2])
def test_a_hovering_or_sinking_figure_stands_on_the_floor(height):
    result = grounded(lifted(clip(), height))
    lowest = sole_heights(result)[0].min(1)
    assert lowest.min() > -1e-4
    assert np.abs(lowest).max() < 0.03
    assert np.abs(result.root_translation[:, :2] - clip().root_translation[:, :2]).max() < 1e-6


def test_a_jump_stays_a_jump_and_a_long_flight_does_not():
    jump = clip("jump", 4.0)
    before, after = (sole_heights(motion)[0].min(1) for motion in (jump, grounded(jump)))
    assert before.max() > 0.05, "the clip has a flight"
    assert after.max() > 0.7 * before.max()
    long = lifted(clip("stand", 4.0), np.r_[np.zeros(30), np.full(60, 0.5), np.zeros(30)][:120])
    inside = slice(40, 80)  # away from the sudden steps
    assert sole_heights(grounded(long, flight=0.6))[0].min(1)[inside].max() < 0.02
    assert sole_heights(grounded(long, flight=3.0))[0].min(1)[inside].max() > 0.4


def test_a_jump_that_takes_too_long_becomes_a_lower_one():
    times = np.linspace(-1, 1, 27)  # 0.9 s, 0.5 m
    motion = lifted(clip("stand", 4.0), np.r_[np.zeros(40), 0.5 * (1 - times**2), np.zeros(53)][:120])
    lowest = sole_heights(grounded(motion, flight=0.6))[0].min(1)
    assert (lowest > 0.02).sum() <= 18
    assert 0.15 < lowest.max() < 0.4
    assert abs(int(lowest.argmax()) - 53) <= 1, "at its highest when the jump was"


def test_smoothing_takes_jitter_away_and_little_else():
    motion = clip()
    generator = np.random.default_rng(0)
    noisy = replace(
        motion,
        rotations=motion.rotations + generator.normal(0, 0.03, motion.rotations.shape).astype(np.float32),
    )
    assert clip_quality(smoothed(noisy, 1.0))["jerk"] < 0.3 * clip_quality(noisy)["jerk"]
    moved = np.linalg.norm(smoothed(motion, 1.0).joint_positions() - motion.joint_positions(), axis=-1)
    assert moved[:, :22].mean() < 0.01
    assert smoothed(motion, 0.0) is motion


def test_the_past_stays_as_it_is():
    motion = lifted(clip(), 0.2)
    result = Cleanup()(motion, num_past=20)
    assert np.array_equal(result.rotations[:20], motion.rotations[:20])
    assert np.array_equal(result.root_translation[:20], motion.root_translation[:20])
    assert sole_heights(result)[0].min(1)[40:].max() < 0.05


def sliding(motion, metres):
    shift = np.zeros((motion.num_frames, 3), np.float32)
    shift[:, 0] = np.linspace(0, metres, motion.num_frames)
    return replace(motion, root_translation=motion.root_translation + shift)


def moved(first, second):
    return np.linalg.norm(first.joint_positions() - second.joint_positions(), axis=-1)[:, :22]


@pytest.mark.parametrize("action", ["squat", "walk"])
def test_planted_feet_slide_less_and_stay_where_real_ones_stand(action):
    motion = clip(action, 2.0)
    slid = sliding(motion, 0.3)
    real, before, after = (clip_quality(m)["slide"] for m in (motion, slid, planted(slid)))
    assert before > real + 5, "the clip slides"
    assert after - real < 0.4 * (before - real)
    assert clip_quality(planted(slid))["jerk"] < 1.5 * clip_quality(slid)["jerk"]
    assert moved(planted(motion), motion).mean() < 0.02, "feet that stand already are left alone"


def test_planting_keeps_bones_the_past_and_the_floor():
    slid = sliding(clip("walk", 3.0), 0.4)
    result = planted(slid, num_past=30)
    assert np.array_equal(result.rotations[:30], slid.rotations[:30])
    assert np.array_equal(result.root_translation[:30], slid.root_translation[:30])
    steps = [np.abs(np.diff(m.joint_positions()[25:36, :22], axis=0)) for m in (result, slid)]
    assert np.abs(steps[0] - steps[1]).max() < 0.03, "no jump after the past"
    assert sole_heights(result)[0].min() > -0.01
    short = slid.frames(0, 5)
    assert planted(short) is short


@pytest.mark.parametrize(
    ("way", "height", "highest"), [(0.5, 0.0, 0.04), (0.05, 0.0, 0.008), (0.5, 0.1, 0.0), (0.5, 0.03, 0.01)]
)
def test_a_foot_that_shuffles_is_raised_on_its_way(way, height, highest):
    touches = np.repeat([True, False, True], 11)
    places = np.zeros((33, 2, 3))
    places[:, :, 0] = np.interp(np.arange(33), [10, 22], [0, way])[:, None]
    places[:, 1, 1] = 0.15  # the ball before the heel
    places[~touches, :, 2] = height
    stands = np.ones(33, bool)
    lift = _swing_lift(places, touches, stands, 0)
    assert lift.max() == pytest.approx(highest) and lift.argmax() in (0, 16)
    assert not lift[touches].any() and np.allclose(lift, lift[::-1])
    assert not _swing_lift(places, touches, stands, 15).any(), "a way that begins in the past stays"
    assert not _swing_lift(places, touches, touches, 0).any(), "who runs has both feet in the air"


def test_a_leg_reaches_its_target():
    """Of a bent leg: hip and bones stay, the ankle is where it is wanted."""
    motion = clip("squat", 2.0)
    hip, knee, ankle = motion.skeleton.index("left_hip", "left_knee", "left_ankle")
    turns, joints = (value.numpy().astype(float) for value in motion.kinematics())
    target = joints[:, ankle] + [0.05, -0.04, 0.06]
    thigh, shin = _leg(turns[:, [hip, knee]], joints[:, [hip, knee, ankle]], target)
    new_knee = joints[:, hip] + np.einsum("fij,j->fi", thigh, motion.skeleton.offsets[knee])
    new_ankle = new_knee + np.einsum("fij,j->fi", shin, motion.skeleton.offsets[ankle])
    assert np.abs(new_ankle - target).max() < 1e-3


def test_gaussian_keeps_lines_and_constants():
    line = np.arange(20.0)[:, None] * [1.0, -2.0]
    assert np.allclose(gaussian(line, 2.0), line)
    assert np.allclose(gaussian(np.ones((2, 3)), 5.0), 1)


def test_runs():
    assert list(runs(np.array([True, False, True, True]))) == [(0, 1), (2, 4)]
    assert list(runs(np.zeros(3, bool))) == []


def test_figures_of_known_clips():
    hovering = clip_quality(lifted(clip("stand"), 0.1))
    assert hovering["floating"] == pytest.approx(10, abs=1) and hovering["sinking"] == 0
    assert clip_quality(lifted(clip("stand"), -0.1))["sinking"] == pytest.approx(10, abs=1)
    turn = clip_quality(clip("turn left", 4.0))
    assert abs(turn["turn"]) > 40 and abs(turn["drop"]) < 0.2
    assert turn["turn"] * clip_quality(clip("turn right", 4.0))["turn"] < 0
    assert clip_quality(clip("walk"))["ahead"] > 0.4 and clip_quality(clip("walk backwards"))["ahead"] < -0.4
    assert clip_quality(clip("squat", 3.0))["drop"] > 0.2


def test_kept_is_one_for_the_same_and_half_for_half():
    real = {"turn left": [clip("turn left", 4.0)], "walk backwards": [clip("walk backwards")]}
    kept = kept_by_action(real, real)
    assert kept["turn"] == pytest.approx(1) and kept["back"] == pytest.approx(1)
    assert np.isnan(kept["drop"])
    half = {"turn left": [clip("turn left", 4.0), clip("stand", 4.0)], "walk backwards": [clip("stand")]}
    kept = kept_by_action(half, real)
    assert kept["turn"] == pytest.approx(0.5, abs=0.1) and kept["back"] == pytest.approx(0, abs=0.1)


def test_a_circle_may_go_either_way_and_a_turn_to_the_left_may_not():
    circle = clip("walk in a circle", 4.0)
    assert kept_by_action({"circle": [circle.mirror()]}, {"circle": [circle]})["turn"] == pytest.approx(
        1, abs=0.05
    )
    left = clip("turn left", 4.0)
    assert kept_by_action({"turn left": [left.mirror()]}, {"turn left": [left]})["turn"] < -0.9


def test_wrong_numbers_are_refused():
    with pytest.raises(ConfigError, match="smooth"):
        Cleanup(smooth=-1)
    assert Cleanup().describe() == "smoothing of 1.5 frames, grounded, feet planted"
    assert Cleanup(smooth=0, ground=False, plant_feet=False).describe() == "none"
