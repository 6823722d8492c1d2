"""The background of images: a backdrop from top to bottom, and on it the ground.

The ground is painted anew, or, before a camera that stays in its place, only where light on it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import warp as wp

from contrapposto.render import warp_types
from contrapposto.render.camera import Camera
from contrapposto.render.ground_kernels import BLOCK
from contrapposto.render.lighting import srgb_table, to_linear
from contrapposto.render.scene import Scene

_KEPT = 8  # backgrounds of different cameras

Box = tuple[int, int, int, int]
"""Left, right, top and bottom of a rectangle of pixels."""


class Backdrop:
    """Backgrounds without shadows, kept while cameras and the ground stay the same."""

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
        color: wp.array,
        paint: Callable[[Any, Any, Box], None],
    ) -> None:
        """Fill what shows no figure.

        Args:
            scene, camera, look, shown: as the kernels take them.
            color: (H, W) of three bytes, what `paint` writes to.
            paint: the ground, of a look, of what figures cover, and of a rectangle.
        """
        assert color.device is not None
        if not look.has_ground or not color.device.is_cpu:
            color.assign(_empty(scene, camera))
            if look.has_ground:
                paint(look, shown, (0, camera.width, 0, camera.height))
            return
        key = _key(scene, camera, look)
        whole = (0, camera.width, 0, camera.height)
        if key not in self._kept:  # the next image may be from elsewhere
            if len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = None
            np.copyto(color.numpy(), _empty(scene, camera))
            paint(look, shown, whole)
            return
        kept = self._kept[key]
        if kept is None:
            texture, look.texture = look.texture, self._dark
            np.copyto(color.numpy(), _empty(scene, camera))
            paint(look, self._nothing, whole)
            look.texture = texture
            self._kept[key] = color.numpy().copy()
        else:
            np.copyto(color.numpy(), kept)
        left, right, top, bottom = _lit_box(camera, look)
        if left < right and top < bottom:
            paint(look, shown, (left, right, top, bottom))


def _empty(scene: Scene, camera: Camera) -> np.ndarray:
    """(H, W, 3) the backdrop alone."""
    ends = to_linear(np.broadcast_to(np.asarray(scene.background, np.float32), (2, 3)))
    return _gradient(camera.height, camera.width, ends.tobytes())


@lru_cache(maxsize=8)
def _gradient(height: int, width: int, ends: bytes) -> np.ndarray:
    """(H, W, 3) bytes of linear light (two colours, float32) that changes from top to bottom."""
    top, bottom = np.frombuffer(ends, np.float32).reshape(2, 3)
    share = ((np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(height))[:, None]
    linear = np.clip(top * (1 - share) + bottom * share, 0, 1)
    column = srgb_table()[(linear * np.float32(4095) + np.float32(0.5)).astype(np.int64)]
    return np.ascontiguousarray(np.broadcast_to(column[:, None], (height, width, 3)))


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
    left, right = int(low[0]) // BLOCK * BLOCK, min(-(-int(high[0]) // BLOCK) * BLOCK, camera.width)
    return left, right, int(low[1]), int(high[1])
