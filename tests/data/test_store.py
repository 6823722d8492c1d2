from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.arrays import NpyWriter, open_rows
from contrapposto.data.prepare import prepare
from contrapposto.data.store import ClipRecord, MotionStore
from contrapposto.errors import InputError, MissingError
from contrapposto.motion import Label


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> MotionStore:
    prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    return MotionStore.open(tmp_path / "store")


def test_clips_are_those_of_the_files(store: MotionStore, corpus: Path) -> None:
    assert [clip.name for clip in store.clips] == sorted(
        [f"CMU/{n:02d}/{n:02d}_01_poses.npz" for n in range(6)]
        + [f"HDM05/dg/HDM {n}_poses.npz" for n in range(6)]
    )
    for clip, motion in zip(store.clips, store):
        file = next(corpus.rglob(Path(clip.name).name))
        with np.load(file) as arrays:
            expected = arrays["poses"].astype(np.float32).reshape(-1, 52, 3)
            np.testing.assert_array_equal(motion.rotations, expected)
            np.testing.assert_array_equal(motion.root_translation, arrays["trans"].astype(np.float32))
            np.testing.assert_array_equal(motion.betas, arrays["betas"].astype(np.float32))
            assert motion.fps == arrays["mocap_framerate"]
        assert motion.gender == "female" and motion.num_frames == clip.frames
        assert motion.metadata["name"] == clip.name and "AMASS" in motion.metadata["licence"]


def test_numbering_and_pickling(store: MotionStore) -> None:
    assert store.index(store.clips[3].name) == 3
    np.testing.assert_array_equal(store[-1].rotations, store[len(store) - 1].rotations)
    with pytest.raises(IndexError):
        store[len(store)]
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again[2].rotations, store[2].rotations)
    assert again.content_hash == store.content_hash
    assert len(pickle.dumps(store)) < 50_000, "the arrays themselves must not travel"
    store.verify()


def test_content_hash_follows_the_content(corpus: Path, tmp_path: Path, clip_writer) -> None:
    prepare("amass", raw=corpus, output=tmp_path / "a", workers=1)
    (corpus / "notes.txt").write_text("ignored files do not change it")
    prepare("amass", raw=corpus, output=tmp_path / "b", workers=1)
    clip_writer(corpus / "CMU/CMU/00/00_01_poses.npz", 20, seed=99)
    prepare("amass", raw=corpus, output=tmp_path / "c", workers=1)
    a, b, c = (MotionStore.open(tmp_path / name).content_hash for name in "abc")
    assert a == b != c


def test_record_survives_json() -> None:
    betas = tuple(float(str(np.float32(value))) for value in (0.1, -1 / 3))
    record = ClipRecord(
        "a/b.npz", "00", 7, 59.94, "male", betas, (Label("walk", 0.0, 0.1),), {"style": "old"}
    )
    assert ClipRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize(
    "damage", ["truncated", "missing", "version", "older", "json", "other", "dtype", "pickle"]
)
def test_damaged_stores_are_refused(store: MotionStore, damage: str) -> None:
    array, manifest = store.path / "rotations.npy", store.path / "manifest.json"
    value = json.loads(manifest.read_text())
    if damage == "truncated":
        array.write_bytes(array.read_bytes()[:-1000])
    elif damage == "missing":
        array.unlink()
    elif damage == "dtype":
        np.save(array, np.load(array).astype(np.float64))
    elif damage == "pickle":
        np.save(array, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif damage == "json":
        manifest.write_text(manifest.read_text()[:500])
    else:
        value.update({"version": {"version": 2}, "older": {"version": 0}, "other": {"schema": "x"}}[damage])
        manifest.write_text(json.dumps(value))
    expected = {"version": "newer release", "older": "older release"}.get(damage, "store")
    with pytest.raises(InputError, match=expected):
        MotionStore.open(store.path)


def test_missing_store_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"python prepare\.py"):
        MotionStore.open(tmp_path)


def test_verify_finds_a_changed_byte(store: MotionStore) -> None:
    data = bytearray((store.path / "rotations.npy").read_bytes())
    data[-1] ^= 1
    (store.path / "rotations.npy").write_bytes(bytes(data))
    with pytest.raises(InputError, match="damaged"):
        MotionStore.open(store.path).verify()


def test_npy_writer_writes_what_numpy_reads(tmp_path: Path) -> None:
    rows = np.arange(60, dtype=np.float64).reshape(10, 2, 3)
    with NpyWriter(tmp_path / "a.npy", np.float32, (2, 3)) as writer:
        writer.append(rows[:4])
        writer.append(rows[4:][::-1])
        facts = writer.close()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.concatenate([rows[:4], rows[4:][::-1]]))
    assert facts["shape"] == [10, 2, 3] and facts["dtype"] == "<f4"
    with NpyWriter(tmp_path / "empty.npy", np.float32, (2, 3)) as writer:
        writer.close()
    assert open_rows(tmp_path / "empty.npy").shape == (0, 2, 3)
    with (
        NpyWriter(tmp_path / "b.npy", np.float32, (2,)) as writer,
        pytest.raises(ValueError, match="rows of shape"),
    ):
        writer.append(rows)
