"""The shipped scene: geometry against projection, splits, noise with its truth, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from contrapposto.body import load_body
from contrapposto.body.clothing import clothe
from contrapposto.errors import ConfigError, InputError
from contrapposto.systems.anerf.cameras import project
from contrapposto.systems.anerf.data.prepare import prepare_avatar

SMALL = {"poses": 3, "novel_poses": 1, "cameras": 3, "novel_cameras": [2], "size": 48}


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    from contrapposto.data.prepare import prepare

    folder = tmp_path_factory.mktemp("motion") / "demo"
    prepare("demo", output=folder, workers=1, minutes=0.5)
    return folder


@pytest.fixture(scope="module")
def scene(motion, tmp_path_factory):
    output = tmp_path_factory.mktemp("scene") / "s"
    options = {"clips": ["*"], "novel_clips": ["cmu/*"]}
    return prepare_avatar("anerf_scene", output=output, raw=motion, **SMALL, **options).scene


def test_joints_lie_in_the_picture_of_the_body(scene):
    for image in range(scene.num_images):
        camera, pose = scene.camera_index(image), scene.pose_index(image)
        parts = (np.array(scene.kp3d[pose]), scene.c2ws[camera], scene.focals[camera], scene.centers[camera])
        column, row = (
            project(*(torch.from_numpy(np.asarray(part)) for part in parts)).round().long().T.numpy()
        )
        away = distance_transform_edt(~scene.mask(image))  # pixels to the nearest one of the body
        assert away[row, column].max() <= 1.5 and np.median(away[row, column]) == 0


def test_the_world_is_that_of_the_sheet(scene):
    joints = scene.kp3d
    assert (joints[:, 15, 1] < joints[:, 0, 1]).all(), "up is -y"
    assert 2.3 < np.linalg.norm(scene.rest_pose[15] - scene.rest_pose[10]) < 2.7, "units, head to foot joint"
    height = np.ptp(scene.rest_pose[[7, 15], 1]) * scene.metres_per_unit
    assert 1.2 < height < 1.6, "metres from ankle to head joint"


def test_splits_share_nothing(scene):
    parts = [set(scene.split(name).tolist()) for name in ("train", "novel_view", "novel_pose")]
    assert [len(part) for part in parts] == [6, 3, 3] and len(set.union(*parts)) == 12
    assert set(scene.camera_idxs[list(parts[1])]) == {2}
    assert not set(scene.kp_idxs[list(parts[2])]) & set(scene.kp_idxs[list(parts[0])])


def test_noise_keeps_the_truth_and_spares_held_out_poses(scene, motion, tmp_path):
    options = {"clips": ["*"], "novel_clips": ["cmu/*"], "noise": 5.0, "noise_shift": 0.05}
    noisy = prepare_avatar("anerf_scene", output=tmp_path / "s", raw=motion, **SMALL, **options).scene
    assert np.array_equal(noisy.imgs, scene.imgs)
    assert np.allclose(noisy.gt_bones, scene.bones) and np.allclose(noisy.gt_kp3d, scene.kp3d)
    assert np.allclose(noisy.kp3d[3:], scene.kp3d[3:], atol=1e-5)
    turns = [Rotation.from_rotvec(b[:3].reshape(-1, 3)) for b in (noisy.bones, noisy.gt_bones)]
    degrees = np.degrees((turns[1].inv() * turns[0]).as_rotvec())
    assert 4 < degrees.std() < 6
    assert np.abs(noisy.kp3d[:3, 0] - noisy.gt_kp3d[:3, 0]).max() > 0.02


def test_left_and_right_wear_other_colours():
    body = load_body("smpl")
    colours, rest = clothe(body), body.rest_vertices()[0].numpy()
    assert colours.min() >= 0 and colours.max() <= 1
    owner = body.skinning.weights.argmax(1).numpy()
    for left, right in ((16, 17), (10, 11)):
        assert np.abs(colours[owner == left].mean(0) - colours[owner == right].mean(0)).max() > 0.2
    front = (np.abs(rest[:, 0]) < 0.04) & (rest[:, 2] > 0.1) & (owner == 9)
    assert not front.any() or colours[front, 0].max() > 0.9


def test_what_cannot_be_is_refused(motion, tmp_path):
    def attempt(**options):
        prepare_avatar("anerf_scene", output=tmp_path / "s", raw=motion, **{**SMALL, **options})

    with pytest.raises(ConfigError, match="held out"):
        attempt(novel_cameras=[0, 1, 2])
    with pytest.raises(ConfigError, match="no option cameraz"):
        attempt(cameraz=3)
    with pytest.raises(ConfigError, match="no shape"):
        attempt(shape="gian")
    with pytest.raises(InputError, match="No clip of"):
        attempt(clips=["made/flight/*"])
    with pytest.raises(ConfigError, match="a store of other things"):
        prepare_avatar("anerf_scene", output=motion, raw=motion, **SMALL)
    assert not (tmp_path / "s").exists()
