"""Arrays that hold no poses: the message names the way on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.io import read_motion


@pytest.mark.parametrize(
    ("arrays", "way"),
    [
        ({"joints": np.zeros((4, 22, 3))}, "task=people_motion"),
        ({"motion": np.zeros((4, 322))}, "pose_body="),
        ({"poses": np.zeros((4, 22, 6)), "trans": np.zeros((4, 3))}, "axis-angles"),
        ({"poses": np.zeros((4, 22, 4)), "trans": np.zeros((4, 3))}, "axis-angles"),
        ({"betas": np.zeros(10)}, "shape.npz"),
    ],
)
def test_the_way_on_is_named(arrays: dict[str, np.ndarray], way: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", fps=30, **arrays)
    with pytest.raises(InputError, match=way):
        read_motion(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("suffix", "way"),
    [
        (".npy", "people_motion"),
        (".pt", "savez"),
        (".pkl", "savez"),
        (".fbx", "Blender"),
        (".csv", "sage_track"),
    ],
)
def test_other_programs_files_are_refused_with_the_way_to_convert(
    suffix: str, way: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"1")
    with pytest.raises(InputError, match=way):
        read_motion(path)
