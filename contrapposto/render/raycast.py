"""The default renderer: NVIDIA Warp ray casting, the same kernels on the CPU and on CUDA.

Warp's CPU kernels run on one thread and release Python's lock, so a picture is cut into bands of rows that a small
pool of threads works through. Between frames only the vertices change: the tree over the faces is refitted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import warp as wp
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix, csr_matrix, diags, identity

from contrapposto.errors import ConfigError, InputError
from contrapposto.render import kernels
from contrapposto.render.camera import Camera, check_size
from contrapposto.render.scene import Mesh, Picture, Scene

SHADOW_TEXELS = 112
"""Texels along the longer side of the ground's light texture; it covers the figures' shadows only."""
FEW_VERTICES = 4000
"""Up to so many vertices, every one is lit by rays of its own."""


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
        try:
            self.device = wp.get_device(device or ("cuda:0" if wp.is_cuda_available() else "cpu"))
        except Exception as error:
            raise ConfigError(
                f"There is no device {device!r} to render on.", found=str(error), expected="cpu, cuda:0, ..."
            ) from error
        self.threads = (threads or min(usable_cores(), 8)) if self.device.is_cpu else 1
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self._mesh: wp.Mesh | None = None
        self._parts: tuple[np.ndarray, ...] = ()
        self._counts: list[int] = []
        self._to_srgb = self._array(srgb_table(), wp.uint8)

    def render(self, scene: Scene, camera: Camera, *, samples: int = 2, everywhere: bool = False) -> Picture:
        """Draw a scene.

        Args:
            scene: figures, ground, light.
            camera: where from; its size is the picture's.
            samples: samples x samples points are taken in pixels at edges; 1 turns smoothing off.
            everywhere: take them in all pixels.

        Raises:
            InputError: the camera is inside a mesh, or the picture with its samples is too large.
        """
        check_size(camera.width, camera.height, samples**2 if everywhere else 1)
        if not 1 <= samples <= 8:
            raise InputError(f"{samples} samples along a pixel's side cannot be taken.", expected="1 to 8")
        refuse_inside(scene, camera)
        view = make_view(scene, camera)
        solids, look = self.prepare(scene, camera)
        shape, device = (camera.height, camera.width), self.device
        linear = wp.empty(shape, dtype=wp.vec3, device=device)
        depth, ids = (
            wp.empty(shape, dtype=float, device=device),
            wp.empty(shape, dtype=wp.int32, device=device),
        )
        color = wp.empty((*shape, 3), dtype=wp.uint8, device=device)
        run = 64 if device.is_cpu else 1  # a CPU thread copies the kernel's arguments anew for each item
        parts = -(-camera.width // run)
        self._bands(
            camera.height,
            lambda first, rows: self._launch(
                kernels.cast, (rows, parts), [solids, look, view, first, run, linear, depth, ids]
            ),
        )
        arguments = [solids, look, view, samples, int(everywhere), linear, depth, ids, self._to_srgb]
        self._bands(
            camera.height,
            lambda first, rows: self._launch(kernels.finish, (rows, parts), [*arguments, first, run, color]),
        )
        numbers = ids.numpy()
        return Picture(color.numpy(), depth.numpy(), numbers >= 0, numbers)

    def prepare(self, scene: Scene, camera: Camera) -> tuple[Any, Any]:
        """Kernel arguments `Solids` and `Look` with all light computed, for this and for other back-ends."""
        solids = kernels.Solids()
        self._set_capsules(scene, camera, solids)
        key = key_direction(scene, camera)
        if scene.meshes:
            self._set_meshes(scene, camera, solids, key)
        look = self._look(scene, key)
        if scene.ground is not None and scene.lights.shadows and (scene.meshes or scene.capsules):
            self._light_ground(scene, solids, look, key)
        return solids, look

    def _set_capsules(self, scene: Scene, camera: Camera, solids: Any) -> None:
        count = sum(len(group.starts) for group in scene.capsules)
        layout: Any = kernels.Capsule  # a Warp structure, of which mypy sees the plain class only
        rows: Any = np.zeros(max(count, 1), dtype=layout.numpy_dtype())
        first = 0
        for number, group in enumerate(scene.capsules, len(scene.meshes)):
            part = rows[first : first + len(group.starts)]
            part["start"], part["end"], part["radius"] = group.starts, group.ends, group.radii
            part["color"], part["number"] = to_linear(group.colors), number
            part["box"] = capsule_boxes(group, camera)
            first += len(group.starts)
        solids.capsules, solids.num_capsules = self._array(rows, layout), count

    def _set_meshes(self, scene: Scene, camera: Camera, solids: Any, key: np.ndarray) -> None:
        meshes = scene.meshes
        vertices = self._array(np.concatenate([mesh.vertices for mesh in meshes]), wp.vec3)
        mesh = self._tree(scene, vertices)
        normals = wp.zeros(len(vertices), dtype=wp.vec3, device=self.device)
        self._launch(kernels.add_face_normals, len(mesh.indices) // 3, [vertices, mesh.indices, normals])
        solids.mesh, solids.faces = mesh.id, self._faces
        solids.corners = wp.empty(len(vertices), dtype=kernels.Corner, device=self.device)
        if scene.lights.shadows:
            light = self._light_vertices(scene, solids, camera, vertices, normals, key)
        else:
            light = self._array(np.ones((len(vertices), 2), np.float32), wp.vec2)
        joined = np.concatenate([np.broadcast_to(mesh.color, mesh.vertices.shape) for mesh in meshes])
        colors = self._array(to_linear(joined), wp.vec3)
        self._launch(kernels.fill_corners, len(vertices), [normals, colors, light, solids.corners])

    def _tree(self, scene: Scene, vertices: wp.array) -> wp.Mesh:
        """The tree over all faces: refitted when they are the same as before, else built."""
        parts = tuple(mesh.faces for mesh in scene.meshes)
        counts = [len(mesh.vertices) for mesh in scene.meshes]
        same = len(parts) == len(self._parts) and all(a is b for a, b in zip(parts, self._parts))
        if self._mesh is not None and same and counts == self._counts:
            self._mesh.points = vertices
            return self._mesh
        starts = np.cumsum([0, *counts])
        joined = np.concatenate([part + start for part, start in zip(parts, starts)]).astype(np.int32)
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        self._faces = self._array(np.column_stack([joined, numbers]), wp.vec4i)
        self._mesh = wp.Mesh(points=vertices, indices=self._array(joined.reshape(-1), wp.int32))
        self._parts, self._counts = parts, counts
        chosen, self._spread = light_samples(joined, len(vertices))
        self._chosen = self._array(chosen, wp.int32)
        return self._mesh

    def _light_vertices(
        self,
        scene: Scene,
        solids: Any,
        camera: Camera,
        vertices: wp.array,
        normals: wp.array,
        key: np.ndarray,
    ) -> wp.array:
        """Light at some vertices by rays, at the others by smoothing over the mesh."""
        light = wp.empty(len(self._chosen), dtype=wp.vec2, device=self.device)
        towards = self._array(cone(key, scene.lights.softness, 4), wp.vec3)
        around = self._array(sphere_directions(14), wp.vec3)
        fixed = [solids.mesh, solids.capsules, solids.num_capsules, vertices, normals, self._chosen]
        fixed += [wp.vec3(*camera.position), towards, around]
        self._bands(
            len(light), lambda first, count: self._launch(kernels.light_points, count, [*fixed, first, light])
        )
        return self._array(self._spread @ light.numpy(), wp.vec2)

    def _look(self, scene: Scene, key: np.ndarray) -> Any:
        look, lights, ground = kernels.Look(), scene.lights, scene.ground
        look.key_direction, look.key, look.sky, look.bounce = (
            wp.vec3(*key),
            lights.key,
            lights.sky,
            lights.bounce,
        )
        top, bottom = to_linear(np.broadcast_to(np.asarray(scene.background, np.float32), (2, 3)))
        look.background_top, look.background_bottom = wp.vec3(*top), wp.vec3(*bottom)
        look.has_ground = int(ground is not None)
        look.texture = self._array(np.zeros((2, 2, 2), np.float32), wp.vec2)
        look.texel = 1.0
        if ground is not None:
            points = scene.points()
            centre = (points.min(0) + points.max(0)) / 2 if len(points) else np.zeros(3)
            look.centre = wp.vec2(*centre[:2])
            look.ground_height, look.square = ground.height, ground.square
            look.ground_light = wp.vec3(*to_linear(ground.light))
            look.ground_dark = wp.vec3(*to_linear(ground.dark))
            look.fade_start, look.fade_end = ground.fade
        return look

    def _light_ground(self, scene: Scene, solids: Any, look: Any, key: np.ndarray) -> None:
        """Fill the texture over the part of the ground that the figures can darken."""
        assert scene.ground is not None
        low, high = shadow_rectangle(scene, key)
        texel = float(max(high - low)) / SHADOW_TEXELS
        columns, rows = (int(x) for x in np.ceil((high - low) / texel) + 1)
        texture = wp.empty((rows, columns), dtype=wp.vec2, device=self.device)
        towards = self._array(cone(key, scene.lights.softness, 8), wp.vec3)
        upper = self._array(hemisphere_directions(8), wp.vec3)
        corner = wp.vec3(*low, scene.ground.height + 0.002)
        fixed = [solids.mesh, solids.capsules, solids.num_capsules, corner, texel, towards, upper]
        self._bands(
            rows,
            lambda first, count: self._launch(
                kernels.light_ground, (count, columns), [*fixed, first, texture]
            ),
        )
        blocked = texture.numpy()
        smooth = [gaussian_filter(blocked[..., i], metres / texel) for i, metres in enumerate((0.022, 0.05))]
        look.texture_origin, look.texel = wp.vec2(*low), texel
        look.texture = self._array(np.stack(smooth, axis=-1), wp.vec2)

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


def usable_cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_view(scene: Scene, camera: Camera) -> Any:
    """The camera as a kernel argument, with the rectangle of pixels that figures can touch."""
    view = kernels.View()
    right, down, forward = camera.rotation
    view.position = wp.vec3(*camera.position)
    view.right_axis, view.down_axis, view.forward_axis = wp.vec3(*right), wp.vec3(*down), wp.vec3(*forward)
    view.fx, view.fy, view.cx, view.cy = camera.fx, camera.fy, camera.cx, camera.cy
    view.width, view.height = camera.width, camera.height
    size = np.array([camera.width, camera.height])
    points = scene.points()
    low, high = np.zeros(2), np.zeros(2)
    if len(points):
        pixels, depth = camera.project(points)
        if (depth <= kernels.NEAR).any():  # something reaches behind the camera: its outline is not bounded
            high = size.astype(float)
        else:
            low = np.clip(np.floor(pixels.min(0)) - 1, 0, size)
            high = np.clip(np.ceil(pixels.max(0)) + 1, 0, size)
    view.left, view.top = int(low[0]), int(low[1])
    view.right, view.bottom = int(high[0]), int(high[1])
    return view


def capsule_boxes(group: Any, camera: Camera) -> np.ndarray:
    """(N, 4) left, right, top, bottom of each capsule on the image, from boxes around its two ends."""
    corners = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3) * 1.001
    reach = np.asarray(group.radii)[:, None, None] * corners
    points = np.concatenate([group.starts[:, None] + reach, group.ends[:, None] + reach], axis=1)
    pixels, depth = camera.project(points)
    unbounded = (depth <= kernels.NEAR).any(axis=1)
    low, high = np.nan_to_num(pixels).min(1) - 1, np.nan_to_num(pixels).max(1) + 1
    boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=-1)
    boxes[unbounded] = [-1e9, 1e9, -1e9, 1e9]
    return boxes.astype(np.float32)


def key_direction(scene: Scene, camera: Camera) -> np.ndarray:
    """(3,) unit direction towards the key light in the world."""
    direction = np.asarray(scene.lights.direction, np.float64)
    if scene.lights.follows_camera:
        forward = camera.rotation[2] * [1, 1, 0]
        if np.linalg.norm(forward) < 1e-6:
            forward = -camera.rotation[1] * [1, 1, 0]  # looking straight down: upwards in the picture is away
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        direction = direction[0] * right + direction[1] * forward + direction[2] * np.array([0.0, 0.0, 1.0])
    return direction / np.linalg.norm(direction)


def shadow_rectangle(scene: Scene, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (2,), (2,) of the ground below the figures and under their shadows, with room for the blur.

    Shadows longer than three times the height of the figure are cut: a light at the horizon has no end.
    """
    assert scene.ground is not None
    points = scene.points().astype(np.float64)
    height = np.maximum(points[:, 2:] - scene.ground.height, 0)
    slope = key[:2] / max(key[2], 0.3)
    cast = points[:, :2] - height * slope
    both = np.concatenate([points[:, :2], cast])
    return both.min(0) - 0.25, both.max(0) + 0.25


def refuse_inside(scene: Scene, camera: Camera) -> None:
    """Raise InputError when the camera is inside a closed mesh, by the winding number of its faces."""
    eye = camera.position
    for number, mesh in enumerate(scene.meshes):
        if (eye < mesh.vertices.min(0)).any() or (eye > mesh.vertices.max(0)).any():
            continue
        if winding_number(mesh, eye) > 0.5:
            raise InputError(
                f"The camera is inside mesh {number} of the scene.",
                found=f"camera at {eye.round(3).tolist()}",
                fix="move the camera out, or leave the mesh away",
            )


def winding_number(mesh: Mesh, point: np.ndarray) -> float:
    """How often a mesh surrounds a point: the sum of the signed solid angles of its faces by 4 pi.

    (Van Oosterom and Strackee, The solid angle of a plane triangle, 1983.)
    """
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64) - point, 1, 0)
    la, lb, lc = (np.linalg.norm(side, axis=1) for side in (a, b, c))
    volume = np.einsum("fi,fi->f", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("fi,fi->f", *pair) for pair in ((a, b), (b, c), (c, a)))
    return float(np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb).sum() / (2 * np.pi))


def light_samples(faces: np.ndarray, count: int) -> tuple[np.ndarray, csr_matrix]:
    """Vertices (R,) to light by rays, and the (count, R) matrix that spreads their light over all vertices.

    A maximal independent set of the mesh's graph, chosen greedily in vertex order: every vertex is chosen or beside a
    chosen one, a fifth or so of them are. Spreading takes the mean of the chosen ones beside a vertex, twice smoothed.
    Only the faces decide, so that the same figure is lit alike in every pose. Small meshes are lit at all vertices.
    """
    if count <= FEW_VERTICES:
        return np.arange(count, dtype=np.int32), identity(count, dtype=np.float32, format="csr")
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ones = np.ones(len(pairs), np.float32)
    graph = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
    graph = ((graph + graph.T) > 0).astype(np.float32) + identity(count, dtype=np.float32, format="csr")
    taken = np.zeros(count, bool)
    chosen = []
    for vertex in range(count):
        if not taken[vertex]:
            chosen.append(vertex)
            taken[graph.indices[graph.indptr[vertex] : graph.indptr[vertex + 1]]] = True
    average = _row_means(graph)
    spread = average @ (average @ _row_means(graph[:, chosen]))
    return np.array(chosen, np.int32), spread.tocsr()


def _row_means(matrix: csr_matrix) -> csr_matrix:
    return (
        (diags(1 / np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-9)) @ matrix)
        .tocsr()
        .astype(np.float32)
    )


def to_linear(color: Any) -> np.ndarray:
    """sRGB values in [0, 1] to linear light (IEC 61966-2-1)."""
    color = np.asarray(color, np.float32)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_table() -> np.ndarray:
    """(4096,) sRGB bytes of linear light from 0 to 1."""
    linear = np.linspace(0, 1, 4096)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def cone(axis: np.ndarray, angle: float, count: int) -> np.ndarray:
    """(count, 3) unit directions spread over a disc of angular radius `angle` around an axis."""
    side = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    steps = np.arange(count)
    radius = np.sqrt((steps + 0.5) / count) * np.tan(angle)
    turn = steps * np.pi * (3 - np.sqrt(5))
    directions = axis + (radius * np.cos(turn))[:, None] * side + (radius * np.sin(turn))[:, None] * other
    return (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


def sphere_directions(count: int) -> np.ndarray:
    """(count, 3) unit directions evenly over the sphere (a golden spiral)."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=-1).astype(np.float32)


def hemisphere_directions(count: int) -> np.ndarray:
    """(count, 3) upward unit directions, denser overhead (by the cosine)."""
    height = np.sqrt(1 - (np.arange(count) + 0.5) / count)
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    around = np.sqrt(1 - height**2)
    return np.stack([around * np.cos(turn), around * np.sin(turn), height], axis=-1).astype(np.float32)
