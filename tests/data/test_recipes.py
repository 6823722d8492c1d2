"""The recipes on real files; skipped where there are none."""

from __future__ import annotations

import csv
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.prepare import prepare
from contrapposto.data.recipes.bandai import COMMIT, KNOWN
from contrapposto.data.recipes.cmu import CmuRecipe, read_index
from contrapposto.data.store import MotionStore
from contrapposto.errors import ConfigError, InputError, MissingError


@pytest.fixture
def raw(data_folder: Path) -> Path:
    return data_folder / "motion" / "raw"


def test_bandai(raw: Path, tmp_path: Path) -> None:
    report = prepare("bandai", raw=raw / "bandai", output=tmp_path / "s", workers=1)
    store = MotionStore.open(tmp_path / "s")
    assert report.clips == len(KNOWN) and not report.rejects
    clip = store.clips[store.index("dataset-2/dataset-2_walk-turn-left_active_001.bvh")]
    assert [label.text for label in clip.labels] == ["walk turn left"] and clip.metadata["style"] == "active"
    assert (clip.frames, clip.fps) == (130, 30.0)
    assert "NC" in store[0].metadata["licence"]
    heads = store[store.index(clip.name)].joint_positions()[:, 15, 2]
    assert (heads > 1.2).all() and (heads < 1.9).all(), "an upright figure of human size"


def test_cmu_with_labels(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(raw / "cmu", folder, copy_function=shutil.copyfile)
    (folder / "nested").mkdir()
    (folder / "02_04.amc").rename(folder / "nested" / "02_04.amc")
    (folder / "table.csv").write_text(
        'Subject,Trial #,Motion Description,framerate\n2,1,"walk, slowly",120\n,,remark,\n2,3,run,60\n'
    )
    report = prepare("cmu", raw=folder, output=tmp_path / "s", workers=1)
    store = MotionStore.open(tmp_path / "s")
    assert [(clip.name, clip.fps) for clip in store.clips] == [
        ("02/02_01.amc", 120.0),
        ("02/02_03.amc", 60.0),
    ]
    assert [label.text for clip in store.clips for label in clip.labels] == ["walk, slowly", "run"]
    assert [(reject.name, reject.reason) for reject in report.rejects] == [("02/02_04.amc", "unreadable")]
    assert "skeleton" in report.rejects[0].detail
    assert report.ignored[".bvh files"] == 1 and report.ignored["label files (used)"] == 1


def test_cmu_rates_without_a_table(data_folder: Path, tmp_path: Path) -> None:
    """The few subjects that the recipe knows to be at 60 frames/s are those of the database's index."""
    index = read_index(data_folder / "motion" / "cmu_labels_all_clips.csv")
    assert index is not None and len(index) > 2400
    from contrapposto.data.recipes.cmu import SLOW_CLIPS, SLOW_SUBJECTS

    slow = {key for key, (_, rate) in index.items() if rate == 60}
    assert slow == {key for key in index if key[0] in SLOW_SUBJECTS or key in SLOW_CLIPS}
    for name in ("60_01.amc", "02_01.amc", "136_19.amc", "136_18.amc"):
        (tmp_path / name).touch()
    rates = {source.name: source.parameters["fps"] for source in CmuRecipe().discover(tmp_path).sources}
    assert rates == {"60/60_01.amc": 60, "02/02_01.amc": 120, "136/136_19.amc": 60, "136/136_18.amc": 120}
    with pytest.raises(ConfigError, match="table"):
        CmuRecipe(labels=data_folder / "motion" / "index.csv")


def test_bandai_by_download(raw: Path, tmp_path: Path, server) -> None:
    top = f"Bandai-Namco-Research-Motiondataset-{COMMIT}/dataset"
    with zipfile.ZipFile(server.root / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((raw / "bandai").glob("*.bvh"))[:3]:
            archive.write(path, f"{top}/{path.name.split('_')[0]}/data/{path.name}")
        archive.writestr(f"{top}/movie.gif", b"not needed")
    server.cut_after, server.cuts = 100_000, 1
    options = {"url": f"{server.url}/archive.zip", "workers": 1, "output": tmp_path / "stores" / "s"}
    report = prepare("bandai", **options)
    store = MotionStore.open(tmp_path / "stores" / "s")
    assert report.clips == 3 and list(store.manifest["downloads"]) == [options["url"]]
    assert len(server.requests) == 2 and not list((tmp_path / "stores").rglob("*.gif"))
    assert prepare("bandai", **options).unchanged and len(server.requests) == 2

    local = prepare("bandai", raw=raw / "bandai", output=tmp_path / "local", workers=1)
    again = MotionStore.open(local.path)
    for index, clip in enumerate(store.clips):
        np.testing.assert_array_equal(store[index].rotations, again[again.index(clip.name)].rotations)


def test_a_download_of_other_files_is_noticed(raw: Path, tmp_path: Path, server) -> None:
    name = "dataset-1_bow_normal_001.bvh"
    with zipfile.ZipFile(server.root / "a.zip", "w") as archive:
        archive.writestr(f"x/{name}", (raw / "bandai" / name).read_bytes() + b"\n")
    with pytest.raises(InputError, match="another version"):
        prepare("bandai", output=tmp_path / "s", workers=1, url=f"{server.url}/a.zip")
    with pytest.raises(MissingError, match="404"):
        prepare("cmu", output=tmp_path / "t", workers=1, url=f"{server.url}/none.zip")


def test_cmu_by_download(raw: Path, tmp_path: Path, server) -> None:
    with zipfile.ZipFile(server.root / "allasfamc.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("02.asf", "02_01.amc"):
            archive.write(raw / "cmu" / name, f"all_asfamc/subjects/02/{name}")
    prepare(
        "cmu", output=tmp_path / "s", workers=1, url=f"{server.url}/allasfamc.zip", downloads=tmp_path / "d"
    )
    assert [clip.name for clip in MotionStore.open(tmp_path / "s").clips] == ["02/02_01.amc"]
    assert (tmp_path / "d" / "cmu" / "allasfamc.zip").is_file()


def test_amass_in_a_broad_folder(data_folder: Path, tmp_path: Path) -> None:
    """The converted clips, whose labels stand in a table, among files that are none of AMASS's."""
    folder = data_folder / "motion"
    report = prepare("amass", raw=folder / "cmu_mocap6", output=tmp_path / "s", workers=1)
    store = MotionStore.open(report.path)
    assert store.clips[0].labels[0].text == "JumpJack" and len(store.clips[0].labels) == 6
    with open(folder / "index.csv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["file"].startswith("bandai_1/"))
    shared = tmp_path / "raw"
    (shared / "bandai_1").mkdir(parents=True)
    for name in (row["file"], "index.csv"):
        shutil.copyfile(folder / name, shared / name)
    (shared / "unpacked.tar.bz2").write_bytes(b"x")
    report = prepare("amass", raw=shared, output=tmp_path / "t", workers=1)
    clip = MotionStore.open(report.path).clips[0]
    assert clip.labels[0].text == row["label"] and clip.metadata["style"] == row["style"]
    assert clip.frames == int(row["frames"]) and report.ignored[".tar.bz2 files"] == 1


def test_demo(tmp_path: Path, tree_hash) -> None:
    report = prepare("demo", output=tmp_path / "s", workers=1, minutes=0.3)
    store = MotionStore.open(tmp_path / "s")
    names = [clip.name for clip in store.clips]
    assert names[:2] == ["cmu/01_01", "cmu/01_03"] and len(names) > 4 and not report.rejects
    assert 60 + 18 < store.seconds < 60 + 18 + 21
    assert all(clip.labels and clip.fps == 60 for clip in store.clips)
    assert "mocap.cs.cmu.edu" in store[0].metadata["attribution"]
    assert store[len(store) - 1].metadata["licence"] == "CC0-1.0" and len(store.licences) >= 2
    prepare("demo", output=tmp_path / "t", workers=1, minutes=0.3)
    assert tree_hash(tmp_path / "s") == tree_hash(tmp_path / "t")
    prepare("demo", output=tmp_path / "u", workers=1, minutes=0.3, seed=1)
    assert MotionStore.open(tmp_path / "u").content_hash != store.content_hash
    with pytest.raises(ConfigError, match="raw"):
        prepare("demo", output=tmp_path / "v", raw=tmp_path)
    with pytest.raises(ConfigError, match="length"):
        prepare("demo", output=tmp_path / "v", minutes=-1)
