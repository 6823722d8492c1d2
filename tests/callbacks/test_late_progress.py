"""Work that takes long reports how far it is; short work stays silent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.io import amass
from contrapposto.progress import heard_by, late


def test_short_work_is_silent_and_long_work_is_reported() -> None:
    heard: list[tuple[str, int, int]] = []
    with heard_by(lambda stage, done, total: heard.append((stage, done, total))):
        short, long = late("short", after=1e9), late("long", after=0.0)
        for step in (short, long):
            for done in (1, 2):
                step(done, 2)
    assert heard == [("long", 1, 2), ("long", 2, 2)]


def test_an_archive_says_how_far_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", poses=np.zeros((4000, 66)), trans=np.zeros((4000, 3)), fps=30.0)
    monkeypatch.setattr(amass, "late", lambda title: late(title, after=0.0))
    heard: list[tuple[str, int, int]] = []
    with heard_by(lambda stage, done, total: heard.append((stage, done, total))):
        amass.read_amass(tmp_path / "a.npz")
    poses = [(done, total) for stage, done, total in heard if "poses" in stage]
    assert poses[0][0] < poses[-1][0] == poses[-1][1] > 4000 * 66 * 8
