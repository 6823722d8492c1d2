"""Motion on a scene's figure: against the clip's own joints, and against rotations of SciPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL24
from contrapposto.synthetic import generate
from contrapposto.systems.anerf import paths
from contrapposto.systems.anerf.data.poses import (
    WORLD_AXES,
    motion_poses,
    pose_arrays,
    scene_frames,
    unit_scale,
)
from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE

from . import made


@pytest.fixture(scope="module")
def walk() -> Motion:
    return generate("walk", seconds=2.0, seed=3, fps=20).to_skeleton(SMPL24)


def own_figure(motion: Motion, factor: float) -> np.ndarray:
    rest = motion.skeleton.rest_positions
    return (rest - rest[0]) * factor


def test_on_its_own_figure_a_clip_has_its_own_joints(walk):
    poses = motion_poses(walk, own_figure(walk, 1.5))
    assert np.allclose(poses["kp3d"], 1.5 * walk.joint_positions() @ WORLD_AXES.T, atol=1e-4)
    inverse = np.linalg.inv(poses["skts"].astype(np.float64))
    assert np.allclose(inverse[..., :3, 3], poses["kp3d"], atol=1e-4)
    assert (poses["kp3d"][:, 15, 1] < poses["kp3d"][:, 0, 1]).all(), "up is -y"


def test_bones_are_the_rotations_of_the_clip(walk):
    poses = motion_poses(walk, own_figure(walk, 1.5))
    root = Rotation.from_matrix(WORLD_AXES) * Rotation.from_rotvec(walk.rotations[:, 0])
    found = Rotation.from_rotvec(poses["bones"][:, 0])
    assert (root.inv() * found).magnitude().max() < 1e-5
    assert np.allclose(poses["bones"][:, 1:], walk.rotations[:, 1:], atol=1e-6)


def test_another_figure_steps_as_far_as_its_legs_allow(walk):
    small = motion_poses(walk, own_figure(walk, 1.0))["kp3d"]
    large = motion_poses(walk, own_figure(walk, 2.0))["kp3d"]
    assert np.allclose(2 * small, large, atol=1e-4)


def test_it_can_be_placed_held_and_turned(walk):
    rest = own_figure(walk, 1.5)
    free = motion_poses(walk, rest, at=(1, 2, 3))
    assert np.allclose(free["kp3d"][0, 0], [1, 2, 3], atol=1e-5)
    held = motion_poses(walk, rest, at=(1, 2, 3), travel=False)
    assert np.allclose(held["kp3d"][:, 0, [0, 2]], [1, 3], atol=1e-5)
    assert np.allclose(held["kp3d"][:, 0, 1], free["kp3d"][:, 0, 1], atol=1e-5)
    turned = motion_poses(walk, rest, at=(1, 2, 3), turn=90)
    way, other = (poses["kp3d"][-1, 0] - poses["kp3d"][0, 0] for poses in (free, turned))
    # walking towards -z, with +x on its left
    assert way[2] < -1 and np.allclose(other, [-way[2], way[1], way[0]], atol=1e-4)
    height = turned["kp3d"][..., 1]
    assert np.allclose(height, free["kp3d"][..., 1], atol=1e-4)


def test_units_are_those_of_the_built_in_figure(walk):
    assert np.isclose(unit_scale(REST_POSE * UNIT_SCALE), 1) and np.isclose(unit_scale(REST_POSE), UNIT_SCALE)
    assert 1.4 < unit_scale(own_figure(walk, 1.0)) < 1.9  # metres: one unit is about 0.6 m


def test_other_skeletons_are_refused(walk):
    names = tuple(f"bone{i}" for i in range(24))
    strange = replace(walk, skeleton=replace(SMPL24, name="strange", joint_names=names))
    with pytest.raises(InputError):
        motion_poses(strange, own_figure(walk, 1.0))


def test_frames_of_a_scene(tmp_path):
    scene = made.scene(tmp_path / "s")
    frames = scene_frames(scene, [1, 4])
    path = paths.selected(frames, [0, 1])
    assert torch.allclose(path.joints, torch.from_numpy(scene.kp3d[[1, 1]]), atol=1e-5)
    assert torch.allclose(path.cameras, torch.from_numpy(scene.c2ws[[0, 1]]))
    with pytest.raises(InputError, match="true poses"):
        scene_frames(scene, truth=True)


def test_arrays_are_float32_of_exact_kinematics():
    generator = np.random.default_rng(0)
    bones, root = generator.normal(0, 1, (4, 24, 3)), generator.normal(0, 1, (4, 3))
    arrays = pose_arrays(bones, REST_POSE, root)
    assert {name: array.dtype for name, array in arrays.items()} == dict.fromkeys(arrays, np.float32)
    assert np.allclose(arrays["kp3d"][:, 0], root, atol=1e-6)
    knee = root + Rotation.from_rotvec(bones[:, 0]).apply(REST_POSE[1] - REST_POSE[0])
    assert np.allclose(arrays["kp3d"][:, 1], knee, atol=1e-6)
