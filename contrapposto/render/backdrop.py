"""The background of images: painted anew, or, before a camera that stays in its place, only where light on it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import warp as wp

from contrapposto.render import warp_types
from contrapposto.render.camera import Camera
from contrapposto.render.scene import Scene

_KEPT = 8  # backgrounds of different cameras

Box = tuple[int, int, int, int]
"""Left, right, top and bottom of a rectangle of pixels."""


class Backdrop:
    """Backgrounds without shadows, kept while cameras and the ground stay the same; for a CPU."""

    def __init__(self) -> None:
        self._kept: dict[str, np.ndarray | None] = {}
        self._dark = wp.zeros((2, 2), dtype=wp.vec3, device="cpu")
        self._nothing: Any = warp_types.Shown()

    def draw(
        self,
        scene: Scene,
        camera: Camera,
        look: Any,
        shown: Any,
        color: np.ndarray,
        paint: Callable[[Any, Any, Box], None],
    ) -> None:
        """Fill what shows no figure.

        Args:
            scene, camera, look, shown: as the kernels take them.
            color: (H, W, 3), what `paint` writes to.
            paint: of a look, of what figures cover, and of a rectangle.
        """
        key = _key(scene, camera, look)
        whole = (0, camera.width, 0, camera.height)
        if key not in self._kept:  # the next image may be from elsewhere
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = None
            paint(look, shown, whole)
            return
        kept = self._kept[key]
        if kept is None:
            texture, look.texture = look.texture, self._dark
            paint(look, self._nothing, whole)
            look.texture = texture
            self._kept[key] = color.copy()
        else:
            np.copyto(color, kept)
        left, right, top, bottom = _lit_box(camera, look)
        if look.has_ground and left < right and top < bottom:
            paint(look, shown, (left, right, top, bottom))


def _key(scene: Scene, camera: Camera, look: Any) -> str:
    lens = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    place = camera.world_to_camera.tobytes().hex()
    return f"{lens} {place} {scene.ground} {scene.background} {look.centre[0]} {look.centre[1]}"


def _lit_box(camera: Camera, look: Any) -> Box:
    """The pixels that the texture of the ground's light can cover."""
    rows, columns = look.texture.shape
    x, y = look.texture_origin[0], look.texture_origin[1]
    ends = np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]]) * look.texel
    corners = np.column_stack([ends + np.array([x, y]), np.full(4, look.ground_height)])
    pixels, depth = camera.project(corners)
    if depth.min() < warp_types.NEAR:
        return 0, camera.width, 0, camera.height
    low = np.clip(np.floor(pixels.min(axis=0)) - 1, 0, [camera.width, camera.height]).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, [camera.width, camera.height]).astype(int)
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])
