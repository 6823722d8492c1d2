"""OFF files (Object File Format, Geomview): vertices with or without colours, and polygons."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from contrapposto.checks import read_text, shorten
from contrapposto.errors import InputError
from contrapposto.mesh.asset import MeshAsset
from contrapposto.mesh.clean import MAX_FACES
from contrapposto.mesh.polygons import triangulate

_FIRST = re.compile(r"(ST)?(C)?(N)?OFF\b", re.IGNORECASE)


def read_off(path: str | Path) -> MeshAsset:
    """Read a mesh; polygons become triangles, colours of faces are ignored.

    Raises:
        InputError: no OFF file, a damaged one, or one without faces.
    """
    path = Path(path)
    lines = [line.split("#", 1)[0].strip() for line in read_text(path, "OFF").splitlines()]
    lines = [line for line in lines if line]
    try:
        first = _FIRST.match(lines[0])
        if first is None:
            raise ValueError(f"a beginning of {shorten(lines[0])}")
        rest = lines[0][first.end() :].strip()
        lines = [*([rest] if rest else []), *lines[1:]]  # counts may stand on the first line
        count, number = (int(word) for word in lines[0].split()[:2])
        if not 0 <= count <= len(lines) - 1 or not 0 <= number <= len(lines) - 1 - count:
            raise ValueError(f"{count} vertices and {number} faces in {len(lines) - 1} lines")
        rows = [[float(word) for word in line.split()] for line in lines[1 : 1 + count]]
        vertices = np.array([row[:3] for row in rows], np.float64).reshape(-1, 3)
        polygons = [_polygon(line) for line in lines[1 + count : 1 + count + number]]
        if sum(max(len(polygon) - 2, 0) for polygon in polygons) > MAX_FACES:
            raise InputError(
                f"{path} has too many faces.", expected=f"at most {MAX_FACES}", fix="decimate it first"
            )
        corners, owners = triangulate(vertices, polygons)
        if not len(owners):
            raise InputError(
                f"{path} has no triangles.", found=f"{count} vertices", expected="a mesh with faces"
            )
        faces = np.stack([polygons[owner][corner] for owner, corner in zip(owners.tolist(), corners)])
    except (ValueError, IndexError, OverflowError) as error:
        raise InputError(
            f"{path} cannot be read.", found=shorten(str(error), 120), expected="an OFF mesh"
        ) from error
    colors = _colors(rows, 3 + (3 if first[3] else 0)) if first[2] else None
    return MeshAsset(vertices, faces, vertex_colors=colors, name=path.stem)


def _polygon(line: str) -> np.ndarray:
    words = line.split()
    count = int(words[0])
    if not 0 <= count < len(words):
        raise ValueError(f"a face of {count} in {shorten(line)}")
    return np.array([int(word) for word in words[1 : 1 + count]], np.int64)


def _colors(rows: list[list[float]], start: int) -> np.ndarray | None:
    """(V, 4) uint8 of three or four numbers of each vertex, 0 to 255 or 0 to 1."""
    width = min((len(row) for row in rows), default=0) - start
    if width < 3:
        return None
    values = np.array([row[start : start + min(width, 4)] for row in rows])
    if not np.isfinite(values).all():
        return None
    shades = np.full((len(rows), 4), 255.0)
    shades[:, : values.shape[1]] = values * (255.0 if values.max() <= 1 else 1.0)
    return np.clip(shades, 0, 255).round().astype(np.uint8)
