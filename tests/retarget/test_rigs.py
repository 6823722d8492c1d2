"""Names x rest poses x axes and units: every file shows the same movement, or is refused; none is silently wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.io import read_motion
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate
from tests.retarget.rigs import FAMILIES, RESTS, WORLDS, bvh_text

LIMIT = 1e-3  # metres


@pytest.fixture(scope="module")
def clip() -> Motion:
    return generate("walk", seconds=2, seed=3).to_skeleton(SMPL22).resample(4)


def error(clip: Motion, path: Path, *case: str) -> float | None:
    """Largest distance of a joint from the truth, in metres; None where the file is refused."""
    path.write_text(bvh_text(clip, *case), encoding="utf-8")
    try:
        joints = read_motion(path).joint_positions()[:, :22]
    except InputError:
        return None
    return float(np.linalg.norm(joints - clip.joint_positions(), axis=-1).max())


def check(clip: Motion, path: Path, cases: list[tuple[str, str, str]]) -> None:
    errors = {case: error(clip, path, *case) for case in cases}
    wrong = {case: value for case, value in errors.items() if value is not None and value > LIMIT}
    refused = [case for case, value in errors.items() if value is None]
    assert not wrong
    assert not refused


@pytest.mark.parametrize("rest", RESTS)
def test_every_family_in_every_rest_pose(rest: str, clip: Motion, tmp_path: Path) -> None:
    worlds = list(WORLDS)
    cases = [
        (family, rest, worlds[(number + RESTS.index(rest)) % len(worlds)])
        for number, family in enumerate(FAMILIES)
    ]
    check(clip, tmp_path / "clip.bvh", cases)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_matrix(family: str, clip: Motion, tmp_path: Path) -> None:
    check(clip, tmp_path / "clip.bvh", [(family, rest, world) for rest in RESTS for world in WORLDS])
