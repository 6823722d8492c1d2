"""Small AMASS-like corpora, written with plain NumPy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

WriteClip = Callable[..., Path]


def write_clip(path: Path, frames: int = 30, fps: float = 60.0, seed: int = 0, **replaced: object) -> Path:
    """One clip in AMASS layout with random numbers; arrays can be replaced, or left out with None."""
    generator = np.random.default_rng([seed, frames])
    arrays: dict[str, object] = {
        "poses": generator.normal(size=(frames, 156)) * 0.3,
        "trans": generator.normal(size=(frames, 3)),
        "betas": generator.normal(size=16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(fps),
    }
    arrays.update(replaced)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.fixture
def clip_writer() -> WriteClip:
    return write_clip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve good clips under two names of AMASS subsets."""
    raw = tmp_path / "raw"
    for number in range(6):
        write_clip(
            raw / "CMU" / "CMU" / f"{number:02d}" / f"{number:02d}_01_poses.npz", 20 + number, seed=number
        )
        write_clip(raw / "MPI_HDM05" / "dg" / f"HDM {number}_poses.npz", 40 + number, 120.0, seed=10 + number)
    return raw


@pytest.fixture
def data_folder() -> Path:
    """The real data, or a skip."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("CONTRAPPOSTO_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CONTRAPPOSTO_DATA")
    return folder


@pytest.fixture
def tree_hash() -> Callable[[Path], dict[str, str]]:
    """Every file below a folder with its SHA-256."""

    def hashes(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    return hashes
