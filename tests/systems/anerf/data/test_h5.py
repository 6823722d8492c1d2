"""A-NeRF's training files: round trips through HDF5, and each thing that can be wrong with one, in words."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.anerf.data import AvatarScene
from contrapposto.systems.anerf.data.h5 import validate_h5, write_h5
from contrapposto.systems.anerf.data.prepare import prepare_avatar

from . import made


@pytest.fixture
def file(tmp_path):
    return write_h5(tmp_path / "scene.h5", made.scene(tmp_path / "s", splits={"train": [0, 1, 3]}))


def test_a_scene_survives_the_file(tmp_path, file):
    before = AvatarScene.open(tmp_path / "s")
    report = prepare_avatar("anerf_h5", output=tmp_path / "again", raw=file)
    after = report.scene
    names = ("imgs", "masks", "sampling_masks", "bkgds", "bkgd_idxs", "kp_idxs", "camera_idxs", "cam_idxs")
    for name in (*names, "kp3d", "bones", "skts", "cyls", "rest_pose", "c2ws", "focals", "centers"):
        assert np.array_equal(getattr(after, name), getattr(before, name)), name
    assert after.split("train").tolist() == [0, 1, 3]
    assert prepare_avatar("anerf_h5", output=tmp_path / "again", raw=file).unchanged


def test_poses_repeat_from_camera_to_camera_where_nothing_says_otherwise(tmp_path, file):
    with h5py.File(file, "a") as opened:
        for name in ("kp_idxs", "img_pose_indices", "cam_idxs", "train_idxs"):
            del opened[name]
    scene = prepare_avatar("anerf_h5", output=tmp_path / "again", raw=file).scene
    assert scene.kp_idxs.tolist() == [0, 1, 2, 0, 1, 2] and scene.cam_idxs.tolist() == [0, 0, 0, 1, 1, 1]
    assert scene.camera_idxs.tolist() == [0, 0, 0, 1, 1, 1]


def test_without_backgrounds_white_is_assumed(tmp_path, file):
    with h5py.File(file, "a") as opened:
        del opened["bkgds"], opened["bkgd_idxs"]
    assert (prepare_avatar("anerf_h5", output=tmp_path / "again", raw=file).scene.bkgds == 255).all()


def replaced(name, value):
    def change(opened):
        del opened[name]
        opened[name] = value(opened) if callable(value) else value

    return change


def cleared(name):
    def change(opened):
        opened[name][...] = 0

    return change


def put(name, place, value):
    def change(opened):
        opened[name][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda opened: opened.__delitem__("skts"), "skts is missing"),
        (cleared("masks"), "the masks of all images are empty"),
        (cleared("sampling_masks"), "the sampling_masks of all images are empty"),
        (put("masks", (0, 3), 255), "masks hold values up to 255"),
        (put("c2ws", (2, 0, 0), np.nan), "c2ws has values that are not finite in 1 of 6 rows"),
        (put("focals", 4, 0.0), "1 of 6 cameras have a focal length that is not above zero"),
        (replaced("bones", np.zeros((2, 24, 3), np.float32)), "the poses differ in number"),
        (replaced("bones", np.zeros((3, 17, 3), np.float32)), r"bones has shape \(3, 17, 3\)"),
        (replaced("imgs", np.zeros((5, 480, 3), np.uint8)), r"imgs is uint8 \(5, 480, 3\)"),
        (replaced("img_shape", np.array([6, 24, 20])), r"img_shape is \[6, 24, 20\]"),
        (replaced("focals", np.ones(4, np.float32)), "focals has 4 rows, c2ws has 6"),
        (put("bkgd_idxs", 0, 9), "bkgd_idxs has 6 entries up to 9 for 2 backgrounds"),
        (replaced("kp3d", "text"), "an entry cannot be read|kp3d has shape"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, file, change, message):
    with h5py.File(file, "a") as opened:
        change(opened)
    import re

    problems = validate_h5(file)
    assert any(re.search(message, problem) for problem in problems), problems
    with pytest.raises(InputError, match=message):
        prepare_avatar("anerf_h5", output=tmp_path / "again", raw=file)
    assert not (tmp_path / "again").exists() and not list(tmp_path.glob(".*"))


def test_lengths_that_nothing_explains(file):
    with h5py.File(file, "a") as opened:
        for name in ("kp3d", "bones", "skts", "cyls"):
            replaced(name, opened[name][:2].repeat(2, axis=0))(opened)
        del opened["kp_idxs"]
    assert validate_h5(file) == [
        "6 images and 4 poses, and no kp_idxs that states which image shows which pose"
    ]


def test_other_files_are_refused(tmp_path, file):
    with pytest.raises(MissingError):
        validate_h5(tmp_path / "none.h5")
    with pytest.raises(MissingError, match="No training file"):
        prepare_avatar("anerf_h5", output=tmp_path / "again")
    (tmp_path / "text.h5").write_text("no")
    file.write_bytes(file.read_bytes()[:2000])
    for path in (tmp_path / "text.h5", file):
        with pytest.raises(InputError, match="not an HDF5 file"):
            validate_h5(path)
