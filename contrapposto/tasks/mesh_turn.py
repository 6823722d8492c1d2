"""Images and a video of a mesh that turns once about the vertical."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from contrapposto.mesh import MeshAsset

TURN_FORMATS = ("mp4", "png")
STEP = 4
"""Degrees between images."""
_SIZE, _FPS, _DOWN = (512, 512), 30.0, -0.12


def write_turn(stem: Path, mesh: MeshAsset, formats: Sequence[str]) -> list[Path]:
    """Write `stem.mp4`, and images into the folder `stem`, as `formats` say.

    Args:
        stem: path without an ending.
        mesh: y is up.
        formats: of `TURN_FORMATS`.
    """
    from contrapposto.render import Ground, Scene, VideoWriter, enclose, make_renderer, write_png
    from contrapposto.render.meshes import PaintedMesh

    drawn, renderer = PaintedMesh(mesh).posed(mesh.vertices), make_renderer()
    scene = Scene([drawn], [], Ground(height=float(drawn.vertices[:, 2].min())))
    around = _cylinder(drawn.vertices)
    paths = [stem.with_name(f"{stem.name}.mp4")] if "mp4" in formats else []
    with ExitStack() as stack:
        videos = [stack.enter_context(VideoWriter(path, _FPS, _SIZE)) for path in paths]
        for number, angle in enumerate(np.radians(np.arange(0, 360, STEP))):
            camera = enclose(around, [float(np.sin(angle)), float(np.cos(angle)), _DOWN], size=_SIZE)
            image = renderer.render(scene, camera).color
            for video in videos:
                video.write(image)
            if "png" in formats:
                write_png(stem / f"{number:05d}.png", image)
    return [*paths, stem] if "png" in formats else paths


def _cylinder(vertices: np.ndarray, count: int = 90) -> np.ndarray:
    """Points of the upright cylinder around vertices (V, 3): a camera that frames them keeps its distance."""
    low, high = vertices.min(0), vertices.max(0)
    centre = (low + high)[:2] / 2
    radius = float(np.linalg.norm(vertices[:, :2] - centre, axis=1).max())
    angles = np.radians(np.arange(0, 360, 360 / count))
    ring = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([np.insert(ring, 2, level, axis=1) for level in (low[2], high[2])])
