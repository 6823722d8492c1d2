"""The recorded clips that ship."""

import runpy
import sys

import numpy as np
import pytest

from contrapposto.errors import InputError, MissingError
from contrapposto.io.amass import read_amass
from contrapposto.shipped import FOLDER, shipped_clips


def test_two_clips_with_names_labels_and_the_sentence_that_cmu_asks_for():
    clips = shipped_clips()
    assert [clip.metadata["name"] for clip in clips] == ["cmu/01_01", "cmu/01_03"]
    assert all(clip.fps == 60 and clip.skeleton.name == "smplh52" for clip in clips)
    assert 59 < sum(clip.num_frames for clip in clips) / 60 < 62
    for clip in clips:
        assert (
            "mocap.cs.cmu.edu" in clip.metadata["attribution"]
            and "NSF EIA-0196217" in clip.metadata["attribution"]
        )
        (label,) = clip.labels
        assert label.text.startswith("playground") and label.end == pytest.approx(clip.num_frames / 60)
        speed = np.linalg.norm(np.diff(clip.joint_positions()[:, :22], axis=0), axis=-1) * 60
        assert speed.max() < 11, "no jump, no T-pose"
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 3e6
    assert "NSF EIA-0196217" in (FOLDER / "LICENCE.txt").read_text()


@pytest.mark.parametrize("name", ["01_01", "01_03"])
def test_they_equal_the_same_clips_read_from_asf_and_amc(shared_data, name):
    path = shared_data / "motion" / "cmu" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    ours = next(clip for clip in shipped_clips() if clip.metadata["name"] == f"cmu/{name}")
    theirs = read_amass(path)
    assert ours.num_frames == theirs.num_frames
    ours, theirs = (clip.joint_positions()[:, :22] for clip in (ours, theirs))
    relative = np.linalg.norm((ours - ours[:, :1]) - (theirs - theirs[:, :1]), axis=-1)
    assert relative.mean() < 0.004
    assert np.linalg.norm(ours[:, 0] - theirs[:, 0], axis=-1).mean() < 0.04


def test_missing_clips_are_named(tmp_path):
    with pytest.raises(MissingError, match="shipped motion clips"):
        shipped_clips(tmp_path)


def test_the_build_refuses_other_files(tmp_path, monkeypatch):
    (tmp_path / "01_01.bvh").write_text("HIERARCHY")
    monkeypatch.setattr(sys, "argv", ["build.py", str(tmp_path), "--target", str(tmp_path)])
    with pytest.raises(InputError, match="not the clip that ships"):
        runpy.run_path(str(FOLDER / "build.py"), run_name="__main__")
    assert not list(tmp_path.glob("*.npz"))
