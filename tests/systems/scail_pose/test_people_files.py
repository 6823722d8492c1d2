"""People of a clip written and read back, in three formats; people at other times; whom to draw."""

import json

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.interchange import (
    read_clip_people,
    read_dwposes,
    read_nlfpred,
    read_people,
    write_dwposes,
    write_nlfpred,
    write_people,
)
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.openpose import read_openpose, write_openpose
from contrapposto.systems.scail_pose.people import ClipPoses, choose_people
from contrapposto.systems.scail_pose.retime import retime


def a_person(number: int, seed: int, x: float = 100.0) -> Person:
    random = np.random.default_rng(seed)
    joints = random.normal([0, 0, 3000], 300, (24, 3)).astype(np.float32)
    joints[3] = np.nan
    scores = random.uniform(0.4, 1, 134).astype(np.float32)
    scores[30:40] = 0
    points = random.uniform(5, 90, (134, 2)).astype(np.float32)
    box = np.array([x, 10, x + 50 + 10 * number, 90], np.float32)
    return Person(number, box, 0.9 - 0.1 * number, points, scores, joints)


@pytest.fixture
def clip():
    frames = [[a_person(0, 1), a_person(3, 2)], [], [a_person(3, 4, x=20.0)]]
    return ClipPoses(96, 160, 8.0, default_intrinsics(96, 160), frames)


def same(first: Person, second: Person, names: tuple[str, ...]) -> None:
    for name in names:
        a, b = np.asarray(getattr(first, name)), np.asarray(getattr(second, name))
        assert np.allclose(a, b, atol=2e-3, equal_nan=True), name


def test_people(clip, tmp_path):
    found = read_people(write_people(tmp_path / "people.npz", clip))
    assert (found.height, found.width, found.fps) == (96, 160, 8.0) and len(found.frames) == 3
    assert np.allclose(found.times, [0, 0.125, 0.25])
    for before, after in zip(clip.frames, found.frames, strict=True):
        assert [p.id for p in before] == [p.id for p in after]
        for one, other in zip(before, after):
            same(one, other, ("box", "score", "keypoints", "scores", "joints"))


def test_nlfpred(clip, tmp_path):
    found = read_nlfpred(write_nlfpred(tmp_path / "nlf.json", clip))
    assert [len(frame) for frame in found.frames] == [2, 0, 1]
    same(clip.frames[0][1], found.frames[0][1], ("joints",))
    joints = np.stack([clip.frames[0][0].joints[None], clip.frames[2][0].joints[None]])
    np.savez(tmp_path / "nlf.npz", joints3d_nonparam=np.nan_to_num(joints))  # zeros mark what is missing
    again = read_nlfpred(tmp_path / "nlf.npz", 96, 160)
    same(clip.frames[2][0], again.frames[1][0], ("joints",))
    with pytest.raises(InputError, match="how large"):
        read_nlfpred(tmp_path / "nlf.npz")


def test_dwposes(clip, tmp_path):
    path = write_dwposes(tmp_path / "poses.json", clip)
    found = read_dwposes(path)
    one, other = clip.frames[0][1], found.frames[0][1]
    known = one.scores > 0
    assert np.array_equal(known, other.scores > 0)
    assert np.allclose(one.keypoints[known], other.keypoints[known], atol=1e-2)
    content = json.loads(path.read_text())
    content["swap_hands"] = True
    path.write_text(json.dumps(content))
    swapped = read_dwposes(path).frames[0][1]
    assert np.allclose(swapped.keypoints[92:113], other.keypoints[113:134])
    content["poses"][0]["faces"] = [1, 2]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="frame 0"):
        read_dwposes(path)


def test_any_format_is_recognised(clip, tmp_path):
    written = [
        write_people(tmp_path / "people.npz", clip),
        write_nlfpred(tmp_path / "nlf.json", clip),
        write_dwposes(tmp_path / "poses.json", clip),
        write_openpose(tmp_path / "openpose", clip),
    ]
    assert all([len(f) for f in read_clip_people(path).frames] == [2, 0, 1] for path in written)
    with pytest.raises(InputError):
        read_clip_people(tmp_path / "none.json")


def test_openpose(clip, tmp_path):
    folder = write_openpose(tmp_path / "openpose", clip)
    assert len(list(folder.glob("*_keypoints.json"))) == 3
    found = read_openpose(folder, fps=8.0)
    assert [[p.id for p in frame] for frame in found.frames] == [[0, 3], [], [3]]
    for number in (0, 1):
        one, other = clip.frames[0][number], found.frames[0][number]
        known = one.scores > 0
        assert np.array_equal(known, other.scores > 0)
        assert np.allclose(one.keypoints[known], other.keypoints[known], atol=1e-3)
        assert not other.valid.any()


def test_openpose_of_others(tmp_path):
    """18 points, coordinates as shares of the picture, a list of frames in one file, no ids."""
    body = [[0.1 + 0.02 * n, 0.2, 0.8] for n in range(18)]
    frame = {"people": [{"pose_keypoints_2d": np.ravel(body).tolist(), "face_keypoints_2d": None}]}
    path = tmp_path / "all.json"
    path.write_text(json.dumps([frame, {"people": []}]))
    found = read_openpose(path, 100, 200)
    assert np.allclose(found.frames[0][0].keypoints[0], [20, 20]) and found.frames[1] == []


@pytest.mark.parametrize(
    "text", ["", "[]x", '{"people": 3}', '[{"people": [{"pose_keypoints_2d": [1, 2]}]}]']
)
def test_damaged_json(text, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_openpose(path, 10, 10)
    with pytest.raises(InputError):
        read_nlfpred(path, 10, 10)


def test_damaged_npz(clip, tmp_path):
    whole = write_people(tmp_path / "people.npz", clip).read_bytes()
    cut = tmp_path / "cut.npz"
    cut.write_bytes(whole[: len(whole) // 2])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for path in (cut, tmp_path / "other.npz", tmp_path / "none.npz"):
        with pytest.raises(InputError):
            read_people(path)


def test_retime_is_linear_and_keeps_ids():
    frames = []
    for number in range(5):
        one = a_person(7, 1)
        moved = {**vars(one), "keypoints": one.keypoints + 10 * number, "joints": one.joints - 4 * number}
        frames.append([Person(**moved)])
    times = np.array([0.0, 0.1, 0.25, 0.3, 0.4])  # uneven: the middle one is late
    found = retime(ClipPoses(96, 160, 10.0, np.eye(3), frames, times), 20.0)
    assert np.allclose(found.times, np.arange(9) / 20) and found.ids == [7]
    base = a_person(7, 1)
    expected = np.interp(found.times, times, range(5))
    for people, share in zip(found.frames, expected):
        known = base.scores > 0
        assert np.allclose(people[0].keypoints[known], base.keypoints[known] + 10 * share, atol=1e-3)
        assert np.allclose(people[0].joints, base.joints - 4 * share, atol=1e-2, equal_nan=True)


def test_retime_of_comers_and_goers():
    frames = [[a_person(0, 1)], [a_person(0, 1), a_person(1, 2)], [a_person(1, 2)]]
    found = retime(ClipPoses(96, 160, 4.0, np.eye(3), frames), 16.0)
    present = [[p.id for p in frame] for frame in found.frames]
    assert present == [[0], [0], [0, 1], [0, 1], [0, 1], [0, 1], [1], [1], [1]]
    assert len(retime(ClipPoses(96, 160, 4.0, np.eye(3), frames[:1]), 16.0).frames) == 1


def test_choice(clip):
    assert choose_people(clip, "all") == [0, 3]
    assert choose_people(clip, "first") == [0]
    assert choose_people(clip, "largest") == [3]
    assert choose_people(clip, [3]) == [3] and choose_people(clip, 0) == [0]
    for wrong in ("tallest", 9, []):
        with pytest.raises(InputError):
            choose_people(clip, wrong)
