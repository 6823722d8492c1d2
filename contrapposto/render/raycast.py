"""The default renderer: NVIDIA Warp kernels, the same on the CPU and on CUDA.

On a CPU, faces are projected onto the pixels; where that cannot be done, and on CUDA, each pixel sends a ray. Between
frames only the vertices change: the tree over the faces is refitted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from contrapposto.errors import InputError
from contrapposto.render import (
    draw_kernels,
    ground_kernels,
    light_kernels,
    visibility_kernels,
    warp_types,
)
from contrapposto.render.backdrop import Backdrop, Box
from contrapposto.render.camera import Camera, check_size
from contrapposto.render.figures import Figures
from contrapposto.render.ground_light import GroundLight
from contrapposto.render.launching import Launcher
from contrapposto.render.lighting import key_direction, linear_color, sample_places, srgb_table
from contrapposto.render.scene import RenderedImage, Scene
from contrapposto.render.view import make_view, refuse_inside

_KERNELS = (light_kernels, ground_kernels, visibility_kernels, draw_kernels)
_ROOM = 512  # numbers of pixels at edges for which memory is kept grow in such steps
_SMALL, _MANY = 12.0, 5000
"""Colours of vertices are enough where there are so many faces, each with fewer pixels of the figures' rectangle."""


class Raycaster:
    """Draws scenes; keeps the tree over the faces from one call to the next when the faces stay the same.

    Not safe to be shared between threads: give each its own.

    Args:
        device: a Warp device name such as `cpu` or `cuda:0`; None takes CUDA where there is one.
        threads: threads on the CPU; None takes those this process may use, at most 8.

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(self, device: str | None = None, threads: int | None = None) -> None:
        self._on = Launcher(device, threads, _KERNELS)
        self.device, self.threads = self._on.device, self._on.threads
        self._figures = Figures(self._on)
        self._ground_light = GroundLight(self._on, self._figures)
        self._to_srgb = self._on.array(srgb_table(), wp.uint8)
        self._places: dict[int, wp.array] = {}
        # a ground's light of which nothing is blocked
        self._dark: Any = wp.zeros((2, 2), dtype=wp.vec3, device=self.device)
        self._backdrop = Backdrop()

    def render(
        self,
        scene: Scene,
        camera: Camera,
        *,
        samples: int = 2,
        everywhere: bool = False,
        keep_light: bool = False,
    ) -> RenderedImage:
        """Draw a scene.

        Args:
            scene: figures, ground, light.
            camera: where from; its size is the image's.
            samples: samples x samples points are taken in pixels at edges; 1 turns smoothing off.
            everywhere: take them in all pixels.
            keep_light: renew the light at a third of the samples on the meshes only, if their faces are those of the
                image before: a moment later, light that is blocked by limbs has hardly changed. Shadows on the ground
                are always new.

        Raises:
            InputError: the camera is inside a mesh, or the image with its samples is too large.
        """
        check_size(camera.width, camera.height, samples**2 if everywhere else 1)
        if not 1 <= samples <= 8:
            raise InputError(f"{samples} samples along a pixel's side cannot be taken.", expected="1 to 8")
        refuse_inside(scene, camera)
        view = make_view(scene, camera)
        solids, look = self.prepare(scene, camera, keep_light=keep_light)
        shape, device = (camera.height, camera.width), self.device
        depth = self._on.full(shape, np.inf, np.float32)
        ids = self._on.full(shape, -1, np.int32)
        color = wp.empty(shape, dtype=wp.vec3ub, device=device)
        shown = self._rasterize(solids, view)
        if shown.known and solids.closed and len(solids.faces) > max(_MANY, _area(view) / _SMALL):
            self._figures.color_vertices(solids, look, camera)
        self._paint(scene, camera, view, look, shown, color)
        self._color(solids, look, view, shown, (color, depth, ids))
        if samples > 1 or everywhere:
            fine = self._edges(solids, view, shown, depth, ids, samples, everywhere)
            fixed = [solids, look, view, shown.known, fine, int(everywhere), self._to_srgb]
            self._rows(camera, draw_kernels.finish, fixed, [color])
        numbers = ids.numpy()
        return RenderedImage(color.numpy(), depth.numpy(), numbers >= 0, numbers)

    def prepare(self, scene: Scene, camera: Camera, *, keep_light: bool = False) -> tuple[Any, Any]:
        """Kernel arguments `Solids` and `Look` with all light computed, for this and for other back-ends."""
        solids = warp_types.Solids()
        self._figures.set_capsules(scene, camera, solids)
        key = key_direction(scene, camera)
        if scene.meshes:
            self._figures.set_meshes(scene, camera, solids, key, keep_light)
        look = self._look(scene, key)
        if scene.ground is not None and scene.lights.shadows and (scene.meshes or scene.capsules):
            self._ground_light.fill(scene, solids, look, key)
        return solids, look

    def _look(self, scene: Scene, key: np.ndarray) -> Any:
        look, lights, ground = warp_types.Look(), scene.lights, scene.ground
        look.key_direction, look.key, look.sky, look.bounce = (
            wp.vec3(*key),
            lights.key,
            lights.sky,
            lights.bounce,
        )
        shades = np.broadcast_to(np.asarray(scene.background, np.float64), (2, 3)).tolist()
        look.background_top, look.background_bottom = (wp.vec3(*linear_color(tuple(c))) for c in shades)
        look.has_ground = int(ground is not None)
        look.texture = self._dark
        look.texel = 1.0
        if ground is not None:
            low, high = scene.bounds if scene.columns.shape[1] else (np.zeros(3), np.zeros(3))
            centre = (low + high) / 2
            look.centre = wp.vec2(*(ground.centre or centre[:2]))
            look.ground_height, look.square = ground.height, ground.square
            look.ground_light = wp.vec3(*linear_color(tuple(ground.light)))
            look.ground_dark = wp.vec3(*linear_color(tuple(ground.dark)))
            look.fade_start, look.fade_end = ground.fade
        return look

    def _rows(self, camera: Camera, kernel: Any, fixed: list[Any], images: list[Any]) -> None:
        """Run a kernel on all rows: a row is one item for a CPU, which copies arguments anew for each, else a pixel."""
        run = camera.width if self.device.is_cpu else 1
        self._on.bands(
            camera.height,
            lambda first, rows: self._on.launch(
                kernel, (rows, camera.width // run), [*fixed, first, run, *images]
            ),
        )

    def _paint(self, scene: Scene, camera: Camera, view: Any, look: Any, shown: Any, color: wp.array) -> None:
        """The background, where there is no figure."""
        run = camera.width if self.device.is_cpu else 1
        level = abs(view.right_axis[2]) < 1e-9
        kernel = ground_kernels.paint_level if level else ground_kernels.paint

        def paint(look: Any, shown: Any, box: Box) -> None:
            left, right, top, bottom = box
            self._on.bands(
                bottom - top,
                lambda first, rows: self._on.launch(
                    kernel,
                    (rows, camera.width // run),
                    [view, look, shown, self._to_srgb, top + first, run, left, right, color],
                ),
            )

        self._backdrop.draw(scene, camera, look, shown, color, paint)

    def _rasterize(self, solids: Any, view: Any) -> Any:
        """What figures show at pixel centres, where a CPU finds it out sooner than by rays.

        That is, when all of them are in front of the camera; else, and on CUDA, the answer is `known` = 0: cast rays.
        """
        shown: Any = warp_types.Shown()
        shown.known = int(self.device.is_cpu and view.all_in_front)
        shape = (view.height, view.width) if shown.known else (1, 1)
        shown.inverse = self._on.buffer("inverse", shape, float)
        shown.faces = self._on.buffer("faces", shape, wp.int32)
        shown.weights = self._on.buffer("weights", shape, wp.vec2)
        if not shown.known:
            return shown
        shown.inverse.zero_()
        if solids.mesh:
            assert self._figures.mesh is not None
            points = self._figures.mesh.points
            self._pixels = self._on.buffer("pixels", (len(points),), wp.vec3)
            self._on.launch(visibility_kernels.project, len(points), [points, view, self._pixels])
        self._figures_on_rows(
            solids, view, shown, visibility_kernels.rasterize, visibility_kernels.draw_capsules
        )
        return shown

    def _figures_on_rows(self, solids: Any, view: Any, target: Any, faces: Any, capsules: Any) -> None:
        """Kernels for faces and for capsules, band by band, each band by one thread."""

        def work(first: int, rows: int) -> None:
            if solids.mesh:
                arguments = [solids.faces, solids.closed, self._pixels, view, first, rows, target]
                self._on.launch(faces, 1, arguments)
            if solids.num_capsules:
                arguments = [solids.capsules, solids.num_capsules, view, first, rows, target]
                self._on.launch(capsules, 1, arguments)

        self._on.bands(view.height, work)

    def _color(self, solids: Any, look: Any, view: Any, shown: Any, images: tuple[wp.array, ...]) -> None:
        """Colour, depth and ids at pixel centres."""
        fixed = [solids, look, view]
        if shown.known:
            self._on.bands(
                view.height,
                lambda first, rows: self._on.launch(
                    draw_kernels.color_shown, rows, [*fixed, shown, self._to_srgb, first, *images]
                ),
            )
        elif solids.mesh or solids.num_capsules:
            self._rows(view, draw_kernels.cast, [*fixed, self._to_srgb], list(images))

    def _edges(
        self,
        solids: Any,
        view: Any,
        shown: Any,
        depth: wp.array,
        ids: wp.array,
        samples: int,
        everywhere: bool,
    ) -> Any:
        """Which pixels take more samples, and, where the rasteriser ran, what the samples show."""
        fine: Any = warp_types.Fine()
        fine.slots = self._on.buffer("slots", depth.shape, wp.int32)
        if self.device.is_cpu:
            fine.slots.numpy().fill(-1)  # several times as fast as Warp's way
        else:
            fine.slots.fill_(-1)
        number = 0
        if not everywhere:
            self._on.bands(
                view.height,
                lambda first, rows: self._on.launch(
                    visibility_kernels.mark_edges, rows, [view, depth, ids, first, fine.slots]
                ),
            )
            if shown.known:
                slots = fine.slots.numpy().reshape(-1)
                marked = np.flatnonzero(slots == 0)
                number = len(marked)
                slots[marked] = np.arange(number)
        if samples not in self._places:
            self._places[samples] = self._on.array(sample_places(samples), wp.vec2)
        fine.places = self._places[samples]
        shape = (-(-max(number, 1) // _ROOM) * _ROOM, samples**2)
        fine.inverse = self._on.buffer("fine inverse", shape, float)
        fine.faces = self._on.buffer("fine faces", shape, wp.int32)
        fine.weights = self._on.buffer("fine weights", shape, wp.vec2)
        fine.inverse.zero_()
        if number:
            self._figures_on_rows(
                solids, view, fine, visibility_kernels.rasterize_edges, visibility_kernels.draw_fine_capsules
            )
        return fine


def _area(view: Any) -> float:
    """Pixels of the rectangle that holds the figures."""
    return float((view.right - view.left) * (view.bottom - view.top))
