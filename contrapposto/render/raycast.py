"""The default renderer: NVIDIA Warp ray casting, the same kernels on the CPU and on CUDA.

Warp's CPU kernels run on one thread and release Python's lock, so an image is cut into bands of rows that a small
pool of threads works through. Between frames only the vertices change: the tree over the faces is refitted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import warp as wp

from contrapposto.devices import drawing_device
from contrapposto.errors import ConfigError, InputError
from contrapposto.render import draw_kernels, light_kernels, warp_types
from contrapposto.render.backdrop import Backdrop, Box
from contrapposto.render.camera import Camera, check_size
from contrapposto.render.lighting import (
    coarse_faces,
    cone,
    hemisphere_directions,
    is_closed,
    key_direction,
    light_samples,
    same_places,
    sample_places,
    shadow_rectangle,
    sphere_directions,
    srgb_table,
    to_linear,
)
from contrapposto.render.scene import RenderedImage, Scene
from contrapposto.render.view import capsule_boxes, make_view, refuse_inside

TEXEL = 0.02
"""Side in metres of a texel of the ground's light texture, which covers the figures' shadows only."""

GROUND_BLUR = (0.022, 0.09, 0.012)
"""Standard deviations in metres by which shadow, near sky and contact on the ground are smoothed; these
and the texels are meant for people and grow with `Scene.scale`."""


_ROOM = 512  # numbers of pixels at edges for which memory is kept grow in such steps
_RENEWED = 3  # where light is kept, one sample of so many is new
GROUND_RAYS = 4
"""Directions towards the key light, and as many towards the sky, that are tried at each texel of the ground."""


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
        start_warp()
        try:
            self.device = wp.get_device(
                drawing_device(device) or ("cuda:0" if wp.is_cuda_available() else "cpu")
            )
        except Exception as error:
            raise ConfigError(
                f"There is no device {device!r} to render on.", found=str(error), expected="cpu, cuda:0, ..."
            ) from error
        for module in (light_kernels, draw_kernels):  # compiled here, not in several threads at once
            wp.load_module(module=module, device=self.device)
        self.threads = (threads or min(usable_cores(), 8)) if self.device.is_cpu else 1
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._mesh: wp.Mesh | None = None
        self._parts: tuple[np.ndarray, ...] = ()
        self._counts: list[int] = []
        self._to_srgb = self._array(srgb_table(), wp.uint8)
        self._around = self._array(sphere_directions(16), wp.vec3)
        self._no_capsules = wp.zeros(1, dtype=warp_types.Capsule, device=self.device)
        self._buffers: dict[str, wp.array] = {}
        self._places: dict[int, wp.array] = {}
        # a ground's light of which nothing is blocked
        self._dark: Any = wp.zeros((2, 2), dtype=wp.vec3, device=self.device)
        self._backdrop = Backdrop()
        self._colors: tuple[list[Any], wp.array] | None = None
        self._lit = 0  # images in a row with the same faces that have soft light

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
        depth = wp.full(shape, np.inf, dtype=float, device=device)
        ids = wp.full(shape, -1, dtype=wp.int32, device=device)
        color = wp.empty((*shape, 3), dtype=wp.uint8, device=device)
        # pixels of a row that one item draws: a CPU thread copies the kernel's arguments anew for each item
        whole = camera.width if device.is_cpu else 1
        shown = self._rasterize(scene, solids, view)
        table = self._to_srgb
        self._paint(scene, camera, view, look, shown, color)
        self._bands(
            camera.height,
            lambda first, rows: self._launch(
                draw_kernels.cast,
                (rows, camera.width // whole),
                [solids, look, view, shown, table, first, whole, color, depth, ids],
            ),
        )
        fine = self._edges(solids, view, shown, depth, ids, samples, everywhere)
        if samples > 1 or everywhere:
            arguments = [solids, look, view, shown, fine, int(everywhere), table]
            self._bands(
                camera.height,
                lambda first, rows: self._launch(
                    draw_kernels.finish,
                    (rows, camera.width // whole),
                    [*arguments, first, whole, color],
                ),
            )
        numbers = ids.numpy()
        return RenderedImage(color.numpy(), depth.numpy(), numbers >= 0, numbers)

    def _paint(self, scene: Scene, camera: Camera, view: Any, look: Any, shown: Any, color: wp.array) -> None:
        """The background, where there is no figure."""
        run = 64 if self.device.is_cpu else 1

        def paint(look: Any, shown: Any, box: Box) -> None:
            left, right, top, bottom = box
            self._bands(
                bottom - top,
                lambda first, rows: self._launch(
                    draw_kernels.paint,
                    (rows, -(-camera.width // run)),
                    [view, look, shown, self._to_srgb, top + first, run, left, right, color],
                ),
            )

        if self.device.is_cpu:
            self._backdrop.draw(scene, camera, look, shown, color.numpy(), paint)
        else:
            paint(look, shown, (0, camera.width, 0, camera.height))

    def _rasterize(self, scene: Scene, solids: Any, view: Any) -> Any:
        """What meshes show at pixel centres, where a CPU finds it out sooner than by rays.

        That is, when all vertices are in front of the camera; else, and on CUDA, the answer is `known` = 0: cast rays.
        """
        shown: Any = warp_types.Shown()
        shape = (1, 1)
        if self._mesh is not None and scene.meshes and self.device.is_cpu and view.all_in_front:
            shown.known, shape = 1, (view.height, view.width)
        shown.inverse = self._buffer("inverse", shape, float)
        shown.faces = self._buffer("faces", shape, wp.int32)
        shown.weights = self._buffer("weights", shape, wp.vec2)
        shown.inverse.zero_()
        if shown.known:
            assert self._mesh is not None
            points = self._mesh.points
            self._pixels = self._buffer("pixels", (len(points),), wp.vec3)
            self._launch(draw_kernels.project, len(points), [points, view, self._pixels])
            self._bands(
                view.height,
                lambda first, rows: self._launch(
                    draw_kernels.rasterize,
                    1,
                    [solids.faces, solids.closed, self._pixels, view, first, rows, shown],
                ),
            )
        return shown

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
        fine.slots = self._buffer("slots", depth.shape, wp.int32)
        fine.slots.fill_(-1)
        number = 0
        if samples > 1 and not everywhere:
            count = self._buffer("count", (1,), wp.int32)
            count.zero_()
            # in one piece: on a CPU, Warp's atomic operations are not atomic between threads
            self._launch(draw_kernels.mark_edges, view.height, [view, depth, ids, count, fine.slots])
            number = int(count.numpy()[0]) if shown.known else 0
        if samples not in self._places:
            self._places[samples] = self._array(sample_places(samples), wp.vec2)
        fine.places = self._places[samples]
        shape = (-(-max(number, 1) // _ROOM) * _ROOM, samples**2)
        fine.inverse = self._buffer("fine inverse", shape, float)
        fine.faces = self._buffer("fine faces", shape, wp.int32)
        fine.weights = self._buffer("fine weights", shape, wp.vec2)
        fine.inverse.zero_()
        if number:
            self._bands(
                view.height,
                lambda first, rows: self._launch(
                    draw_kernels.rasterize_edges,
                    1,
                    [solids.faces, solids.closed, self._pixels, view, first, rows, fine],
                ),
            )
        return fine

    def prepare(self, scene: Scene, camera: Camera, *, keep_light: bool = False) -> tuple[Any, Any]:
        """Kernel arguments `Solids` and `Look` with all light computed, for this and for other back-ends."""
        solids = warp_types.Solids()
        self._set_capsules(scene, camera, solids)
        key = key_direction(scene, camera)
        if scene.meshes:
            self._set_meshes(scene, camera, solids, key, keep_light)
        look = self._look(scene, key)
        if scene.ground is not None and scene.lights.shadows and (scene.meshes or scene.capsules):
            self._light_ground(scene, solids, look, key)
        return solids, look

    def _set_capsules(self, scene: Scene, camera: Camera, solids: Any) -> None:
        count = sum(len(group.starts) for group in scene.capsules)
        if not count:
            solids.capsules = self._no_capsules
            return
        casting = sum(len(group.starts) for group in scene.capsules if group.casts)
        layout: Any = warp_types.Capsule  # a Warp structure, of which mypy sees the plain class only
        rows: Any = np.zeros(count, dtype=layout.numpy_dtype())
        first = {True: 0, False: casting}  # those that cast shadows stand before the others
        for number, group in enumerate(scene.capsules, len(scene.meshes)):
            start = first[group.casts]
            part = rows[start : start + len(group.starts)]
            part["start"], part["end"], part["radius"] = group.starts, group.ends, group.radii
            part["color"], part["number"] = to_linear(group.colors), number
            part["box"] = capsule_boxes(group, camera)
            first[group.casts] += len(group.starts)
        solids.capsules, solids.num_capsules = self._array(rows, layout), count
        solids.num_casting = casting

    def _set_meshes(
        self, scene: Scene, camera: Camera, solids: Any, key: np.ndarray, keep_light: bool
    ) -> None:
        meshes = scene.meshes
        vertices = self._array(np.concatenate([mesh.vertices for mesh in meshes]), wp.vec3)
        mesh = self._tree(scene, vertices)
        normals = self._buffer("normals", (len(vertices),), wp.vec3)
        normals.zero_()
        self._launch(
            light_kernels.add_face_normals, len(mesh.indices) // 3, [vertices, mesh.indices, normals]
        )
        solids.mesh, solids.faces, solids.closed = mesh.id, self._faces, int(self._closed)
        solids.corners = self._buffer("corners", (len(vertices),), warp_types.Corner)
        if scene.lights.shadows:
            light = self._light_vertices(scene, solids, camera, vertices, normals, key, keep_light)
        else:
            self._lit = 0
            light = self._array(np.ones((len(vertices), 2), np.float32), wp.vec2)
        colors = self._linear_colors(scene)
        self._launch(light_kernels.fill_corners, len(vertices), [normals, colors, light, solids.corners])

    def _linear_colors(self, scene: Scene) -> wp.array:
        """Linear colours of all vertices, kept while the meshes only move."""
        current = [(mesh.color, len(mesh.vertices)) for mesh in scene.meshes]
        if self._colors is not None:
            kept, colors = self._colors
            if len(kept) == len(current) and all(
                a[0] is b[0] and a[1] == b[1] for a, b in zip(kept, current)
            ):
                return colors
        parts = [np.broadcast_to(to_linear(mesh.color), mesh.vertices.shape) for mesh in scene.meshes]
        colors = self._array(np.concatenate(parts), wp.vec3)
        self._colors = current, colors
        return colors

    def _tree(self, scene: Scene, vertices: wp.array) -> wp.Mesh:
        """The tree over all faces: refitted when they are the same as before, else built."""
        parts = tuple(mesh.faces for mesh in scene.meshes)
        counts = [len(mesh.vertices) for mesh in scene.meshes]
        same = len(parts) == len(self._parts) and all(
            a is b or np.array_equal(a, b) for a, b in zip(parts, self._parts)
        )
        if self._mesh is not None and same and counts == self._counts:
            self._mesh.points = vertices
            return self._mesh
        self._lit = 0
        starts = np.cumsum([0, *counts])
        joined = np.concatenate([part + start for part, start in zip(parts, starts)]).astype(np.int32)
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        self._faces = self._array(np.column_stack([joined, numbers]), wp.vec4i)
        self._mesh = wp.Mesh(points=vertices, indices=self._array(joined.reshape(-1), wp.int32))
        self._parts, self._counts = parts, counts
        self._closed = all(is_closed(one.vertices, one.faces) for one in scene.meshes)
        first, place = same_places(vertices.numpy())
        chosen, spread = light_samples(place[joined], len(first))
        self._chosen, self._spread = self._array(first[chosen].astype(np.int32), wp.int32), spread[place]
        coarse = first[coarse_faces(place[joined], len(first), chosen)].astype(np.int32)
        self._coarse = self._array(np.column_stack([coarse, np.zeros(len(coarse), np.int32)]), wp.vec4i)
        return self._mesh

    def _light_vertices(
        self,
        scene: Scene,
        solids: Any,
        camera: Camera,
        vertices: wp.array,
        normals: wp.array,
        key: np.ndarray,
        keep_light: bool,
    ) -> wp.array:
        """Light at some vertices by rays, at the others by smoothing over the mesh."""
        light = self._buffer("light", (len(self._chosen),), wp.vec2)
        towards = self._array(cone(key, scene.lights.softness, 4), wp.vec3)
        every, phase = (_RENEWED, self._lit % _RENEWED) if keep_light and self._lit else (1, 0)
        fixed = [solids.mesh, solids.capsules, solids.num_casting, vertices, normals, self._chosen]
        fixed += [wp.vec3(*camera.position), towards, self._around, scene.scale, every, phase]
        self._bands(
            -(-len(light) // every),
            lambda first, count: self._launch(light_kernels.light_points, count, [*fixed, first, light]),
        )
        self._lit += 1
        return self._array(self._spread @ light.numpy(), wp.vec2)

    def _look(self, scene: Scene, key: np.ndarray) -> Any:
        look, lights, ground = warp_types.Look(), scene.lights, scene.ground
        look.key_direction, look.key, look.sky, look.bounce = (
            wp.vec3(*key),
            lights.key,
            lights.sky,
            lights.bounce,
        )
        top, bottom = to_linear(np.broadcast_to(np.asarray(scene.background, np.float32), (2, 3)))
        look.background_top, look.background_bottom = wp.vec3(*top), wp.vec3(*bottom)
        look.has_ground = int(ground is not None)
        look.texture = self._dark
        look.texel = 1.0
        if ground is not None:
            points = scene.columns
            centre = (points.min(1) + points.max(1)) / 2 if points.shape[1] else np.zeros(3)
            look.centre = wp.vec2(*(ground.centre or centre[:2]))
            look.ground_height, look.square = ground.height, ground.square
            look.ground_light = wp.vec3(*to_linear(ground.light))
            look.ground_dark = wp.vec3(*to_linear(ground.dark))
            look.fade_start, look.fade_end = ground.fade
        return look

    def _light_ground(self, scene: Scene, solids: Any, look: Any, key: np.ndarray) -> None:
        """Fill the texture over the part of the ground that the figures can darken."""
        assert scene.ground is not None
        low, high = shadow_rectangle(scene, key)
        # coarser where the ground is so wide that this alone would take a second
        texel = max(TEXEL * scene.scale, float(np.sqrt(np.prod(high - low) / 1e6)))
        low = (
            np.floor(low / (2 * texel)) * 2 * texel
        )  # texels keep their places while figures move: no shimmer
        columns, rows = (int(x) for x in np.ceil((high - low) / texel) + 1)
        texture = self._buffer("ground", (rows, columns), wp.vec3)
        towards, upper = cone(key, scene.lights.softness, GROUND_RAYS), hemisphere_directions(GROUND_RAYS)
        corner = wp.vec3(*low, scene.ground.height + 0.002 * scene.scale)
        if self.device.is_cpu and towards[:, 2].min() > 0.01:
            self._cast_shadows(scene, solids, corner, texel, towards, upper, texture)
        else:
            fixed = [solids.mesh, solids.capsules, solids.num_casting, corner, texel]
            fixed += [self._array(towards, wp.vec3), self._array(upper, wp.vec3), scene.scale]
            self._launch(light_kernels.light_ground, (rows, columns), [*fixed, 0, texture])
        blocked = texture.numpy()
        smooth = [
            cv2.GaussianBlur(np.ascontiguousarray(blocked[..., i]), (0, 0), metres * scene.scale / texel)
            for i, metres in enumerate(GROUND_BLUR)
        ]
        look.texture_origin, look.texel = wp.vec2(*low), texel
        look.texture = self._array(np.stack(smooth, axis=-1), wp.vec3)

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
        stamps = self._buffer("stamps", texture.shape, wp.int32)
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
        castings = self._array(rows, layout)

        def work(first: int, count: int) -> None:
            common = [castings, first, count, stamps, texture]
            if scene.meshes:
                assert self._mesh is not None
                faces = [self._coarse, solids.closed, self._mesh.points]
                self._launch(light_kernels.cast_faces, 1, [*faces, *common])
            if solids.num_casting:
                self._launch(light_kernels.cast_capsules, 1, [solids.capsules, solids.num_casting, *common])

        self._bands(texture.shape[0], work)

    def _buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> wp.array:
        """An array for use within one image, kept for the next of the same size; its values are those of the last."""
        kept = self._buffers.get(name)
        if kept is None or kept.shape != tuple(shape):
            kept = self._buffers[name] = wp.empty(shape, dtype=dtype, device=self.device)
        return kept

    def _array(self, values: np.ndarray, dtype: Any) -> Any:
        return wp.array(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def _launch(self, kernel: Any, dim: int | tuple[int, ...], arguments: list[Any]) -> None:
        wp.launch(kernel, dim=dim, inputs=arguments, device=self.device)

    def _bands(self, count: int, work: Callable[[int, int], None]) -> None:
        """Run `work(first, number)` over bands of 0..count, in threads on the CPU."""
        if self._pool is None:
            work(0, count)
            return
        size = -(-count // (self.threads * 4))  # several bands a thread: figures fill rows unevenly
        tasks = [self._pool.submit(work, first, min(size, count - first)) for first in range(0, count, size)]
        for task in tasks:
            task.result()


@lru_cache(maxsize=1)
def start_warp() -> None:
    """Initialise Warp without its greeting.

    Its native part writes to the error stream when there is no CUDA driver, whatever the log level: that is normal on
    a machine without a GPU, so the stream is turned away for the moment.
    """
    try:
        kept = os.dup(2)
    except OSError:  # no error stream at all
        wp.init()
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            wp.init()
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def usable_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
