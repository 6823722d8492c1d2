"""Output folders: what exists is never replaced, except by the command that wrote it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contrapposto.errors import InputError
from contrapposto.files import atomic_path, sha256
from contrapposto.outputs import RECORD, Outputs, existing_paths, free_stem, note_model


def put(path: Path, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text)
    return path


def test_a_file_of_the_user_is_not_replaced(tmp_path):
    mine = tmp_path / "walk.bvh"
    mine.write_text("mine")
    with (
        pytest.raises(InputError, match="did not write it: it is an input"),
        Outputs(tmp_path, "t", {"input": mine}),
    ):
        put(mine, "theirs")
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(InputError, match="overwrite=true"), Outputs(tmp_path, "t", {"input": mine}):
        put(other, "theirs")
    with pytest.raises(InputError, match="it is an input"), Outputs(tmp_path / "out", "t", {"input": mine}):
        put(mine, "an input outside of the output folder")
    assert mine.read_text() == other.read_text() == "mine"
    with Outputs(tmp_path, "t", {"input": mine}, overwrite=True):
        put(mine, "asked for")
    assert mine.read_text() == "asked for"


def test_the_same_command_replaces_its_own_files_and_no_other_command_does(tmp_path):
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    for path in (first, second):
        path.write_text("clip")
    out = tmp_path / "out"
    for text in ("one", "two"):
        with Outputs(out, "convert", {"input": first}):
            put(out / "clip.bvh", text)
    assert (out / "clip.bvh").read_text() == "two"
    for task, source in (("convert", second), ("render", first)):
        with pytest.raises(InputError, match="did not write"), Outputs(out, task, {"input": source}):
            put(out / "clip.bvh", "three")
    (out / "clip.bvh").write_text("edited by hand")
    with pytest.raises(InputError, match="did not write"), Outputs(out, "convert", {"input": first}):
        put(out / "clip.bvh", "four")
    assert (out / "clip.bvh").read_text() == "edited by hand"


def test_a_folder_is_replaced_only_if_all_of_it_is_ours(tmp_path):
    def write(*names: str) -> None:
        with Outputs(tmp_path, "t"), atomic_path(tmp_path / "frames", directory=True) as folder:
            for name in names:
                (folder / name).write_text(name)

    write("1.png", "2.png")
    write("1.png")
    assert [file.name for file in (tmp_path / "frames").iterdir()] == ["1.png"]
    (tmp_path / "frames" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine\.txt"):
        write("1.png")
    assert (tmp_path / "frames" / "mine.txt").exists()


def test_frames_of_a_longer_run_are_removed_and_files_of_the_user_stay(tmp_path):
    for count in (3, 2):
        with Outputs(tmp_path, "t"):
            for number in range(count):
                put(tmp_path / "ball_obj" / f"{number}.obj", "v")
        (tmp_path / "ball_obj" / "mine.obj").write_text("mine")
    assert sorted(file.name for file in (tmp_path / "ball_obj").iterdir()) == ["0.obj", "1.obj", "mine.obj"]


def test_free_names(tmp_path, capsys):
    (tmp_path / "walk.bvh").write_text("mine")
    with Outputs(tmp_path, "t"):
        assert free_stem(tmp_path / "walk", [".npz"]).name == "walk"
        assert free_stem(tmp_path / "walk", [".npz"]).name == "walk_2"  # of another target of equal stem
        assert free_stem(tmp_path / "walk", [".npz", ".bvh"], "smplh").name == "walk_smplh"
        put(tmp_path / "walk_smplh.bvh", "ours")
    assert "walk_smplh" in capsys.readouterr().out
    with Outputs(tmp_path, "t"):
        assert free_stem(tmp_path / "walk", [".bvh"], "smplh").name == "walk_smplh"  # ours: replaced
    with Outputs(tmp_path, "other"):
        assert free_stem(tmp_path / "walk", [".bvh"], "smplh").name == "walk_smplh_2"
    assert free_stem(tmp_path / "walk", [".bvh"]).name == "walk_2"  # without an open command


def test_the_record_says_where_files_come_from(tmp_path):
    clip = tmp_path / "clip.npz"
    clip.write_text("clip")
    weights = put(tmp_path / "weights.ckpt", "weights")
    with pytest.raises(RuntimeError), Outputs(tmp_path / "out", "t", {"input": clip}, {"seed": 3}):
        put(tmp_path / "out" / "a.txt", "a")
        note_model("sage", weights, "free")
        raise RuntimeError
    (entry,) = json.loads((tmp_path / "out" / RECORD).read_text())["results"]
    assert entry["status"] == "stopped" and entry["options"] == {"seed": 3}
    assert entry["inputs"]["input"]["sha256"] == sha256(clip)
    assert entry["models"] == [
        {"name": "sage", "file": "weights.ckpt", "sha256": sha256(weights), "licence": "free"}
    ]
    assert entry["files"] == {"a.txt": sha256(tmp_path / "out" / "a.txt")}
    with Outputs(tmp_path / "out", "t", {"input": clip}):
        put(tmp_path / "out" / "a.txt", "b")  # a stopped command may go on


def test_files_of_a_killed_run_are_known_again(tmp_path):
    code = f"""
import os
from pathlib import Path
from contrapposto.files import atomic_path
from contrapposto.outputs import Outputs
out = Path({str(tmp_path)!r})
with Outputs(out, "t"):
    for name in ("a.txt", "b.txt"):
        with atomic_path(out / name) as temporary:
            temporary.write_text(name)
    with atomic_path(out / "frames", directory=True) as folder:
        (folder / "1.png").write_text("1")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not (tmp_path / RECORD).exists()
    (tmp_path / "b.txt").write_text("edited by hand")
    with Outputs(tmp_path, "other"):
        assert free_stem(tmp_path / "a", [".txt"]).name == "a_2"
    with Outputs(tmp_path, "t"):
        assert free_stem(tmp_path / "a", [".txt"]).name == "a"
        assert free_stem(tmp_path / "b", [".txt"]).name == "b_2"
        put(tmp_path / "a.txt", "again")
    (entry,) = json.loads((tmp_path / RECORD).read_text())["results"]
    assert set(entry["files"]) == {"a.txt", "frames/1.png"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_training_run_is_no_output_folder(tmp_path):
    (tmp_path / RECORD).write_text('{"format": 1, "status": "running"}')
    with pytest.raises(InputError, match="not a record of predictions"), Outputs(tmp_path, "t"):
        pass


def test_inputs_are_found_among_the_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("clip.npz", "demo"):
        (tmp_path / name).write_text("")
    options = {"input": "clip.npz", "output": "demo", "task": {"data": "demo", "past": "clip.npz", "x": None}}
    assert existing_paths(options) == {"input": Path("clip.npz"), "task.past": Path("clip.npz")}
