from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from contrapposto.data.convert import Reject, Task, convert, load_result
from contrapposto.data.prepare import prepare
from contrapposto.data.recipes import Source
from contrapposto.data.recipes.amass import AmassRecipe
from contrapposto.data.store import MotionStore
from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError

SCRIPT = """
import sys
from contrapposto.data.prepare import prepare
if __name__ == "__main__":
    def progress(stage, done, total):
        print(stage, done, flush=True)
    prepare("amass", raw=sys.argv[1], output=sys.argv[2], workers=int(sys.argv[3]), progress=progress)
    print("finished", flush=True)
"""


def start(script: Path, raw: Path, output: Path, workers: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(raw), str(output), str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "run.py"
    path.write_text(SCRIPT)
    return path


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_rejects_are_reported_with_reasons(corpus: Path, tmp_path: Path, clip_writer) -> None:
    bad = corpus / "CMU" / "bad"
    clip_writer(bad / "short.npz", 4)
    clip_writer(bad / "rate.npz", 30, fps=0.0)
    clip_writer(bad / "fast.npz", 30, fps=48000.0)
    poses = np.zeros((30, 156))
    poses[7] = np.nan
    clip_writer(bad / "nan.npz", 30, poses=poses)
    clip_writer(bad / "shape.npz", 30, mocap_framerate=None)
    clip_writer(bad / "width.npz", 30, poses=np.zeros((30, 150)))
    clip_writer(bad / "copy.npz", 20, seed=0)
    (bad / "truncated.npz").write_bytes((corpus / "CMU/CMU/05/05_01_poses.npz").read_bytes()[:20000])
    (bad / "text.npz").write_text("not an archive")
    (bad / "empty.npz").write_bytes(b"")
    (bad / "notes.txt").write_text("hello")
    # the bytes of the first good clip, so this is the duplicate whatever the order of writing in the archive
    shutil.copy(corpus / "CMU/CMU/00/00_01_poses.npz", bad / "copy.npz")

    report = prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)

    reasons = {Path(reject.name).name: reject.reason for reject in report.rejects}
    assert reasons == {
        "short.npz": "too short",
        "rate.npz": "frame rate",
        "fast.npz": "frame rate",
        "nan.npz": "not finite",
        "width.npz": "unreadable",
        "copy.npz": "duplicate",
        "truncated.npz": "unreadable",
        "text.npz": "unreadable",
        "empty.npz": "unreadable",
    }
    assert report.ignored == {"npz files without a frame rate": 1, ".txt files": 1}
    assert report.clips == 12
    manifest = (tmp_path / "store" / "manifest.json").read_text()
    assert len(json.loads(manifest)["rejects"]) == 9
    assert str(tmp_path) not in manifest, "nothing of this machine in a store"
    assert "9 rejected" in report.summary()


def test_hostile_npz(corpus: Path, tmp_path: Path, clip_writer) -> None:
    marker = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    clip_writer(corpus / "pickle.npz", poses=np.array([Bomb()], dtype=object))
    with zipfile.ZipFile(corpus / "claims.npz", "w") as archive:
        header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 156), }"
        start = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
        archive.writestr("poses.npy", start + header.ljust(117).encode() + b"\n")
        for name in ("trans", "mocap_framerate"):
            archive.writestr(f"{name}.npy", b"")
    report = prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    assert sorted(reject.name for reject in report.rejects) == ["claims.npz", "pickle.npz"]
    assert not marker.exists()


def test_a_header_that_promises_too_much(corpus: Path, tmp_path: Path, clip_writer) -> None:
    clip = clip_writer(corpus / "short.npz", 4)
    task = Task(Source("short.npz", (clip,)), "0", 100)
    convert(AmassRecipe(), task, tmp_path, corpus)
    result = load_result(tmp_path, task.key(AmassRecipe()))
    assert isinstance(result, Reject) and result.reason == "too short"


def test_names_taken_twice(corpus: Path, tmp_path: Path, clip_writer) -> None:
    clip_writer(corpus / "HDM05" / "dg" / "HDM 1_poses.npz", 99)
    report = prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    assert [reject.reason for reject in report.rejects] == ["name taken"]


def test_nothing_to_do_the_second_time(
    corpus: Path, tmp_path: Path, tree_hash: Callable, clip_writer
) -> None:
    first = prepare("amass", raw=corpus, output=tmp_path / "stores/s", workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "stores/s").iterdir()}
    again = prepare("amass", raw=corpus, output=tmp_path / "stores/s", workers=1)
    assert not first.unchanged and again.unchanged and "nothing was done" in again.summary()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "stores/s").iterdir()} == before
    assert left_over(tmp_path / "stores") <= {"s", ".s.lock"}

    clip_writer(corpus / "KIT" / "1" / "new_poses.npz")
    changed = prepare("amass", raw=corpus, output=tmp_path / "stores/s", workers=1)
    assert changed.clips == 13 and not changed.unchanged
    prepare("amass", raw=corpus, output=tmp_path / "stores/t", workers=1)
    assert tree_hash(tmp_path / "stores/s") == tree_hash(tmp_path / "stores/t")


def test_the_raw_folder_may_lie_anywhere(
    corpus: Path, tmp_path: Path, tree_hash: Callable, monkeypatch
) -> None:
    prepare("amass", raw=corpus, output=tmp_path / "a", workers=1)
    shutil.move(corpus, tmp_path / "else where")
    monkeypatch.chdir(tmp_path)
    prepare("amass", raw="else where", output="b", workers=1)
    assert tree_hash(tmp_path / "a") == tree_hash(tmp_path / "b")


@pytest.mark.slow
def test_processes_change_nothing(corpus: Path, tmp_path: Path, tree_hash: Callable) -> None:
    prepare("amass", raw=corpus, output=tmp_path / "one", workers=1)
    prepare("amass", raw=corpus, output=tmp_path / "two", workers=2)
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")


@pytest.mark.slow
def test_killed_at_random_moments(
    corpus: Path, tmp_path: Path, script: Path, tree_hash: Callable, clip_writer
) -> None:
    for number in range(60):
        clip_writer(corpus / "KIT" / "3" / f"{number}_poses.npz", 300, seed=1000 + number)
    prepare("amass", raw=corpus, output=tmp_path / "whole", workers=1)
    chance = random.Random(int(os.environ.get("CONTRAPPOSTO_KILL_SEED", "0")))
    seen = []
    for stage, low, high in (("converting", 1, 36), ("converting", 40, 72), ("assembling", 1, 72)):
        process = start(script, corpus, tmp_path / "killed")
        assert process.stdout is not None
        stop = chance.randint(low, high)
        for line in process.stdout:
            name, _, number = line.strip().partition(" ")
            if name == stage and int(number) >= stop:
                break
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.append(line.strip())
        if stage == "converting":
            assert not (tmp_path / "killed").exists()
    report = prepare("amass", raw=corpus, output=tmp_path / "killed", workers=2)
    assert report.resumed == 72 or report.unchanged, seen
    assert tree_hash(tmp_path / "whole") == tree_hash(tmp_path / "killed"), seen
    assert not (tmp_path / "killed.partial").exists()


def children(pid: int) -> list[int]:
    result = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                result.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return result


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_workers_end_with_a_killed_parent(corpus: Path, tmp_path: Path, script: Path, clip_writer) -> None:
    for number in range(200):
        clip_writer(corpus / "KIT" / "3" / f"{number}_poses.npz", 200, seed=1000 + number)
    process = start(script, corpus, tmp_path / "store")
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("converting"))
    workers = children(process.pid)
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_two_at_a_time_are_refused(corpus: Path, tmp_path: Path, script: Path, tree_hash: Callable) -> None:
    errors = []

    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "converting" and done == 3:
            with pytest.raises(InputError, match="another process") as caught:
                prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
            errors.append(caught.value)

    report = prepare("amass", raw=corpus, output=tmp_path / "store", workers=1, progress=meddle)
    assert report.clips == 12
    assert f"process {os.getpid()}" in errors[0].found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr!r}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_too_small_a_disk_is_seen_before_the_work(corpus: Path, small_disk: Path, clip_writer) -> None:
    clip_writer(corpus / "KIT" / "1" / "long_poses.npz", 3000)
    with pytest.raises(InputError, match="not enough space"):
        prepare("amass", raw=corpus, output=small_disk / "store", workers=1)
    assert left_over(small_disk) <= {".store.lock"}


@pytest.mark.parametrize("stage", ["converting", "assembling"])
def test_disk_that_fills_up_during_the_work(
    corpus: Path, small_disk: Path, tmp_path: Path, stage: str, tree_hash: Callable
) -> None:
    filler = small_disk / "filler"

    def fill(now: str, done: int, total: int) -> None:
        if now == stage and done == 2:
            with open(filler, "wb") as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(4096))
                    file.flush()

    with pytest.raises(InputError, match="disk is full"):
        prepare("amass", raw=corpus, output=small_disk / "store", workers=1, progress=fill)
    assert left_over(small_disk) <= {".store.lock", "store.partial", "filler"}
    assert left_over(small_disk / "store.partial") == {"clips"}
    filler.unlink()
    assert prepare("amass", raw=corpus, output=small_disk / "store", workers=1).resumed >= 2
    prepare("amass", raw=corpus, output=tmp_path / "whole", workers=1)
    assert tree_hash(small_disk / "store") == tree_hash(tmp_path / "whole")


def test_read_only_output(corpus: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match="cannot be written"):
        prepare("amass", raw=corpus, output=small_disk / "deep" / "store", workers=1)
    assert left_over(small_disk) == set()


def test_refused_outputs(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("precious")
    for output in ("file", "folder"):
        with pytest.raises(ConfigError, match="not a motion store"):
            prepare("amass", raw=corpus, output=tmp_path / output, workers=1)
    with pytest.raises(InputError, match="cannot be made"):
        prepare("amass", raw=corpus, output=tmp_path / "file" / "store", workers=1)
    if Path("/proc").is_dir():
        with pytest.raises(InputError, match="cannot be made"):
            prepare("amass", raw=corpus, output="/proc/folder/store", workers=1)
    prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    manifest["recipe"]["name"] = "cmu"
    (tmp_path / "store" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="another recipe"):
        prepare("amass", raw=corpus, output=tmp_path / "store", workers=1)
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "precious"


def test_refused_inputs(tmp_path: Path, clip_writer) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(MissingError, match="empty folder"):
        prepare("amass", raw=empty, output=tmp_path / "s")
    with pytest.raises(MissingError, match="nothing there"):
        prepare("amass", raw=tmp_path / "none", output=tmp_path / "s")
    with pytest.raises(MissingError, match="raw="):
        prepare("amass", output=tmp_path / "s")
    with pytest.raises(ConfigError, match="amass"):
        prepare("amas", raw=empty, output=tmp_path / "s")
    with pytest.raises(ConfigError, match="subsets"):
        prepare("amass", raw=empty, output=tmp_path / "s", subset=["CMU"])
    with pytest.raises(ConfigError, match="CMU"):
        prepare("amass", raw=empty, output=tmp_path / "s", subsets=["CMUU"])
    clip_writer(empty / "bad.npz", 3)
    with pytest.raises(InputError, match="None of the 1 sources") as caught:
        prepare("amass", raw=empty, output=tmp_path / "s")
    assert isinstance(caught.value, ContrappostoError) and "too short" in caught.value.found
    assert left_over(tmp_path) <= {"empty", ".s.lock"}


def test_subsets_and_labels(corpus: Path, tmp_path: Path) -> None:
    clip = corpus / "CMU" / "CMU" / "03" / "03_01_poses.npz"
    clip.with_suffix(".json").write_text(
        json.dumps(
            {
                "frame_ann": [
                    {"act": "walk", "start_t": 0.1, "end_t": 0.2},
                    {"act": "sit", "start_t": 0.2, "end_t": 0.3},
                ]
            }
        )
    )
    (corpus / "CMU" / "index.csv").write_text(
        'file,label,style\nCMU/02/02_01_poses.npz,"run, fast",old\nCMU/03/03_01_poses.npz,never used,\n'
    )
    (corpus / "CMU" / "CMU" / "04" / "04_01_poses.json").write_text("{broken")
    report = prepare("amass", raw=corpus, output=tmp_path / "s", workers=1, subsets=["CMU"])
    assert report.clips == 6
    assert report.ignored["clips of other subsets"] == 6
    assert report.ignored["label files that could not be read"] == 1
    store = MotionStore.open(tmp_path / "s")
    labels = {clip.name: [(x.text, x.start, x.end) for x in clip.labels] for clip in store.clips}
    assert labels["CMU/02/02_01_poses.npz"] == [("run, fast", 0.0, pytest.approx(22 / 60))]
    assert labels["CMU/03/03_01_poses.npz"] == [("walk", 0.1, 0.2), ("sit", 0.2, 0.3)]
    assert store.clips[2].metadata["style"] == "old" and store.clips[2].metadata["subject"] == "CMU/02"
    assert store.manifest["recipe"]["options"] == {"subsets": ["CMU"]}
