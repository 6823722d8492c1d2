"""Pickles in SAGE's layout."""

import pickle

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.io import read_motion, write_motion
from contrapposto.skeleton import SMPLH52
from contrapposto.synthetic import generate


def test_sages_layout_is_written_at_its_rate(tmp_path):
    clip = generate("walk", seconds=1.0, fps=30)
    content = pickle.loads(write_motion(tmp_path / "a.pkl", clip).read_bytes())
    assert set(content) == {"poses", "trans"}
    assert content["poses"].shape == (len(content["trans"]), 66) and content["trans"].shape[1] == 3
    assert content["poses"].dtype == content["trans"].dtype == np.float32
    np.testing.assert_allclose(content["poses"][::2], clip.rotations[:, :22].reshape(-1, 66), atol=1e-5)
    np.testing.assert_allclose(content["trans"][::2], clip.root_translation, atol=1e-6)


def test_a_file_of_theirs_is_read_at_their_rate(tmp_path):
    clip = generate("walk", seconds=0.5, fps=60)
    poses = clip.rotations[:, :22].reshape(-1, 66).astype(np.float32)
    content = {"poses": poses, "trans": clip.root_translation.astype(np.float32)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    motion = read_motion(tmp_path / "a.pkl")
    assert motion.fps == 60 and motion.skeleton is SMPLH52
    np.testing.assert_allclose(motion.rotations[:, :22], clip.rotations[:, :22], atol=1e-5)
    np.testing.assert_allclose(motion.root_translation, clip.root_translation, atol=1e-6)
    assert read_motion(tmp_path / "a.pkl", fps=30).fps == 30


class Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Harm(), "nothing in it was executed"),
        ([1, 2], "a list"),
        ({0: {"pose": np.zeros((4, 72)), "trans": np.zeros((4, 3))}}, "a dictionary for each person"),
        ({"betas": np.zeros(10)}, "not a motion file"),
        ({"poses": np.zeros((4, 65)), "trans": np.zeros((4, 3))}, "65"),
        ({"poses": np.zeros((4, 66)), "trans": np.zeros((5, 3))}, "trans"),
        ({"poses": np.full((4, 66), np.nan), "trans": np.zeros((4, 3))}, "finite"),
        ({"poses": np.zeros((4, 66)), "trans": np.zeros((4, 3)), "gender": "male"}, "no frame rate"),
        ({"a/../b": np.zeros(3)}, "name"),
    ],
)
def test_other_pickles_are_refused(tmp_path, capsys, content, words):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=words):
        read_motion(tmp_path / "a.pkl")
    assert "harm" not in capsys.readouterr().out
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content)[:-9])
    with pytest.raises(InputError):
        read_motion(tmp_path / "a.pkl")
