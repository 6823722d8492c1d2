"""Contact sheets: poses of a clip side by side in one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.render.backends import make_renderer
from contrapposto.render.camera import enclose
from contrapposto.render.drawables import AnimatedFigure, Figure, figure_height
from contrapposto.render.scene import COOL, Mesh
from contrapposto.render.staging import ground_for, mean_heading, padded_joints, scene_of
from contrapposto.render.text import draw_text
from contrapposto.render.video import write_png

if TYPE_CHECKING:
    from contrapposto.body import BodyModel


def render_motion_sheet(
    path: str | Path,
    motion: Motion,
    count: int = 8,
    *,
    height: int = 420,
    body: BodyModel | None = None,
    color: Sequence[float] = COOL,
    backend: str = "warp",
    device: str | None = None,
) -> Path:
    """Write `count` poses of a clip, evenly spaced in time, side by side in one PNG with their times.

    Figures keep the direction they face and their height above the ground; their way along the ground is taken out.

    Args:
        path: ends in .png.
        motion: the clip.
        count: number of poses, 1 to 32.
        height: of the image in pixels; its width follows.
        body, backend, device: as in `render_motion_video`.
        color: (3,) sRGB of the figures; early poses are lighter.

    Raises:
        InputError: a count, size or path that cannot be used.
    """
    if not 1 <= count <= 32:
        raise InputError(f"A sheet of {count} poses cannot be drawn.", expected="1 to 32")
    times = np.linspace(0, motion.duration, count)
    poses = motion.at_times(times, motion.fps)
    facing = mean_heading(motion) + np.radians(35)
    right = np.array([np.cos(facing), np.sin(facing), 0.0])
    away = np.array([-np.sin(facing), np.cos(facing), -0.2])
    joints = poses.joint_positions()
    centre = joints.mean(1) * [1, 1, 0]
    local = (joints - centre[:, None]) @ right
    step = max(float((local.max(1) - local.min(1)).max()) + 0.3, 0.35 * figure_height(motion.skeleton))
    places = (np.arange(count) - (count - 1) / 2)[:, None] * step * right - centre
    points = padded_joints(joints + places[:, None], motion)
    extent = points @ right
    span = float(np.ptp(points[:, 2]))
    width = int(np.clip(height * (np.ptp(extent) + 0.2) / (1.25 * span), 64, 8192))
    view = enclose(
        points, away.tolist(), fov_degrees=12 if width < 3 * height else 24, size=(width, height), margin=0.05
    )
    figures = AnimatedFigure(poses, color, body).frames(0, count)
    tints = [_tint(color, 0.45 * (1 - i / max(count - 1, 1))) for i in range(count)]
    scene = scene_of(
        [_placed(f, place, tint) for f, place, tint in zip(figures, places, tints)],
        ground_for(joints, motion),
    )
    image = make_renderer(backend, device).render(scene, view).color.copy()
    letters = max(11, round(height * 0.034))
    for time, place in zip(times, places + centre):
        column = view.project(place)[0][0]
        draw_text(image, f"{time:.2f} s", (round(column), height - 4), size=letters, anchor="centre bottom")
    return write_png(path, image)


def _placed(figure: Figure, shift: np.ndarray, color: Sequence[float]) -> Figure:
    if isinstance(figure, Mesh):
        return replace(figure, vertices=figure.vertices + shift.astype(np.float32), color=color)
    step = shift.astype(np.float32)
    return replace(figure, starts=figure.starts + step, ends=figure.ends + step, colors=color)


def _tint(color: Sequence[float], amount: float) -> tuple[float, ...]:
    return tuple(float(c + (1 - c) * amount) for c in color)
