"""Meshes side by side in one image: rows of poses, each drawn by itself from the same direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contrapposto.errors import InputError
from contrapposto.render.backends import make_renderer
from contrapposto.render.camera import enclose
from contrapposto.render.scene import Ground, Mesh, Scene
from contrapposto.render.text import draw_text

_DIRECTION = (-0.55, 1.0, -0.22)  # from the front, a little from the side and above


def render_mesh_sheet(
    rows: Sequence[Sequence[Mesh]],
    titles: Sequence[str] = (),
    *,
    size: tuple[int, int] = (240, 300),
    direction: Sequence[float] = _DIRECTION,
    backend: str = "warp",
) -> np.ndarray:
    """Draw rows of meshes.

    Args:
        rows: of equally many meshes, z up, figures facing -y; every mesh stands on a ground of its own.
        titles: of the columns; none where absent.
        size: width and height of a panel in pixels.
        direction: in which the camera looks.
        backend: see `make_renderer`.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: no meshes, or rows of different lengths.
    """
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise InputError("A sheet needs rows of equally many meshes.", found=str([len(row) for row in rows]))
    renderer = make_renderer(backend)
    images = []
    for row in rows:
        panels = []
        for mesh in row:
            low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
            ground = Ground(height=float(low[2] - 0.005 * (high[2] - low[2])))
            corners = np.stack([np.where([i & 1, i & 2, i & 4], high, low) for i in range(8)])
            camera = enclose(corners, list(direction), size=size, margin=(0.1, 0.06))
            panels.append(renderer.render(Scene([mesh], [], ground), camera).color)
        images.append(np.concatenate(panels, axis=1))
    image = np.concatenate(images).copy()
    for column, title in enumerate(titles):
        place = (round((column + 0.5) * size[0]), 4)
        draw_text(image, title, place, size=max(11, size[1] // 20), anchor="centre top")
    return image


def upright(vertices: np.ndarray) -> np.ndarray:
    """(..., 3) with y up, as mesh files have it, to z up; what faces z then faces -y."""
    return np.stack([vertices[..., 0], -vertices[..., 2], vertices[..., 1]], axis=-1)
