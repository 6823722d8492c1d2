"""Bones of other lengths: the reference's proportions are met, feet stand, hands and face go along."""

from dataclasses import replace

import numpy as np
import pytest

from contrapposto.errors import ConfigError
from contrapposto.synthetic import generate
from contrapposto.systems.scail_pose.bones import PARENTS, bone_lengths
from contrapposto.systems.scail_pose.camera import SMPL_OF_SLOT, project
from contrapposto.systems.scail_pose.drawn_motion import clip_of_motion
from contrapposto.systems.scail_pose.people import ClipPoses
from contrapposto.systems.scail_pose.proportions import (
    bone_ratios,
    plant_feet,
    reshape_clip,
    scale_bones,
)

TRUTH = np.ones(23)
for joints, ratio in (((4, 5), 0.7), ((7, 8), 0.75), ((18, 19), 1.3), ((20, 21), 1.2), ((15,), 1.4)):
    TRUTH[[joint - 1 for joint in joints]] = ratio


@pytest.fixture(scope="module")
def clip() -> ClipPoses:
    """A walking figure with keypoints on its joints."""
    walk, _ = clip_of_motion(generate("walk", seconds=2.0, seed=0, fps=16), 512, 896, turn=30)
    frames = []
    for (person,) in walk.frames:
        pixels = project(person.joints, walk.intrinsics)[:, :2]
        points = np.zeros((134, 2), np.float32)
        points[:14], points[92:113], points[113:] = pixels[list(SMPL_OF_SLOT)], pixels[20], pixels[21]
        points[24:92] = pixels[15]
        frames.append([replace(person, keypoints=points, scores=np.ones(134, np.float32))])
    return replace(walk, frames=frames)


def stack(clip: ClipPoses) -> np.ndarray:
    return np.stack([frame[0].joints for frame in clip.frames]).astype(np.float64)


def character(clip: ClipPoses, size: float = 1.0):
    """Another pose of somebody with other proportions, and of another size."""
    person = clip.frames[9][0]
    joints = scale_bones(person.joints[None].astype(np.float64), TRUTH)[0]
    return replace(person, joints=joints * size)


@pytest.mark.parametrize("size", [1.0, 0.6])
def test_proportions_are_met_whatever_the_size(clip, size):
    found, ratios = reshape_clip(clip, {0: character(clip, size)})
    assert np.allclose(ratios[0], TRUTH, atol=0.02)
    before, after = bone_lengths(stack(clip)), bone_lengths(stack(found))
    assert np.allclose(after / before, ratios[0], atol=1e-3)
    bones = np.array([(PARENTS[j], j) for j in range(1, 24)])
    directions = [
        (points[:, bones[:, 1]] - points[:, bones[:, 0]]) / lengths[..., None]
        for points, lengths in ((stack(clip), before), (stack(found), after))
    ]
    assert np.abs(directions[0] - directions[1]).max() < 2e-3  # the pose is the same


def test_the_standing_foot_stands(clip):
    found, _ = reshape_clip(clip, {0: character(clip)})
    old, new = stack(clip)[:, [7, 8]], stack(found)[:, [7, 8]]
    for frame in range(len(old)):
        low = int(old[frame, :, 1].argmax())
        if abs(np.diff(old[frame, :, 1])[0]) > 100:  # one of them clearly
            assert np.abs(new[frame, low] - old[frame, low]).max() < 20
    pelvis = stack(found)[:, 0] - stack(clip)[:, 0]
    assert (pelvis[:, 1] > 100).all()  # shorter legs: lower hips (y points down)
    assert np.abs(np.diff(pelvis, axis=0)).max() < 60  # and no jumps


def test_hands_and_face_go_along(clip):
    found, _ = reshape_clip(clip, {0: character(clip)})
    for (person,) in found.frames:
        pixels = project(person.joints, clip.intrinsics)[:, :2]
        for places, joint in ((slice(92, 113), 20), (slice(113, 134), 21), (slice(24, 92), 15)):
            assert np.allclose(person.keypoints[places], pixels[joint], atol=0.05)
        assert np.allclose(person.keypoints[:14], pixels[list(SMPL_OF_SLOT)], atol=0.05)


def test_half_a_reference_and_half_a_driver(clip):
    half = character(clip)
    joints = half.joints.copy()
    joints[[4, 5, 7, 8, 10, 11]] = np.nan
    ratios = bone_ratios(stack(clip), joints)
    assert (ratios[[3, 4, 6, 7]] == 1).all() and np.allclose(ratios[17], 1.3, atol=0.02)
    nothing = bone_ratios(stack(clip), np.full((24, 3), np.nan))
    assert (nothing == 1).all()
    seated = stack(clip)
    seated[:, [7, 8, 10, 11]] = np.nan  # no feet: nothing to stand on, nothing to move
    grown = scale_bones(seated, TRUTH)
    assert np.array_equal(plant_feet(seated, grown), grown, equal_nan=True)
    assert np.array_equal(np.isnan(grown), np.isnan(seated))
    flicker = stack(clip)
    flicker[10:14, 7:9] = np.nan
    moves = plant_feet(flicker, scale_bones(flicker, TRUTH))[:, 0] - flicker[:, 0]
    assert np.abs(np.diff(moves, axis=0)).max() < 60


def test_bounds(clip):
    found = bone_ratios(stack(clip), character(clip).joints, (0.9, 1.1))
    assert found.min() >= 0.9 and found.max() <= 1.1
    with pytest.raises(ConfigError):
        bone_ratios(stack(clip), character(clip).joints, (1.2, 2))
