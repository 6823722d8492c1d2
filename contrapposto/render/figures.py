"""Figures as kernels take them: meshes joined into one with the light at their vertices, capsules in one array."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from contrapposto.render import draw_kernels, light_kernels, warp_types
from contrapposto.render.camera import Camera
from contrapposto.render.launching import Launcher
from contrapposto.render.lighting import (
    coarse_faces,
    cone,
    is_closed,
    light_samples,
    same_places,
    sphere_directions,
    to_linear,
)
from contrapposto.render.scene import Scene
from contrapposto.render.view import capsule_boxes

_RENEWED = 3  # where light is kept, one sample of so many is new


class Figures:
    """Keeps the tree over the faces, colours and light from one image to the next when the faces stay the same.

    Attributes:
        mesh: all faces, refitted when only vertices change; None before the first.
        coarse: faces that cast shadows on the ground, and 0.
    """

    def __init__(self, on: Launcher) -> None:
        self._on = on
        self.mesh: wp.Mesh | None = None
        self._parts: tuple[np.ndarray, ...] = ()
        self._counts: list[int] = []
        self._around = on.array(sphere_directions(16), wp.vec3)
        self._no_capsules = wp.zeros(1, dtype=warp_types.Capsule, device=on.device)
        self._colors: tuple[list[Any], wp.array] | None = None
        self._lit = 0  # images in a row whose light was kept from one to the next, with the first

    def set_capsules(self, scene: Scene, camera: Camera, solids: Any) -> None:
        """Put all capsules into `Solids`."""
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
        solids.capsules, solids.num_capsules = self._on.array(rows, layout), count
        solids.num_casting = casting

    def set_meshes(
        self, scene: Scene, camera: Camera, solids: Any, key: np.ndarray, keep_light: bool
    ) -> None:
        """Put all meshes into `Solids`; `key` is the direction of the key light."""
        meshes = scene.meshes
        vertices = self._on.array(np.concatenate([mesh.vertices for mesh in meshes]), wp.vec3)
        mesh = self._tree(scene, vertices)
        normals = self._on.buffer("normals", (len(vertices),), wp.vec3)
        normals.zero_()
        self._on.launch(
            light_kernels.add_face_normals, len(mesh.indices) // 3, [vertices, mesh.indices, normals]
        )
        solids.mesh, solids.faces, solids.closed = mesh.id, self.faces, int(self._closed)
        solids.corners = self._on.buffer("corners", (len(vertices),), warp_types.Corner)
        if scene.lights.shadows:
            light = self._light_vertices(scene, solids, camera, vertices, normals, key, keep_light)
        else:
            self._lit = 0
            light = self._on.array(np.ones((len(vertices), 2), np.float32), wp.vec2)
        colors = self._linear_colors(scene)
        self._on.launch(light_kernels.fill_corners, len(vertices), [normals, colors, light, solids.corners])

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
        colors = self._on.array(np.concatenate(parts), wp.vec3)
        self._colors = current, colors
        return colors

    def _tree(self, scene: Scene, vertices: wp.array) -> wp.Mesh:
        """The tree over all faces: refitted when they are the same as before, else built."""
        parts = tuple(mesh.faces for mesh in scene.meshes)
        counts = [len(mesh.vertices) for mesh in scene.meshes]
        same = len(parts) == len(self._parts) and all(
            a is b or np.array_equal(a, b) for a, b in zip(parts, self._parts)
        )
        if self.mesh is not None and same and counts == self._counts:
            self.mesh.points = vertices
            return self.mesh
        self._lit = 0
        starts = np.cumsum([0, *counts])
        joined = np.concatenate([part + start for part, start in zip(parts, starts)]).astype(np.int32)
        numbers = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        self.faces = self._on.array(np.column_stack([joined, numbers]), wp.vec4i)
        self.mesh = wp.Mesh(points=vertices, indices=self._on.array(joined.reshape(-1), wp.int32))
        self._parts, self._counts = parts, counts
        self._closed = all(is_closed(one.vertices, one.faces) for one in scene.meshes)
        first, place = same_places(vertices.numpy())
        chosen, spread = light_samples(place[joined], len(first))
        self._chosen, self._spread = self._on.array(first[chosen].astype(np.int32), wp.int32), spread[place]
        coarse = first[coarse_faces(place[joined], len(first), chosen)].astype(np.int32)
        self.coarse = self._on.array(np.column_stack([coarse, np.zeros(len(coarse), np.int32)]), wp.vec4i)
        return self.mesh

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
        light = self._on.buffer("light", (len(self._chosen),), wp.vec2)
        towards = self._on.array(cone(key, scene.lights.softness, 4), wp.vec3)
        self._lit = self._lit if keep_light else 0  # so that images do not depend on those before
        every, phase = (_RENEWED, self._lit % _RENEWED) if self._lit else (1, 0)
        fixed = [solids.mesh, solids.capsules, solids.num_casting, vertices, normals, self._chosen]
        fixed += [wp.vec3(*camera.position), towards, self._around, scene.scale, every, phase]
        self._on.bands(
            -(-len(light) // every),
            lambda first, count: self._on.launch(light_kernels.light_points, count, [*fixed, first, light]),
        )
        self._lit += 1
        return self._on.array(self._spread @ light.numpy(), wp.vec2)

    def color_vertices(self, solids: Any, look: Any, camera: Camera) -> None:
        """Fill the colours that the camera sees, between which pixels of small faces are interpolated."""
        assert self.mesh is not None
        points = self.mesh.points
        solids.colors = self._on.buffer("seen colors", points.shape, wp.vec3)
        eye = wp.vec3(*camera.position)
        self._on.launch(draw_kernels.color_vertices, len(points), [points, solids, look, eye, solids.colors])
        solids.smooth = 1
