from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contrapposto.errors import ConfigError, InputError
from contrapposto.io import READABLE, WRITABLE, read_motion, write_motion
from contrapposto.motion import Label, Motion
from contrapposto.skeleton import SMPL22, SMPLH52


def clip() -> Motion:
    rng = np.random.default_rng(0)
    rotations = rng.normal(size=(6, 22, 3)) * 0.2
    rotations[:, 0] = np.array([np.pi / 2, 0, 0]) + 0.1 * rotations[:, 0]  # upright
    return Motion(rotations, rng.normal(size=(6, 3)), 30, SMPL22, labels=(Label("x", 0, 0.1),))


@pytest.mark.parametrize("suffix", [".npz", ".bvh", ".NPZ", ".BVH"])
def test_what_is_written_is_read_again_on_smplh(tmp_path: Path, suffix: str) -> None:
    motion = clip()
    back = read_motion(write_motion(tmp_path / f"a{suffix}", motion))
    assert back.skeleton is SMPLH52
    np.testing.assert_allclose(back.rotations[:, :22], motion.rotations, atol=1e-5)
    np.testing.assert_allclose(back.joint_positions()[:, :22], motion.joint_positions(), atol=1e-5)
    assert back.fps == 30


def test_native_and_frame_rate(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "a.npz", clip())
    assert read_motion(path, native=True).skeleton is SMPL22
    again = read_motion(path, fps=60)
    assert again.fps == 60 and again.num_frames == 6
    for fps in (0, -1, float("nan")):
        with pytest.raises(InputError, match="frame rate"):
            read_motion(path, fps=fps)


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.npz.gz", "a.asf"])
def test_unknown_suffixes_are_answered_with_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(InputError) as caught:
        read_motion(tmp_path / name)
    assert all(suffix in str(caught.value) for suffix in READABLE)
    with pytest.raises(InputError) as caught:
        write_motion(tmp_path / "new" / name, clip())
    assert all(suffix in str(caught.value) for suffix in WRITABLE)
    assert not (tmp_path / "new").exists()


def test_options_of_another_format_are_refused(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "a.npz", clip())
    with pytest.raises(ConfigError, match="root_offset"):
        read_motion(path, root_offset="add")


def test_a_file_whose_skeleton_cannot_be_mapped_is_named(tmp_path: Path) -> None:
    text = (
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\nMOTION\n"
    )
    path = tmp_path / "odd.bvh"
    path.write_text(text + "Frames: 1\nFrame Time: 0.1\n5\n")
    with pytest.raises(InputError, match=r"odd\.bvh.*left_hip"):
        read_motion(path)
    assert read_motion(path, native=True).num_frames == 1


def test_writing_onto_a_folder_is_refused(tmp_path: Path) -> None:
    for suffix in WRITABLE:
        folder = tmp_path / f"a{suffix}"
        folder.mkdir()
        with pytest.raises(InputError, match="folder"):
            write_motion(folder, clip())
        assert not list(folder.iterdir())


@pytest.mark.parametrize("suffix", [".npz", ".bvh"])
def test_a_broken_write_leaves_the_old_file(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_motion(tmp_path / f"a{suffix}", clip())
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)  # the last step before the rename
    with pytest.raises(InputError, match="disk is full"):
        write_motion(path, clip().resample(60))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "torch scipy warp matplotlib av"
    code = f"import contrapposto.io, sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("names", ["smplh", "smpl", "mixamo", "vrm"])
@pytest.mark.parametrize("suffix", [".bvh", ".glb"])
def test_names_of_other_programs(names: str, suffix: str, tmp_path: Path) -> None:
    motion = clip()
    path = write_motion(tmp_path / f"a{suffix}", motion, names=names)
    joint = {"smplh": "left_hip", "smpl": "L_Hip", "mixamo": "mixamorig:LeftUpLeg", "vrm": "leftUpperLeg"}[
        names
    ]
    assert joint.encode() in path.read_bytes()
    back = read_motion(path)
    places = [m.joint_positions()[:, :22] - m.joint_positions()[:, :1] for m in (back, motion)]
    np.testing.assert_allclose(*places, atol=1e-4)
    with pytest.raises(ConfigError, match="mixamo"):
        write_motion(path, motion, names="mixammo")


def test_licences_travel_with_glb_and_mp4(tmp_path: Path) -> None:
    from dataclasses import replace

    motion = replace(clip(), metadata={"licence": "CC-BY", "attribution": "by somebody"})
    for suffix, options in ((".glb", {}), (".mp4", {"size": (64, 64)})):
        path = write_motion(tmp_path / f"a{suffix}", motion, **options)
        assert b"by somebody; CC-BY" in path.read_bytes()
