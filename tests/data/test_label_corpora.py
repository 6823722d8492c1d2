"""BABEL, GRAB and HumanAct12 labels in stores, also damaged ones."""

import json
import pickle

import numpy as np
import pytest

from contrapposto.data.prepare import prepare
from contrapposto.data.store import MotionStore
from contrapposto.errors import InputError, MissingError


def labels_of(store, name):
    return [(one.text, one.start, one.end) for one in store.clips[store.index(name)].labels]


def test_babel_labels_come_into_the_store_of_both_releases(tmp_path, clip_writer):
    raw = tmp_path / "raw"
    clip_writer(raw / "CMU/CMU/01/01_01_poses.npz", 90, 30.0, seed=1)
    clip_writer(raw / "MoSh/s1/dance_a_stageii.npz", 90, 30.0, seed=2)
    clip_writer(raw / "KIT/3/plain_poses.npz", 90, 30.0, seed=3)
    babel = tmp_path / "babel v1.0"
    babel.mkdir()
    spans = [
        {"act_cat": ["walk", "turn"], "start_t": 0, "end_t": 1},
        {"act_cat": ["sit"], "start_t": 2.5, "end_t": 1.5},
        {"act_cat": None, "start_t": 0, "end_t": 1},
    ]
    entries = {"1": {"feat_p": "CMU/CMU/01/01_01_poses.npz", "frame_ann": {"labels": spans}}}
    (babel / "train.json").write_text(json.dumps(entries))
    whole = {"labels": [{"act_cat": ["dance"]}]}
    entries = {
        "2": {"feat_p": "MPI_mosh/MPI_mosh/s1/dance a_poses.npz", "frame_ann": None, "seq_ann": whole},
        "3": {"feat_p": "KIT/KIT/9/absent_poses.npz", "frame_ann": None, "seq_ann": whole},
    }
    (babel / "val.json").write_text(json.dumps(entries))
    report = prepare("amass", output=tmp_path / "s", raw=raw, workers=1, babel=str(babel))
    store = MotionStore.open(tmp_path / "s")
    assert labels_of(store, "CMU/01/01_01_poses.npz") == [
        ("walk", 0.0, 1.0),
        ("turn", 0.0, 1.0),
        ("sit", 1.5, 2.5),
    ]
    assert labels_of(store, "MoSh/s1/dance_a_stageii.npz") == [("dance", 0.0, 3.0)]
    assert labels_of(store, "KIT/3/plain_poses.npz") == []
    parts = {clip.name: clip.metadata.get("split") for clip in store.clips}
    assert set(parts.values()) == {"train", "val", None}
    assert report.ignored["BABEL: labels with swapped times"] == 1
    assert report.ignored["BABEL: labels without categories"] == 1
    assert report.ignored["BABEL: annotated clips that are not in the folder"] == 1
    with pytest.raises(MissingError, match="no BABEL files"):
        prepare("amass", output=tmp_path / "t", raw=raw, workers=1, babel=str(raw))


def test_labels_beside_clips_are_mended_and_grab_tells_them_by_name(tmp_path, clip_writer):
    raw = tmp_path / "raw"
    clip_writer(raw / "a.npz", 90, 30.0, seed=1)
    spans = [
        {"act": "walk", "start_t": -1, "end_t": 2},
        {"act_cat": ["run", "turn"], "start_t": 1, "end_t": 2},
        {"act": "hop", "start_t": "soon", "end_t": 2},
    ]
    (raw / "a.json").write_text(json.dumps({"frame_ann": spans}))
    clip_writer(raw / "b.npz", 90, 30.0, seed=2)
    (raw / "b.json").write_text("[1, 2")
    for number, name in enumerate(("cup_drink_1", "cubelarge_lift", "camera_takepicture_3_Retake")):
        clip_writer(raw / f"GRAB/s1/{name}_stageii.npz", 30, 120.0, seed=5 + number)
    report = prepare("amass", output=tmp_path / "s", raw=raw, workers=1)
    store = MotionStore.open(tmp_path / "s")
    assert labels_of(store, "a.npz") == [("walk", 0.0, 2.0), ("run", 1.0, 2.0), ("turn", 1.0, 2.0)]
    assert labels_of(store, "b.npz") == []
    texts = [labels_of(store, c.name)[0][0] for c in store.clips if c.name.startswith("GRAB")]
    assert sorted(texts) == ["drink", "lift", "takepicture"]
    for problem in (
        "labels with negative times",
        "labels without times",
        "label files that could not be read",
    ):
        assert report.ignored[problem] == 1


def humanact12(count=3, frames=30):
    generator = np.random.default_rng(0)
    poses = [0.1 * generator.normal(size=(frames, 72)) for _ in range(count)]
    for pose in poses:
        pose[:, :3] = [np.pi, 0, 0]  # upright for a camera whose y points down
    joints = [np.cumsum(np.full((frames, 24, 3), 0.01), axis=0) for _ in range(count)]
    return {"poses": poses, "joints3D": joints, "y": [3, 0, 10][:count]}


def test_humanact12_is_read_upright_with_its_labels(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    content = humanact12()
    (raw / "humanact12poses.pkl").write_bytes(pickle.dumps(content))
    report = prepare("humanact12", output=tmp_path / "s", raw=raw, workers=1)
    store = MotionStore.open(tmp_path / "s")
    assert report.clips == 3 and store.clips[0].fps == 20.0
    assert sorted(clip.labels[0].text for clip in store.clips) == ["boxing", "jump", "warm up"]
    joints = store[store.index("jump/0000")].joint_positions()
    assert (joints[:, 15, 2] - joints[:, 0, 2] > 0.4).all(), "the head is above the pelvis"
    # The pelvis moves as in the file: right stays right, down in the camera is down.
    moved = joints[-1, 0] - joints[0, 0]
    np.testing.assert_allclose(moved, [0.29, 0.29, -0.29], atol=1e-5)


@pytest.mark.parametrize(
    "content",
    [{"poses": []}, [1], {**humanact12(), "y": [3, 0, 99]}, {**humanact12(), "y": [3]}],
    ids=["keys", "list", "class", "length"],
)
def test_other_files_are_no_humanact12(tmp_path, content):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "humanact12poses.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError):
        prepare("humanact12", output=tmp_path / "s", raw=raw, workers=1)
    assert not (tmp_path / "s").exists()
