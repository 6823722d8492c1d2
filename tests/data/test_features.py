from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.features import FeatureCache, stride_resample
from contrapposto.data.prepare import prepare
from contrapposto.data.store import MotionStore
from contrapposto.errors import InputError
from contrapposto.motion import Motion


def velocities(motion: Motion) -> dict[str, np.ndarray]:
    """Two arrays, one row shorter than the clip."""
    if motion.metadata["name"].endswith("03_01_poses.npz"):
        raise InputError("this one cannot be used")
    calls = Path(motion.metadata.get("calls", "/nonexistent"))
    if calls.is_dir():
        (calls / motion.metadata["name"].replace("/", "_")).touch()
    return {
        "root": motion.root_translation[1:] - motion.root_translation[:-1],
        "pose": motion.rotations[1:, :22],
    }


def counted(motion: Motion) -> dict[str, np.ndarray]:
    counted.calls += 1
    return velocities(motion)


counted.calls = 0


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> MotionStore:
    prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    return MotionStore.open(tmp_path / "store")


def test_rows_belong_to_their_clips(store: MotionStore) -> None:
    cache = FeatureCache.build(store, "v", 1, velocities, resample="none")
    for index, motion in enumerate(store):
        if store.clips[index].name.endswith("03_01_poses.npz"):
            assert cache.lengths[index] == 0
            continue
        clip = cache.clip(index)
        np.testing.assert_array_equal(clip["root"], np.diff(motion.root_translation, axis=0))
        np.testing.assert_array_equal(clip["pose"], motion.rotations[1:, :22])
    assert cache.skipped == {"CMU/03/03_01_poses.npz": "this one cannot be used"}
    window = cache.reader("root").read(np.array([2]), np.array([1]), 10)
    np.testing.assert_array_equal(window["root"][0], cache.clip(2)["root"][1:11])


def test_a_cache_is_found_again_and_never_mistaken(store: MotionStore, corpus: Path, clip_writer) -> None:
    counted.calls = 0
    first = FeatureCache.build(store, "v", 1, counted)
    assert counted.calls == 12
    assert FeatureCache.build(store, "v", 1, counted).path == first.path and counted.calls == 12
    others = [
        FeatureCache.build(store, "v", 2, counted),
        FeatureCache.build(store, "v", 1, counted, fps=30),
        FeatureCache.build(store, "v", 1, counted, resample="stride"),
        FeatureCache.build(store, "v", 1, counted, options={"body": "male"}),
    ]
    assert len({cache.path for cache in (first, *others)}) == 5 and counted.calls == 60
    clip_writer(corpus / "KIT" / "new_poses.npz")
    prepare("amass", raw=corpus, output=store.path, workers=1)
    changed = FeatureCache.build(MotionStore.open(store.path), "v", 1, counted)
    assert len(changed.lengths) == 13 and changed.path != first.path
    assert not list((store.path / "features").glob("*.partial"))


@pytest.mark.slow
def test_processes_change_nothing(store: MotionStore, tmp_path: Path) -> None:
    one = FeatureCache.build(store, "v", 1, velocities, root=tmp_path / "one")
    two = FeatureCache.build(store, "v", 1, velocities, root=tmp_path / "two", workers=2)
    for name in one.names:
        assert (one.path / f"{name}.npy").read_bytes() == (two.path / f"{name}.npy").read_bytes()
    assert (one.path / "features.json").read_bytes() == (two.path / "features.json").read_bytes()


SCRIPT = """
import sys
import time
from pathlib import Path
from contrapposto.data.features import FeatureCache
from contrapposto.data.store import MotionStore

def function(motion):
    time.sleep(0.02)
    with open(sys.argv[2], "a") as file:
        file.write("x")
    return {"root": motion.root_translation}

store = MotionStore.open(sys.argv[1])
Path(sys.argv[3]).touch()
while len(list(Path(sys.argv[3]).parent.glob("ready*"))) < 3:
    time.sleep(0.001)
FeatureCache.build(store, "shared", 1, function)
"""


@pytest.mark.slow
def test_of_several_processes_one_builds(store: MotionStore, tmp_path: Path) -> None:
    (tmp_path / "build.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "build.py"), str(store.path), str(tmp_path / "log")]
    processes = [subprocess.Popen([*command, str(tmp_path / f"ready{n}")]) for n in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text()) == len(store)


def test_bad_features_are_refused_and_leave_nothing(store: MotionStore) -> None:
    def build(function) -> None:
        FeatureCache.build(store, "bad", 1, function)

    with pytest.raises(InputError, match="not finite"):
        build(lambda motion: {"a": np.full((motion.num_frames, 2), np.nan)})
    with pytest.raises(InputError, match="fit together"):
        build(lambda motion: {"a": np.zeros((5, 2)), "b": np.zeros((6, 2))})
    with pytest.raises(InputError, match="No clip"):
        build(lambda motion: (_ for _ in ()).throw(InputError("never")))
    with pytest.raises(ZeroDivisionError):
        build(lambda motion: 1 / 0)  # a bug keeps its traceback
    assert not [path for path in (store.path / "features").iterdir() if not path.name.endswith(".lock")]


def test_a_damaged_cache_says_what_to_do(store: MotionStore) -> None:
    cache = FeatureCache.build(store, "v", 1, velocities)
    (cache.path / "features.json").write_text(json.dumps({"arrays": {}}))
    with pytest.raises(InputError, match="damaged"):
        FeatureCache.build(store, "v", 1, velocities)


@pytest.mark.parametrize(
    ("fps", "stride"), [(120, 2), (60, 1), (100, 2), (250, 4), (59, 1), (30, 1), (200, 3)]
)
def test_stride_is_that_of_the_sheet(fps: float, stride: int) -> None:
    generator = np.random.default_rng(0)
    motion = Motion(generator.normal(size=(50, 52, 3)), generator.normal(size=(50, 3)), fps)
    result = stride_resample(motion)
    assert result.fps == 60
    np.testing.assert_array_equal(result.rotations, motion.rotations[::stride])
    np.testing.assert_array_equal(result.root_translation, motion.root_translation[::stride])


def test_sage_features_fit_in(store: MotionStore) -> None:
    from contrapposto.systems.sage.features import sage_features

    cache = FeatureCache.build(store, "sage", 1, sage_features, resample="stride")
    assert cache.array("sparse").shape[1:] == (3, 18)
    assert (cache.lengths == [-(-clip.frames // round(clip.fps / 60)) - 1 for clip in store.clips]).all()
    expected = sage_features(stride_resample(store[8]))
    np.testing.assert_array_equal(cache.clip(8)["joint_features"], expected["joint_features"].numpy())
