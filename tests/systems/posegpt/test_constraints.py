"""Motions that follow a path, reach a place or end in a pose; by a small auto-encoder fitted to one clip."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from contrapposto.errors import ConfigError, InputError
from contrapposto.retarget.ground import sole_heights
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from contrapposto.systems.posegpt.constraints import (
    Constraints,
    Keyframe,
    Steering,
    keyframe_errors,
    path_error,
)
from contrapposto.systems.posegpt.convolutional import ConvAutoEncoder
from contrapposto.systems.posegpt.generator import MotionGenerator
from contrapposto.systems.posegpt.poses import face_forward, from_motion, network_input, to_motion

PATH = [[0.0, 0.0], [0.0, -1.2], [0.8, -1.6]]


@cache
def poses():
    return from_motion(generate("walk", seconds=2.0, seed=3, fps=30.0), SMPL22, height="floor")[None, :60]


@pytest.fixture(scope="module")
def steering():
    torch.manual_seed(0)
    vqvae = ConvAutoEncoder(22, hidden=16, halvings=2, depth=1, num_books=2, num_codes=32, code_dim=64)
    x = network_input(face_forward(poses())[0])
    vqvae.fit_to([vqvae.features(x)], [torch.ones(1, 60)])
    return Steering(vqvae.eval(), SMPL22, SMPL22.offsets, steps=60)


def clip(pose):
    return to_motion(pose[0], SMPL22, height="floor")


def test_a_path_is_followed(steering):
    before = path_error(clip(poses()), PATH)
    after = clip(steering(poses(), Constraints(path=PATH)))
    assert before > 0.3
    assert path_error(after, PATH) < 0.15
    assert np.linalg.norm(after.joint_positions()[0, 0, :2] - PATH[0]) < 0.05


def test_a_joint_reaches_its_place_and_the_past_stays(steering):
    joints = clip(poses()).joint_positions()
    place = joints[45, SMPL22.joint_names.index("right_wrist")] + [0.05, 0.05, 0.15]
    keys = [Keyframe(45, "right_wrist", tuple(place.tolist()))]
    result = steering(poses(), Constraints(keyframes=keys), num_past=20)
    assert keyframe_errors(clip(poses()), keys)[0] > 0.15
    assert keyframe_errors(clip(result), keys)[0] < 0.09
    assert torch.equal(result[:, :20], poses()[:, :20])
    steps = np.abs(np.diff(clip(result).joint_positions(), axis=0) - np.diff(joints[:, :22], axis=0))
    assert steps[18:21].max() < 0.05, "no jump after the past"


def test_the_last_pose_is_that_of_the_future(steering):
    rotations = clip(poses()).rotations[:, 1:22]
    other = int(np.abs(rotations - rotations[-1]).mean((1, 2)).argmax())
    future = clip(poses()[:, other:])
    result = clip(steering(poses(), Constraints(future=future)))

    def shape(motion, frame):  # of the body, wherever it stands and faces
        rotations = motion.rotations.copy()
        rotations[:, 0] = 0
        return replace(motion, rotations=rotations).joint_positions()[frame] - motion.root_translation[frame]

    before, after = (np.abs(shape(m, -1) - shape(future, 0)).mean() for m in (clip(poses()), result))
    assert after < 0.4 * before


def test_what_cannot_be_met_is_refused(steering):
    for wanted, match in (
        (Constraints(path=[[0, 0]]), "path"),
        (Constraints(keyframes=[Keyframe(60, "head", (0, 0, 1))]), "frame 60"),
        (Constraints(keyframes=[Keyframe(5, "tail", (0, 0, 1))]), "no joint tail"),
    ):
        with pytest.raises(InputError, match=match):
            steering(poses(), wanted)
    with pytest.raises(ConfigError, match="ours"):
        Steering(torch.nn.Identity(), SMPL22, SMPL22.offsets)
    assert not Constraints() and Constraints(path=PATH)


def test_the_shipped_generator_reaches_a_place_on_its_feet():
    """After the post-processing that everyone gets: a body that is lifted to its keyframe would be put down again."""
    generator = MotionGenerator.from_pretrained("posegpt_gpt")
    keys = [Keyframe(30, "left_wrist", (0.3, -0.7, 1.7)), Keyframe(30, "right_wrist", (-0.3, -0.7, 1.0))]
    (motion,) = generator.generate(["walk"], 45, constraints=Constraints(keyframes=keys)).motions
    assert max(keyframe_errors(motion, keys)) < 0.05
    assert np.abs(sole_heights(motion)[0].min(1)).max() < 0.03
