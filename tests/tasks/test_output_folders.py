"""Every task with `output=` at the folder of its inputs: nothing that was there changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contrapposto.files import sha256
from contrapposto.io import write_motion
from contrapposto.synthetic import generate
from contrapposto.tasks.predict import compose, predict

Case = Callable[[Path], list[str]]


def clip_beside_its_namesakes(folder: Path) -> list[str]:
    """A clip called as results are called, with files of the other formats' names beside it."""
    motion = generate("walk", seconds=0.3, seed=0)
    for name in ("motion.bvh", "motion.npz", "error.json", "trackers.csv"):
        path = folder / name
        write_motion(path, motion) if path.suffix in (".bvh", ".npz") else path.write_text("mine")
    (folder / "motion.mp4").write_bytes(b"a film")
    (folder / "motion.glb").write_bytes(b"a character")
    return [f"input={folder / 'motion.bvh'}"]


CASES: dict[str, tuple[Case, list[str]]] = {
    "convert": (clip_beside_its_namesakes, ["task.formats=[npz,bvh,glb]"]),
    "trackers": (clip_beside_its_namesakes, []),
    "motion_error": (
        lambda folder: [*clip_beside_its_namesakes(folder), f"truth={folder / 'motion.npz'}"],
        ["task.video=false"],
    ),
}
"""By task: what writes its inputs into a folder and returns the options that name them, and further options."""


@pytest.mark.parametrize("task", CASES)
def test_nothing_that_was_there_changes(task: str, tmp_path: Path) -> None:
    make, more = CASES[task]
    options = make(tmp_path)
    before = {path: sha256(path) for path in tmp_path.rglob("*") if path.is_file()}
    given = [f"task={task}", f"output={tmp_path}", *options, *more]
    counts = []
    for _ in range(2):  # the second run replaces what the first one wrote, under the same names
        predict(compose(given))
        assert {path: sha256(path) for path in before} == before
        counts.append(sum(path.is_file() for path in tmp_path.rglob("*")))
    assert counts[0] == counts[1] > len(before) + 1
