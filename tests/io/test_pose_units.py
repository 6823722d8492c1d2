"""Pose arrays in other units and layouts than AMASS's: read right and reported, or refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from contrapposto.errors import InputError
from contrapposto.io import read_motion
from contrapposto.motion import Motion
from contrapposto.retarget.upright import turned
from contrapposto.skeleton import SMPL22
from contrapposto.synthetic import generate

RATE = 10.0


@pytest.fixture(scope="module")
def clip() -> Motion:
    return generate("walk", seconds=2, seed=5).to_skeleton(SMPL22).resample(RATE)


def distance(first: Motion, second: Motion) -> float:
    places = [motion.joint_positions()[:, :22] for motion in (first, second)]
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def arrays(clip: Motion, **other: Any) -> dict[str, Any]:
    whole = {"poses": clip.rotations.reshape(-1, 66), "trans": clip.root_translation, "fps": RATE, **other}
    return {name: value for name, value in whole.items() if value is not None}


def y_up(clip: Motion) -> Motion:
    return turned(clip, Rotation.from_euler("x", -90, degrees=True))


def aist(clip: Motion) -> dict[str, Any]:
    """AIST++: y up, the path in a unit of its own that stands beside it."""
    lying = y_up(clip)
    poses = np.pad(lying.rotations.reshape(-1, 66), ((0, 0), (0, 6)))
    return {
        "smpl_poses": poses,
        "smpl_trans": lying.root_translation * 93.7,
        "smpl_scaling": [93.7],
        "fps": RATE,
    }


def easymocap(clip: Motion) -> dict[str, Any]:
    """EasyMocap: the figure turns about the origin of the world, then moves."""
    turns, pelvis = Rotation.from_rotvec(clip.rotations[:, 0]), SMPL22.rest_positions[0]
    poses = clip.rotations.copy()
    poses[:, 0] = 0
    place = clip.root_translation + pelvis - turns.apply(pelvis)
    return {"poses": poses.reshape(-1, 66), "Rh": clip.rotations[:, 0], "Th": place, "fps": RATE}


KINDS: dict[str, tuple[Callable[[Motion], dict[str, Any]], str]] = {
    "centimetres": (lambda c: arrays(c, trans=c.root_translation * 100), "in centimetres"),
    "millimetres": (
        lambda c: arrays(y_up(c), trans=y_up(c).root_translation * 1000),
        "in millimetres",
    ),
    "degrees": (lambda c: arrays(c, poses=np.degrees(c.rotations).reshape(-1, 66)), "in degrees"),
    "a period named fps": (lambda c: arrays(c, fps=1 / RATE), "time between frames"),
    "a rate as text": (lambda c: arrays(c, fps="10"), ""),
    "times of the day": (lambda c: arrays(c, fps=None, timestamps=1.7e9 + np.arange(20) / RATE), ""),
    "a batch of one": (
        lambda c: arrays(c, poses=c.rotations.reshape(1, -1, 66), trans=c.root_translation[None]),
        "",
    ),
    "AIST++": (aist, "y is up"),
    "EasyMocap": (easymocap, ""),
    "metres": (arrays, ""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_other_units_are_found_and_reported(
    kind: str, clip: Motion, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, words = KINDS[kind]
    np.savez(tmp_path / "a.npz", **make(clip))
    with caplog.at_level(logging.WARNING):
        actual = read_motion(tmp_path / "a.npz")
    assert actual.fps == pytest.approx(RATE)
    assert distance(actual, clip) < 1e-4
    assert words in caplog.text and bool(caplog.records) == bool(words or "y is up" in caplog.text)


def test_what_cannot_be_told_is_refused(clip: Motion, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for change, words in (
        ({"fps": None, "dt": 33.3}, "at most 1"),
        ({"fps": "fast"}, "not numeric"),
        ({"fps": None, "times": np.zeros(20)}, "no times in seconds"),
        ({"poses": 1e4 * clip.rotations.reshape(-1, 66)}, "no axis-angles"),
        ({"smpl_scaling": 0.0}, "positive number"),
    ):
        np.savez(path, **arrays(clip, **change))
        with pytest.raises(InputError, match=words):
            read_motion(path)


def test_a_path_of_an_unknown_unit_is_reported(
    clip: Motion, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays(clip, trans=317.0 * clip.root_translation))
    read_motion(path)
    assert "scale= states metres per unit" in caplog.text
    assert distance(read_motion(path, scale=1 / 317), clip) < 1e-4


def test_a_figure_far_up_or_away_stays_there(clip: Motion, tmp_path: Path) -> None:
    """On a roof, or at coordinates of a town: metres all the same."""
    for shift in ([0, 0, 40.0], [5000.0, -300.0, 0.0]):
        moved = replace(clip, root_translation=clip.root_translation + np.array(shift, np.float32))
        np.savez(tmp_path / "a.npz", **arrays(moved))
        assert distance(read_motion(tmp_path / "a.npz"), moved) < 1e-2
