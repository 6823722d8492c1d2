"""DeformingThings4D files: written here by their description, read back; damaged ones."""

from __future__ import annotations

import numpy as np
import pytest

from contrapposto.errors import InputError
from contrapposto.mesh.anime import read_anime
from tests.mesh.shapes import bent, sphere


def content():
    mesh = sphere(1)
    frames = np.stack([bent(mesh.vertices, 0.1 * t) for t in range(7)]).astype("<f4")
    counts = np.array([7, len(mesh.vertices), len(mesh.faces)], "<i4")
    parts = (counts, frames[0], mesh.faces.astype("<i4"), frames[1:] - frames[0])
    return b"".join(part.tobytes() for part in parts), frames


def test_frames_come_back(tmp_path):
    data, frames = content()
    (tmp_path / "a.anime").write_bytes(data)
    mesh, poses = read_anime(tmp_path / "a.anime")
    assert np.allclose(poses, frames, atol=1e-6) and np.allclose(mesh.vertices, frames[0])
    assert np.array_equal(mesh.faces, sphere(1).faces)
    assert np.allclose(read_anime(tmp_path / "a.anime", every=3)[1], frames[::3], atol=1e-6)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:5],
        lambda d: d[:-4],
        lambda d: d + b"1234",
        lambda d: b"\xff" * 12 + d[12:],
        lambda d: np.array([2**30] * 3, "<i4").tobytes() + d[12:],
        lambda d: d[:-4] + b"\x00\x00\xc0\x7f",
    ],
)
def test_damaged_files_are_refused(tmp_path, damage):
    (tmp_path / "a.anime").write_bytes(damage(content()[0]))
    with pytest.raises(InputError, match=r"a\.anime"):
        read_anime(tmp_path / "a.anime")
