"""From camera and scene to what the kernels need: the view, outlines on the image, a check of where the camera is."""

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from contrapposto.errors import InputError
from contrapposto.render import warp_types
from contrapposto.render.camera import Camera
from contrapposto.render.scene import Capsules, Mesh, Scene


def make_view(scene: Scene, camera: Camera) -> Any:
    """The camera as a kernel argument, with the rectangle of pixels that figures can touch."""
    view = warp_types.View()
    right, down, forward = camera.rotation
    view.position = wp.vec3(*camera.position)
    view.right_axis, view.down_axis, view.forward_axis = wp.vec3(*right), wp.vec3(*down), wp.vec3(*forward)
    view.fx, view.fy, view.cx, view.cy = camera.fx, camera.fy, camera.cx, camera.cy
    view.width, view.height = camera.width, camera.height
    size = np.array([camera.width, camera.height])
    points = scene.columns
    low, high = np.zeros(2), np.zeros(2)
    if points.shape[1]:
        transform = camera.world_to_camera.astype(np.float32)
        x, y, z = transform[:3, :3] @ points + transform[:3, 3:]
        view.all_in_front = int(z.min() > warp_types.NEAR)
        if not view.all_in_front:  # something reaches behind the camera: its outline is not bounded
            high = size.astype(float)
        else:
            across, down = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
            low = np.clip(np.floor([across.min(), down.min()]) - 1, 0, size)
            high = np.clip(np.ceil([across.max(), down.max()]) + 1, 0, size)
    view.left, view.top = int(low[0]), int(low[1])
    view.right, view.bottom = int(high[0]), int(high[1])
    return view


def capsule_boxes(group: Capsules, camera: Camera) -> np.ndarray:
    """(N, 4) left, right, top, bottom of each capsule on the image, from boxes around its two ends."""
    corners = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3) * 1.001
    reach = np.asarray(group.radii)[:, None, None] * corners
    points = np.concatenate([group.starts[:, None] + reach, group.ends[:, None] + reach], axis=1)
    pixels, depth = camera.project(points)
    unbounded = (depth <= warp_types.NEAR).any(axis=1)
    low, high = np.nan_to_num(pixels).min(1) - 1, np.nan_to_num(pixels).max(1) + 1
    boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=-1)
    boxes[unbounded] = [-1e9, 1e9, -1e9, 1e9]
    return boxes.astype(np.float32)


def refuse_inside(scene: Scene, camera: Camera) -> None:
    """Raise InputError when the camera is inside a closed mesh, by the winding number of its faces."""
    eye = camera.position
    if not scene.meshes or (eye < scene.bounds[0]).any() or (eye > scene.bounds[1]).any():
        return
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
