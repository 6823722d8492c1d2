"""DeformingThings4D's `.anime` files: one mesh and its frames (docs/specs/npr.md, section 7.3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrapposto.checks import check_file
from contrapposto.errors import InputError
from contrapposto.mesh.asset import MeshAsset


def read_anime(path: str | Path, *, every: int = 1) -> tuple[MeshAsset, np.ndarray]:
    """Read a file: the first frame as a mesh, and the frames.

    Args:
        path: the file: int32 counts of frames, vertices and faces, float32 vertices of the first frame, int32 faces,
            float32 offsets of all later frames from the first, all little-endian.
        every: keep every so many frames, from the first on (the released NPR data keeps every third).

    Returns:
        The mesh in its first frame, and (T, V, 3) float64 vertices.

    Raises:
        InputError: a file whose size does not fit its counts, faces without vertices, or values that are not finite.
    """
    path = check_file(path, ".anime")
    data = path.read_bytes()
    if len(data) < 12:
        raise InputError(f"{path} is truncated.", found=f"{len(data)} bytes", expected="a header of 12 bytes")
    frames, vertices, faces = (int(count) for count in np.frombuffer(data, "<i4", 3))
    expected = 12 + 12 * (vertices + faces + max(frames - 1, 0) * vertices)
    if min(frames, vertices, faces) < 1 or len(data) != expected:
        raise InputError(
            f"{path} is damaged or is not a .anime file.",
            found=f"{frames} frames, {vertices} vertices, {faces} faces in {len(data)} bytes",
            expected=f"{expected} bytes",
        )
    first = np.frombuffer(data, "<f4", 3 * vertices, 12).reshape(-1, 3).astype(np.float64)
    index = np.frombuffer(data, "<i4", 3 * faces, 12 + 12 * vertices).reshape(-1, 3)
    offsets = np.frombuffer(data, "<f4", offset=12 + 12 * (vertices + faces)).reshape(frames - 1, vertices, 3)
    if not (np.isfinite(first).all() and np.isfinite(offsets).all()):
        raise InputError(f"{path} has vertices that are not finite.")
    poses = np.concatenate([np.zeros((1, vertices, 3)), offsets])[::every] + first
    return MeshAsset(first, index, name=path.stem), poses
