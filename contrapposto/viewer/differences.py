"""Distances of bodies from the first one, as colours of their joints."""

from __future__ import annotations

from typing import Any

import numpy as np

from contrapposto.viewer.track import Track

_STOPS = (0.0, 1 / 3, 2 / 3, 1.0)
_SHADES = np.array([[49, 104, 176], [120, 190, 120], [250, 200, 60], [200, 40, 40]], float)


def shades(values: np.ndarray, most: float) -> np.ndarray:
    """Colours (..., 3) uint8 from blue (0) over green and yellow to red (`most` and above)."""
    share = np.clip(np.nan_to_num(values / most, nan=1.0), 0, 1)
    return np.stack([np.interp(share, _STOPS, _SHADES[:, c]) for c in range(3)], axis=-1).astype(np.uint8)


def color_scale(most: float) -> str:
    """The colours with their values as HTML: 0 cm on the left, `most` centimetres and above on the right."""
    stops = ", ".join("rgb({:.0f}, {:.0f}, {:.0f})".format(*shade) for shade in _SHADES)
    ticks = "".join(
        f'<span style="position: absolute; left: {100 * share:.0f}%; transform: translateX(-50%)">'
        f"{most * share:.3g}</span>"
        for share in (0.25, 0.5, 0.75)
    )
    return (
        '<div style="padding: 0 0.5em 0.5em; font-size: 0.8em">'
        f'<div style="height: 0.8em; border-radius: 2px; background: linear-gradient(to right, {stops})"></div>'
        '<div style="position: relative; display: flex; justify-content: space-between">'
        f"<span>0</span>{ticks}<span>\u2265 {most:g} cm</span></div>"
        "</div>"
    )


def joint_errors(track: Track, truth: Track, seconds: float) -> np.ndarray:
    """Distances (J,) in centimetres of the joints of two bodies at a time, wherever the page draws them."""
    places = [one.positions[one.frame_at(seconds)] for one in (track, truth)]
    return 100 * np.linalg.norm(places[0] - places[1], axis=-1)


class ErrorMarks:
    """Joints and bones of a body in the colours of their errors.

    Args:
        scene: of the page.
        path: parent of the marks in the scene.
        num_joints: of the body.
    """

    def __init__(self, scene: Any, path: str, num_joints: int) -> None:
        self.points = scene.add_point_cloud(
            f"{path}_points",
            np.zeros((num_joints, 3), np.float32),
            np.zeros((num_joints, 3), np.uint8),
            point_size=0.05,
            point_shape="circle",
            precision="float32",
        )
        self.lines = scene.add_line_segments(
            f"{path}_bones", np.zeros((num_joints - 1, 2, 3), np.float32), (0, 0, 0), thickness=0.025
        )
        self.handles = (self.points, self.lines)

    def show(self, visible: bool) -> None:
        """Show or hide them."""
        for handle in self.handles:
            handle.visible = visible

    def draw(self, places: np.ndarray, parents: tuple[int, ...], errors: np.ndarray, most: float) -> None:
        """Move and colour them: places (J, 3), errors (J,) and `most` in centimetres."""
        colors, above = shades(errors, most), list(parents[1:])
        self.points.points, self.points.colors = places.astype(np.float32), colors
        self.lines.points = np.stack([places[1:], places[above]], axis=1).astype(np.float32)
        self.lines.colors = np.stack([colors[1:], colors[above]], axis=1)
