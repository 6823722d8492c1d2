"""Light on the ground: what figures block, smoothed, as a texture over the part of the ground that they darken."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import warp as wp

from contrapposto.render import light_kernels, warp_types
from contrapposto.render.figures import Figures
from contrapposto.render.launching import Launcher
from contrapposto.render.lighting import cone, hemisphere_directions, shadow_rectangle
from contrapposto.render.scene import Scene

TEXEL = 0.02
"""Side in metres of a texel of the ground's light texture, which covers the figures' shadows only."""

GROUND_BLUR = (0.022, 0.09, 0.012)
"""Standard deviations in metres by which shadow, near sky and contact on the ground are smoothed; these
and the texels are meant for people and grow with `Scene.scale`."""

_DARK = 1e-3  # shares of blocked light that no byte of a colour shows
GROUND_RAYS = 4
"""Directions towards the key light, and as many towards the sky, that are tried at each texel of the ground."""


class GroundLight:
    """Fills the texture of a `Look`."""

    def __init__(self, on: Launcher, figures: Figures) -> None:
        self._on, self._figures = on, figures

    def fill(self, scene: Scene, solids: Any, look: Any, key: np.ndarray) -> None:
        """Fill the texture over the part of the ground that the figures can darken."""
        assert scene.ground is not None
        low, high = shadow_rectangle(scene, key)
        # coarser where the ground is so wide that this alone would take a second
        texel = max(TEXEL * scene.scale, float(np.sqrt(np.prod(high - low) / 1e6)))
        low = (
            np.floor(low / (2 * texel)) * 2 * texel
        )  # texels keep their places while figures move: no shimmer
        columns, rows = (int(x) for x in np.ceil((high - low) / texel) + 1)
        texture = self._on.buffer("ground", (rows, columns), wp.vec3)
        towards, upper = cone(key, scene.lights.softness, GROUND_RAYS), hemisphere_directions(GROUND_RAYS)
        corner = wp.vec3(*low, scene.ground.height + 0.002 * scene.scale)
        if self._on.device.is_cpu and towards[:, 2].min() > 0.01:
            self._cast_shadows(scene, solids, corner, texel, towards, upper, texture)
        else:
            fixed = [solids.mesh, solids.capsules, solids.num_casting, corner, texel]
            fixed += [self._on.array(towards, wp.vec3), self._on.array(upper, wp.vec3), scene.scale]
            self._on.launch(light_kernels.light_ground, (rows, columns), [*fixed, 0, texture])
        blocked = texture.numpy()
        smooth = [
            cv2.GaussianBlur(np.ascontiguousarray(blocked[..., i]), (0, 0), metres * scene.scale / texel)
            for i, metres in enumerate(GROUND_BLUR)
        ]
        light, (row, column) = _cut(np.stack(smooth, axis=-1))
        look.texture_origin = wp.vec2(low[0] + column * texel, low[1] + row * texel)
        look.texel, look.texture = texel, self._on.array(light, wp.vec3)

    def _cast_shadows(
        self,
        scene: Scene,
        solids: Any,
        corner: Any,
        texel: float,
        towards: np.ndarray,
        upper: np.ndarray,
        texture: wp.array,
    ) -> None:
        """What `light_ground` finds, by projecting faces and capsules onto the ground, direction by direction."""
        texture.zero_()
        stamps = self._on.buffer("stamps", texture.shape, wp.int32)
        stamps.zero_()
        sky, contact = light_kernels.SKY_REACH * scene.scale, light_kernels.CONTACT_REACH * scene.scale
        lines = [(direction, warp_types.FAR, 1 / len(towards), 0) for direction in towards]
        lines += [(direction, sky, 1 / len(upper), 1) for direction in upper]
        lines += [(np.array([0.0, 0.0, 1.0]), contact, 0.0, 2)]
        layout: Any = light_kernels.Casting  # a Warp structure, of which mypy sees the plain class only
        rows: Any = np.zeros(len(lines), dtype=layout.numpy_dtype())
        rows["corner"], rows["texel"], rows["number"] = corner, texel, np.arange(1, len(lines) + 1)
        for row, line in zip(rows, lines):
            row["direction"], row["reach"], row["weight"], row["channel"] = line
        castings = self._on.array(rows, layout)

        def work(first: int, count: int) -> None:
            common = [castings, first, count, stamps, texture]
            if scene.meshes:
                assert self._figures.mesh is not None
                faces = [self._figures.coarse, solids.closed, self._figures.mesh.points]
                self._on.launch(light_kernels.cast_faces, 1, [*faces, *common])
            if solids.num_casting:
                self._on.launch(
                    light_kernels.cast_capsules, 1, [solids.capsules, solids.num_casting, *common]
                )

        self._on.bands(texture.shape[0], work)


def _cut(light: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of a texture (H, W, 3) that is not dark, with a texel around it, and its first row and column."""
    seen = np.asarray((light > _DARK).any(axis=2))
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return light[:2, :2], (0, 0)
    top, left = max(int(rows[0]) - 1, 0), max(int(columns[0]) - 1, 0)
    return light[top : int(rows[-1]) + 2, left : int(columns[-1]) + 2], (top, left)
