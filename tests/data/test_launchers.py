"""Preparation by Ray and in parts: the same store, whoever converts the clips."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from contrapposto.data.launchers import Launcher
from contrapposto.data.parts import prepare_part
from contrapposto.data.prepare import prepare
from contrapposto.errors import ConfigError, InputError, MissingError

ROOT = Path(__file__).parents[2]


def spoil(corpus: Path, clip_writer: Callable) -> None:
    """Sources that are refused at different moments: a copy, a short clip, broken bytes."""
    first = corpus / "CMU/CMU/00/00_01_poses.npz"
    (corpus / "CMU/CMU/05/copy_poses.npz").write_bytes(first.read_bytes())
    clip_writer(corpus / "CMU/CMU/05/short_poses.npz", 3)
    (corpus / "CMU/CMU/05/torn_poses.npz").write_bytes(first.read_bytes()[:3000])


def test_parts_give_the_same_store(corpus: Path, tmp_path: Path, tree_hash: Callable, clip_writer) -> None:
    spoil(corpus, clip_writer)
    whole = prepare("amass", raw=corpus, output=tmp_path / "whole", workers=1)
    parts = [prepare_part("amass", raw=corpus, output=tmp_path / "s", part=p, parts=5) for p in (3, 0, 4, 1)]
    assert not (tmp_path / "s").exists()
    again = prepare_part("amass", raw=corpus, output=tmp_path / "s", part=3, parts=5)
    assert again.converted == 0 and again.clips == parts[0].clips
    report = prepare(
        "amass", raw=corpus, output=tmp_path / "s", workers=1
    )  # converts the part that is missing too
    assert report.clips == whole.clips == 12 and len(report.rejects) == 3
    assert 0 < report.converted < 6
    assert tree_hash(tmp_path / "whole") == tree_hash(tmp_path / "s")
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "whole", "s", ".whole.lock", ".s.lock"}


def test_more_parts_than_clips(corpus: Path, tmp_path: Path) -> None:
    done = [prepare_part("amass", raw=corpus, output=tmp_path / "s", part=p, parts=20) for p in range(20)]
    assert [report.clips for report in done] == [1] * 12 + [0] * 8
    assert prepare("amass", raw=corpus, output=tmp_path / "s", workers=1).converted == 0


def test_the_store_is_not_put_together_under_a_running_part(corpus: Path, tmp_path: Path) -> None:
    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "converting" and done == 1:
            with pytest.raises(InputError, match=r"Part 1 of 2 .* another process"):
                prepare("amass", raw=corpus, output=tmp_path / "s", workers=1)
            with pytest.raises(InputError, match=r"Part 1 of 2 .* another process"):
                prepare_part("amass", raw=corpus, output=tmp_path / "s", part=1, parts=2)
            prepare_part("amass", raw=corpus, output=tmp_path / "s", part=0, parts=2)

    prepare_part("amass", raw=corpus, output=tmp_path / "s", part=1, parts=2, progress=meddle)
    assert prepare("amass", raw=corpus, output=tmp_path / "s", workers=1).converted == 0


def test_refused_parts(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no part 2 of 2"):
        prepare_part("amass", raw=corpus, output=tmp_path / "s", part=2, parts=2)
    with pytest.raises(ConfigError, match="would download"):
        prepare_part("cmu", output=tmp_path / "s", part=0, parts=2)
    with pytest.raises(MissingError, match="raw="):
        prepare_part("amass", output=tmp_path / "s", part=0, parts=2)
    assert {path.name for path in tmp_path.iterdir()} == {"raw"}


def entry_point(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "prepare.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def in_this_process(*arguments: str) -> None:
    from cli.launch import compose_config
    from cli.prepare import prepare as prepare_command

    prepare_command(compose_config("prepare", arguments))


@pytest.mark.slow
def test_array_tasks_of_the_command(
    corpus: Path, tmp_path: Path, tree_hash: Callable, clip_writer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two tasks at the same time, as SLURM starts them with --array=10-12:2, then the ordinary command."""
    spoil(corpus, clip_writer)
    prepare("amass", raw=corpus, output=tmp_path / "whole", workers=1)
    command = ("data=amass", f"raw={corpus}", f"paths.stores={tmp_path / 'stores'}", "workers=1")
    slurm = {
        f"SLURM_ARRAY_TASK_{name}": value for name, value in (("COUNT", "2"), ("MIN", "10"), ("STEP", "2"))
    }
    tasks = [
        entry_point(*command, "launcher=slurm_array", **slurm, SLURM_ARRAY_TASK_ID=str(n)) for n in (10, 12)
    ]
    said = [task.communicate(timeout=120)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert "part 0 of 2: 7 of 7 clips" in said[0] and "part 1 of 2: 6 of 6 clips" in said[1]
    in_this_process(*command)
    assert "0 clips converted, 12 kept" in capsys.readouterr().out
    assert tree_hash(tmp_path / "stores" / "amass") == tree_hash(tmp_path / "whole")


def test_the_command_asks_for_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ID", "COUNT"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    options = [f"paths.stores={tmp_path}", "launcher=slurm_array"]
    with pytest.raises(ConfigError, match="does not know its part"):
        in_this_process("data=demo", *options)
    with pytest.raises(ConfigError, match="for stores of motion"):
        in_this_process("data=anerf_scene", *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="needs the package ray"):
        prepare("amass", raw=corpus, output=tmp_path / "s", launcher=Launcher("ray"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray")
def test_ray_gives_the_same_store(
    corpus: Path, tmp_path: Path, tree_hash: Callable, clip_writer, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(corpus, clip_writer)
    prepare("amass", raw=corpus, output=tmp_path / "whole", workers=1)
    stores = f"paths.stores={tmp_path / 'stores'}"
    in_this_process("data=amass", f"raw={corpus}", stores, "launcher=ray", "launcher.workers=2")
    assert "12 clips converted" in capsys.readouterr().out
    assert tree_hash(tmp_path / "stores" / "amass") == tree_hash(tmp_path / "whole")
