"""Data that the originals prepared: SAGE's dataset/SUBSET/NUMBER.pt, PoseGPT's pose.pkl and action.pt."""

import os
import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from contrapposto.data import MotionStore
from contrapposto.data.prepare import prepare
from contrapposto.errors import ContrappostoError
from contrapposto.synthetic import generate


def sage_file(path, motion, origin="amass/CMU/CMU/01/01_01_poses.npz"):
    """As `prepare_data.py` writes it, features left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    poses = torch.from_numpy(motion.rotations[:, :22].reshape(motion.num_frames, 66))
    parameters = {
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:],
        "trans": torch.from_numpy(motion.root_translation),
    }
    content = {
        "rotation_local_full_gt_list": torch.zeros(motion.num_frames - 1, 132),
        "body_parms_list": parameters,
        "head_global_trans_list": np.zeros((motion.num_frames - 1, 4, 4)),
        "framerate": 60,
        "gender": np.array("male"),
        "filepath": origin,
    }
    torch.save(content, path)


def test_a_folder_of_sage(tmp_path):
    motion = generate("walk", seconds=1.0, seed=1, fps=60.0)
    raw = tmp_path / "dataset"
    sage_file(raw / "CMU" / "1.pt", motion)
    sage_file(raw / "KIT" / "7.pt", motion.trim(0.0, 0.5), origin="")
    (raw / "KIT" / "8.pt").write_bytes(b"nothing")
    (raw / "notes.txt").write_text("x")
    report = prepare("sage_folder", output=tmp_path / "store", raw=raw, workers=1)
    store = MotionStore.open(tmp_path / "store")
    assert [clip.name for clip in store.clips] == ["CMU/01/01_01_poses.npz", "KIT/7.pt"]
    np.testing.assert_allclose(store[0].rotations[:, :22], motion.rotations[:, :22], atol=1e-6)
    np.testing.assert_allclose(store[0].root_translation, motion.root_translation, atol=1e-6)
    assert store[0].fps == 60 and not store[0].rotations[:, 22:].any()
    assert len(report.rejects) == 1 and "KIT/8" in report.rejects[0].name


def posegpt_vectors(motion, width):
    """Pose vectors as the original prepares them: y down, first frame at the origin."""
    turn = Rotation.from_euler("x", 90, degrees=True)
    angles = motion.rotations.astype(np.float64).copy()
    angles[:, 0] = (turn * Rotation.from_rotvec(angles[:, 0])).as_rotvec()
    places = turn.apply(motion.root_translation)
    body, hands = angles[:, :22].reshape(len(angles), -1), angles[:, 22:].reshape(len(angles), -1)
    middle = {
        168: np.zeros((len(angles), 9)),
        159: np.zeros((len(angles), 0)),
        75: np.zeros((len(angles), 6)),
    }[width]
    parts = [body, middle, *([hands] if width > 75 else []), places - places[0]]
    return torch.tensor(np.concatenate(parts, 1), dtype=torch.float32)


@pytest.mark.parametrize("width", [168, 159, 75])
def test_a_folder_of_posegpt(tmp_path, width):
    clips = [generate(action, seconds=1.0, seed=1, fps=30.0) for action in ("walk", "squat")]
    raw = tmp_path / "babel_trimmed" / "train_60" / "seqLen64_fps30_overlap0_minSeqLen16"
    raw.mkdir(parents=True)
    with open(raw / "pose.pkl", "wb") as file:
        pickle.dump([posegpt_vectors(clip, width) for clip in clips], file)
    actions = torch.zeros(2, 60, dtype=torch.int32)
    actions[0, 0] = actions[1, 52] = actions[1, 1] = 1
    torch.save(actions, raw / "action.pt")
    prepare("posegpt_folder", output=tmp_path / "store", raw=tmp_path / "babel_trimmed", workers=1)
    store = MotionStore.open(tmp_path / "store")
    assert len(store.clips) == 2 and store.clips[0].name.endswith("/000000")
    for number, clip in enumerate(clips):
        read = store[number]
        moved = clip.root_translation - clip.root_translation[0]
        np.testing.assert_allclose(read.root_translation, moved, atol=1e-5)
        expected = Rotation.from_rotvec(clip.rotations[:, :22].reshape(-1, 3)).as_matrix()
        np.testing.assert_allclose(
            Rotation.from_rotvec(read.rotations[:, :22].reshape(-1, 3)).as_matrix(), expected, atol=1e-5
        )
        if width > 75:
            np.testing.assert_allclose(read.rotations[:, 22:], clip.rotations[:, 22:], atol=1e-5)
    assert [label.text for label in store[0].labels] == ["walk"]
    assert {label.text for label in store[1].labels} == {"stand", "squat"}
    assert store[0].metadata["split"] == "train"


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/contrapposto-was-executed",)


@pytest.mark.parametrize(
    "content",
    [
        [Hostile()],
        {"a": 1},
        [torch.zeros(4, 10)],
        [torch.zeros(3)],
        [],
        [torch.zeros(3, 168, dtype=torch.int64)],
    ],
)
def test_other_pickles_are_refused(tmp_path, content):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "pose.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ContrappostoError, match=r"pose\.pkl"):
        prepare("posegpt_folder", output=tmp_path / "store", raw=tmp_path / "raw", workers=1)
    assert not os.path.exists("/tmp/contrapposto-was-executed")


def test_actions_that_do_not_fit(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "pose.pkl").write_bytes(pickle.dumps([torch.zeros(20, 168)]))
    torch.save(torch.zeros(3, 60), tmp_path / "raw" / "action.pt")
    with pytest.raises(ContrappostoError, match=r"action\.pt does not fit"):
        prepare("posegpt_folder", output=tmp_path / "store", raw=tmp_path / "raw", workers=1)
