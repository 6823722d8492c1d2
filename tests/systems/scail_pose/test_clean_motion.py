"""Clean motion against known truth: figures whose bones keep their length, seen by a camera, made worse."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.bones import BONES, bone_lengths, hold_lengths, typical_lengths
from contrapposto.systems.scail_pose.camera import default_intrinsics, project
from contrapposto.systems.scail_pose.clean import Clean, LiveClean, Track
from contrapposto.systems.scail_pose.estimators import Person
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.smoothing import (
    OneEuro,
    fill_gaps,
    runs,
    savitzky_golay,
    without_outliers,
)

HEIGHT, WIDTH, FPS = 512, 896, 16.0
CAMERA = default_intrinsics(HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def truth():
    """(64, 24, 3) joints in millimetres of someone who walks past the camera, 4 m away."""
    joints = generate("walk", seconds=4.0, seed=3, fps=FPS).joint_positions()[:64]
    body = np.concatenate([joints[:, :22], joints[:, [25, 40]]], axis=1)  # middle knuckles as hands
    body = body - body[len(body) // 2, 0] * np.array([1, 1, 0])
    return np.stack([body[..., 1], 0.9 - body[..., 2], 4 - body[..., 0]], axis=-1) * 1000


def seen(joints, number=0):
    """Each frame's person, with the slots that joints have as keypoints."""
    people = []
    for frame in joints:
        pixels = project(frame, CAMERA)[:, :2]
        points, scores = np.zeros((134, 2), np.float32), np.zeros(134, np.float32)
        points[:24], scores[:24] = pixels, 0.9
        box = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
        people.append([Person(number, box.astype(np.float32), 0.9, points, scores, frame.astype(np.float32))])
    return people


def clip_of(frames):
    return ClipPoses(HEIGHT, WIDTH, FPS, CAMERA, frames)


def jitter(joints):
    return np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1).mean()


def noisy(joints, seed=0):
    """As an estimator sees it: good in the picture, bad along the ray, another size in each frame."""
    generator = np.random.default_rng(seed)
    depth = joints[..., 2:] + generator.normal(0, 40, joints[..., 2:].shape)
    rays = joints[..., :2] / joints[..., 2:] + generator.normal(0, 0.003, joints[..., :2].shape)
    worse = np.concatenate([rays * depth, depth], axis=-1)
    return worse * generator.normal(1, 0.03, (len(joints), 1, 1))


def test_runs_and_gaps():
    values = np.array([np.nan, 1, np.nan, 3, np.nan, np.nan, np.nan, 7, np.nan])
    assert runs(np.isfinite(values)) == [(1, 2), (3, 4), (7, 8)]
    filled = fill_gaps(values, 2)
    assert filled[2] == 2 and np.isnan(filled[[0, 4, 5, 6, 8]]).all()
    assert np.allclose(fill_gaps(values, 3)[1:8], np.arange(1, 8))


def test_savitzky_golay_keeps_parabolas_and_gaps():
    time = np.arange(30.0)
    values = np.stack([time**2 - 3 * time, np.where((time > 10) & (time < 14), np.nan, 2 * time)], axis=1)
    assert np.allclose(savitzky_golay(values, 7), values, equal_nan=True, atol=1e-9)
    noise = np.random.default_rng(0).normal(0, 1, (400, 3))
    # Of white noise, local parabolas over 7 samples leave a third of the variance (Savitzky, Golay 1964).
    assert np.isclose(savitzky_golay(noise, 7)[3:-3].var(), 1 / 3, rtol=0.15)


def test_outliers_are_taken_out_and_fast_motion_stays():
    time = np.arange(40.0)
    points = np.stack([30 * time, 50 * np.sin(time / 3)], axis=1)[:, None]
    bad = points.copy()
    bad[[9, 25]] += 150
    kept = without_outliers(bad, 10.0)
    assert np.flatnonzero(np.isnan(kept).any(axis=(1, 2))).tolist() == [9, 25]
    assert not np.isnan(without_outliers(points, 10.0)).any()


def test_one_euro_settles_and_follows():
    generator, still, moving = np.random.default_rng(1), OneEuro(1.0, 0.0), OneEuro(1.0, 5.0)
    out = np.array([still(i / 60, generator.normal(0, 1, 50)) for i in range(300)])
    # A first-order filter of weight a passes a/(2 - a) of the variance of white noise.
    weight = 1 / (1 + 60 / (2 * np.pi))
    assert np.isclose(out[100:].var(), weight / (2 - weight), rtol=0.1)
    ramp = [float(moving(i / 60, np.array([i * 0.5]))[0]) for i in range(120)]
    assert abs(ramp[-1] - 119 * 0.5) < 0.5
    gap = OneEuro()
    gap(0.0, np.array([1.0, 1.0]))
    assert np.isnan(gap(0.1, np.array([np.nan, 1.0]))[0])
    assert gap(0.2, np.array([9.0, 1.0]))[0] == 9.0


def test_lengths_are_found_whatever_the_size(truth):
    generator = np.random.default_rng(2)
    factors = generator.uniform(0.8, 1.25, len(truth))
    lengths, scale = typical_lengths(truth * factors[:, None, None])
    assert np.allclose(scale * factors, np.median(scale * factors), rtol=0.02)
    true = bone_lengths(truth).mean(axis=0)
    assert np.allclose(lengths / true, np.median(lengths / true), rtol=0.06)


def test_held_bones_are_constant_and_the_picture_stays(truth):
    lengths = bone_lengths(truth)[0]
    worse = noisy(truth)
    held = hold_lengths(worse, lengths)
    assert np.abs(bone_lengths(held) / lengths - 1).max() < 0.01
    moved = np.linalg.norm(project(held, CAMERA)[..., :2] - project(worse, CAMERA)[..., :2], axis=-1)
    assert moved.mean() < 4
    worse[5, 20], worse[7] = np.nan, np.nan
    held = hold_lengths(worse, lengths)
    assert (np.isnan(held) == np.isnan(worse)).all()
    known = np.isfinite(bone_lengths(held))
    assert known.sum() == known.size - len(BONES) - 2
    assert np.abs(bone_lengths(held) / lengths - 1)[known].max() < 0.01


def test_a_noisy_clip_comes_nearer_to_the_truth(truth):
    worse = noisy(truth)
    frames = seen(worse)
    jump = frames[20][0]
    frames[20] = [replace(jump, joints=jump.joints + np.where(np.arange(24) == 21, 900, 0)[:, None])]
    frames[30:35] = [[] for _ in range(5)]
    clean = Clean()(clip_of(frames))
    found = Track.of(clean.frames, 0).joints
    assert np.isfinite(found).all()

    def error(joints):
        scale = np.median(bone_lengths(truth).mean(0) / np.nanmedian(bone_lengths(joints), 0))
        relative = joints * scale - (joints * scale)[:, :1]
        return np.nanmean(np.linalg.norm(relative - (truth - truth[:, :1]), axis=-1))

    assert error(found) < 0.6 * error(worse)
    assert jitter(found) < 0.15 * jitter(worse)
    assert np.ptp(bone_lengths(found), axis=0).max() < 2
    pixels = [project(joints, CAMERA)[..., :2] for joints in (found, truth)]
    assert np.linalg.norm(pixels[0] - pixels[1], axis=-1).mean() < 4


def test_ghosts_go_and_long_absences_stay(truth):
    frames = seen(truth)
    ghost = seen(truth[:2], number=7)
    frames[10], frames[11] = frames[10] + ghost[0], frames[11] + ghost[1]
    frames[30:50] = [[] for _ in range(20)]
    clean = Clean()(clip_of(frames))
    assert clean.ids == [0]
    assert [len(frame) for frame in clean.frames] == [1] * 30 + [0] * 20 + [1] * 14
    assert Clean()(clip_of([[] for _ in range(3)])).frames == [[], [], []]
    single = Clean()(clip_of(frames[:1]))
    assert np.allclose(single.frames[0][0].joints, frames[0][0].joints, atol=60)


@pytest.mark.parametrize(
    ("score", "shift", "ids"), [(0.7, 0, [0]), (0.97, 0, [0, 1]), (0.7, 600, [0, 1])], ids=str
)
def test_folds_of_clothes_are_nobody(truth, score, shift, ids):
    """Who is always on somebody else and never sure; a child before its mother is sure, a stranger elsewhere."""
    middle = truth.mean(axis=1, keepdims=True)
    small = [
        [replace(one, score=score)] for (one,) in seen(middle + (truth - middle) * 0.3 + [shift, 0, 0], 1)
    ]
    both = [[*one, *other] for one, other in zip(seen(truth), small)]
    assert Clean()(clip_of(both)).ids == ids


def test_who_is_behind_somebody_is_bridged(truth):
    near = truth * 0.8  # in front, and as large or larger in the image
    gap = range(20, 44)  # 1.5 seconds
    far = [[] if t in gap else people for t, people in enumerate(seen(truth))]
    both = [[*one, *other] for one, other in zip(far, seen(near, number=1))]
    assert all(
        not people for people in Clean()(clip_of(far)).frames[22:42]
    )  # nobody hides them: they are away
    bridged = [next(p for p in people if p.id == 0) for people in Clean()(clip_of(both)).frames]
    pelvis = np.stack([person.joints[0] for person in bridged])
    assert np.linalg.norm(pelvis - truth[:, 0], axis=-1).max() < 250  # walking is not even


def test_people_without_joints_pass(truth):
    frames = [
        [replace(person, joints=np.full((24, 3), np.nan, np.float32)) for person in frame]
        for frame in seen(truth)
    ]
    clean = Clean()(clip_of(frames))
    assert clean.ids == [0] and not clean.frames[0][0].valid.any()


def test_live_is_smoother_and_not_late(truth):
    worse, live = noisy(truth), LiveClean()
    found = np.stack([live(i / FPS, frame)[0].joints for i, frame in enumerate(seen(worse))])
    assert jitter(found) < 0.6 * jitter(worse)
    late = [np.linalg.norm(found[lag:] - truth[: len(truth) - lag], axis=-1).mean() for lag in range(5)]
    assert int(np.argmin(late)) <= 2
