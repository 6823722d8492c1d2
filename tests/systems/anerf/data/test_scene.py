"""Scenes on disk: round trips, what is refused, nothing left behind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from contrapposto.errors import InputError, MissingError
from contrapposto.systems.anerf.data import AvatarScene, SceneMetadata, write_scene
from contrapposto.systems.anerf.data.writing import dilate, temporal_validity

from . import made

FACTS = SceneMetadata("made", "made for a test", "CC0-1.0")


def test_a_scene_comes_back_as_it_was_written(tmp_path):
    frames, arrays = made.frames(6), made.arrays()
    scene = write_scene(tmp_path / "s", iter(frames), arrays, (24, 20), FACTS)
    again = AvatarScene.open(tmp_path / "s")
    for number, frame in enumerate(frames):
        assert (again.image(number) == frame.image).all() and (again.mask(number) == frame.mask).all()
    for name in ("kp3d", "bones", "skts", "cyls"):
        assert np.array_equal(getattr(again, name), np.asarray(arrays[name], np.float32)), name
    assert (again.hw, again.num_images, again.num_poses, again.num_cameras) == ((24, 20), 6, 3, 2)
    assert again.pose_index(4) == 1 and again.camera_index(np.array([0, 4])).tolist() == [0, 1]
    assert again.centers.tolist() == [[10, 12]] * 2 and again.focals.shape == (2, 2)
    assert scene.content_hash == again.content_hash


def test_equal_data_give_equal_bytes(tmp_path):
    one, two = (made.scene(tmp_path / name) for name in ("one", "two"))
    for file in one.path.iterdir():
        assert file.read_bytes() == (two.path / file.name).read_bytes(), file.name


def test_splits(tmp_path):
    scene = made.scene(tmp_path / "s", splits={"novel_view": [3, 4]})
    assert scene.split("novel_view").tolist() == [3, 4] and len(scene.split("train")) == 6
    with pytest.raises(InputError, match="no split"):
        scene.split("nowel_view")


def test_dilation_grows_by_squares():
    mask = np.zeros((15, 15), bool)
    mask[7, 7] = True
    rows, columns = np.nonzero(dilate(mask))
    assert rows.min() == 3 and rows.max() == 11 and len(rows) == 81 and columns.min() == 3


def test_takes_end_where_a_neighbour_is_of_another():
    assert temporal_validity([0, 0, 0, 1, 1, 1, 1]).tolist() == [0, 1, 0, 0, 1, 1, 0]
    assert temporal_validity([0, 0, 0]).tolist() == [0, 1, 0], "the list wraps round, a take does not"


def spoilt(name, value, where=...):
    arrays = made.arrays()
    arrays[name] = np.array(arrays[name], np.float64 if arrays[name].dtype.kind == "f" else None)
    arrays[name][where] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (spoilt("c2ws", np.nan, (1, 0, 3)), "c2ws has values that are not finite in 1 of 2 rows"),
        (spoilt("focals", 0, 1), "1 of 2 cameras have a focal length that is not above zero"),
        (spoilt("c2ws", 2, (0, 0, 0)), "hold no rotation"),
        (spoilt("kp3d", 5.0, (1, 0)), "place the root differently in 1 of 3"),
        (spoilt("cyls", 0, (1, 2)), "radius"),
        (spoilt("kp_idxs", 3, 5), "kp_idxs goes from 0 to 3"),
        ({**made.arrays(), "bones": np.zeros((2, 24, 3))}, r"bones is float32 \(2, 24, 3\)"),
        ({**made.arrays(), "kp_idxs": np.zeros(5, int)}, r"kp_idxs is int64 \(5,\)"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        write_scene(tmp_path / "s", made.frames(6), arrays, (24, 20), FACTS)
    assert not list(tmp_path.iterdir())


def test_images_that_do_not_fit_are_refused(tmp_path):
    frames = [*made.frames(5), *made.frames(1, height=23)]
    with pytest.raises(InputError, match="Image 5 does not fit"):
        write_scene(tmp_path / "s", frames, made.arrays(), (24, 20), FACTS)
    with pytest.raises(InputError, match="no images"):
        write_scene(tmp_path / "s", [], made.arrays(), (24, 20), FACTS)
    assert not list(tmp_path.iterdir())


def test_damage_is_told(tmp_path):
    scene = made.scene(tmp_path / "s")
    with pytest.raises(MissingError):
        AvatarScene.open(tmp_path / "none")
    (scene.path / "skts.npy").write_bytes((scene.path / "skts.npy").read_bytes()[:200])
    with pytest.raises(InputError, match=r"skts\.npy cannot be read"):
        AvatarScene.open(scene.path)
    manifest = json.loads((scene.path / "manifest.json").read_text())
    (scene.path / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))
    with pytest.raises(InputError, match="of this release"):
        AvatarScene.open(scene.path)
