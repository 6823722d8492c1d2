from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.names import SUBSETS, canonical_name, comparable
from contrapposto.data.splits import hash_split, list_lines, match_list, read_list
from contrapposto.data.store import ClipRecord
from contrapposto.errors import ConfigError, InputError


def records(*names: str) -> list[ClipRecord]:
    return [ClipRecord(name, "0", 9, 60.0) for name in names]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("raw/CMU/01/01_01_poses.npz", "CMU/01/01_01_poses.npz"),
        ("raw/CMU/CMU/01/01_01_poses.npz", "CMU/01/01_01_poses.npz"),
        ("raw/unpacked/BioMotionLab_NTroje/rub098/a b_poses.npz", "BMLrub/rub098/a b_poses.npz"),
        ("raw/MPI_HDM05/dg/x.npz", "HDM05/dg/x.npz"),
        ("raw/MPI_mosh/5/x.npz", "MoSh/5/x.npz"),
        ("raw/MPI_Limits/5/x.npz", "PosePrior/5/x.npz"),
        ("raw/SSM_synced/5/x.npz", "SSM/5/x.npz"),
        ("raw/Transitions_mocap/5/x.npz", "Transitions/5/x.npz"),
        ("raw/TCD_handMocap/5/x.npz", "TCDHands/5/x.npz"),
        ("raw/DFaust_67/5/x.npz", "DFaust/5/x.npz"),
        ("raw/mine/x.npz", "mine/x.npz"),
        ("raw/x.npz", "x.npz"),
        ("raw/CMU.npz", "CMU.npz"),
    ],
)
def test_canonical_names(path: str, expected: str) -> None:
    assert canonical_name(Path("/somewhere") / path, Path("/somewhere/raw")) == expected


def test_a_raw_folder_that_is_a_subset() -> None:
    assert canonical_name(Path("/d/MPI_HDM05/dg/x.npz"), Path("/d/MPI_HDM05")) == "HDM05/dg/x.npz"
    assert all(SUBSETS[name] == name for name in SUBSETS.values())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("CMU/01/01_01_poses.npz", "CMU/01/01_01_stageii.npz"),
        ("BMLrub/rub098/0029_jumping2_poses.npz", "BioMotionLab_NTroje/rub098/0029_jumping2_poses.npz"),
        ("./ACCAD/s 1/D1 - stand_poses.npz", "AMASS/ACCAD/s_1/D1_-_stand_stageii.npz"),
        ("CMU\\01\\01_01_poses.npz", "CMU/01/01_01"),
    ],
)
def test_the_same_clip_by_other_names(first: str, second: str) -> None:
    assert comparable(first) == comparable(second)


def test_different_clips_stay_different() -> None:
    assert comparable("CMU/01/01_01_poses.npz") != comparable("CMU/01/01_02_poses.npz")
    assert comparable("KIT/3/walk.v2_poses.npz") != comparable("KIT/3/walk.v3_poses.npz")


def test_hash_split_depends_on_names_only() -> None:
    clips = records(*(f"CMU/{n % 40:02d}/{n}_poses.npz" for n in range(2000)))
    train, test = hash_split(clips, 0.1)
    assert sorted([*train, *test]) == list(range(2000))
    # binomial: 200 expected, standard deviation 13.4
    assert abs(len(test) - 200) < 5 * 13.5
    chosen = {clips[i].name for i in test}
    again = [clips[i] for i in np.random.default_rng(0).permutation(2000)[:700]]
    assert {again[i].name for i in hash_split(again, 0.1)[1]} == chosen & {clip.name for clip in again}
    more = {clips[i].name for i in hash_split(clips, 0.2)[1]}
    assert chosen < more, "a larger test part contains the smaller one"
    assert chosen != {clips[i].name for i in hash_split(clips, 0.1, salt="other")[1]}
    other_release = records(*(clip.name.replace("_poses", "_stageii") for clip in clips))
    assert hash_split(other_release, 0.1)[1].tolist() == test.tolist()
    assert len(hash_split(clips, 0)[1]) == 0 and len(hash_split(clips, 1)[0]) == 0


def test_hash_split_by_subject_keeps_people_together() -> None:
    clips = [
        ClipRecord(f"{n}.npz", "0", 9, 60.0, metadata={"subject": f"CMU/{n % 50}"} if n < 900 else {})
        for n in range(1000)
    ]
    train, test = hash_split(clips, 0.3, by="subject")
    people = [{clips[i].metadata["subject"] for i in part if i < 900} for part in (train, test)]
    assert people[0].isdisjoint(people[1]) and all(people)
    with pytest.raises(ConfigError, match="split"):
        hash_split(clips, 1.5)


def test_lists_of_paths(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(
        "# remark\nBioMotionLab_NTroje/rub098/a_poses.npz\n\nCMU/01/01_01_poses.npz\r\nCMU/01/none_poses.npz\n"
    )
    clips = records("BMLrub/rub098/a_stageii.npz", "CMU/01/01_01_poses.npz", "CMU/01/01_02_poses.npz")
    match = match_list(clips, read_list(path))
    assert match.indices.tolist() == [0, 1] and match.missing == ("CMU/01/none_poses.npz",)
    assert match.summary() == "2 of 3 lines match 2 clips of the store"


def test_running_numbers_are_refused_without_a_mapping() -> None:
    clips = records("KIT/3/kick_poses.npz")
    with pytest.raises(ConfigError, match="running numbers"):
        match_list(clips, ["dataset/KIT/3024.pt"])
    actual = match_list(
        clips, ["dataset/KIT/3024.pt"], mapping={"dataset/KIT/3024.pt": "KIT/3/kick_poses.npz"}
    )
    assert actual.indices.tolist() == [0]
    assert match_list(clips, ["KIT/3/3024.npz"]).missing == ("KIT/3/3024.npz",)


def test_unreadable_lists(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("empty.txt", "binary.txt", "none.txt"):
        with pytest.raises(InputError, match="split list"):
            read_list(tmp_path / name)


def test_the_lists_of_sage(data_folder: Path) -> None:
    folder = data_folder / "splits" / "sage"
    if not folder.is_dir():
        pytest.skip(f"no split lists at {folder}")
    counts = {"CMU_train": 1867, "CMU_test": 207, "BioMotionLab_NTroje_test": 307, "MPI_HDM05_train": 193}
    for name, count in counts.items():
        lines = read_list(folder / f"{name}.txt")
        assert len(lines) == count
        clips = records(*(canonical_name(Path("/raw") / line, Path("/raw")) for line in lines))
        match = match_list(clips, lines)
        assert not match.missing and len(match.indices) == count
    with pytest.raises(ConfigError, match="11756 lines"):
        match_list([], read_list(folder / "train_full_rand0.txt"))


def test_patterns_choose_whole_folders_under_any_alias(tmp_path):
    names = [
        "HumanEva/S1/a_poses.npz",
        "Transitions/b_poses.npz",
        "CMU/01/01_01_poses.npz",
        "CMU/02/02_01_poses.npz",
    ]
    clips = records(*names)
    listed = tmp_path / "list.txt"
    listed.write_text("CMU/02/02_01_poses.npz\n")
    lines = list_lines(["HumanEva/*", "Transitions_mocap/*", listed])
    match = match_list(clips, lines)
    assert match.indices.tolist() == [0, 1, 3] and not match.missing
    assert match_list(clips, ["SFU/*"]).missing == ("SFU/*",)
