"""Optional back-ends that rasterise triangles on a CUDA device: nvdiffrast and PyTorch3D.

They answer one question, which face each sample shows and where in it; light and colour come from the kernels of the
ray caster, so that the images agree up to samples at edges. Capsules are drawn as fine meshes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import warp as wp
from torch import Tensor

from contrapposto.errors import InputError
from contrapposto.render import draw_kernels
from contrapposto.render.camera import Camera, check_size
from contrapposto.render.lighting import srgb_table
from contrapposto.render.raycast import Raycaster
from contrapposto.render.scene import RenderedImage, Scene
from contrapposto.render.view import make_view, refuse_inside

NEAR, FAR = 0.01, 1000.0
"""Depths in metres between which these back-ends draw."""


class RasterRenderer(ABC):
    """Scenes drawn from a rasteriser's visibility.

    Args:
        device: a device that both torch and Warp name so, such as `cuda:0`.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._light = Raycaster(device)
        self._table = srgb_table()

    @abstractmethod
    def visibility(self, points: Tensor, faces: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """Nearest face at each pixel centre.

        Args:
            points: (V, 3) float32 vertices in camera axes, metres.
            faces: (F, 3) int32.
            camera: its intrinsics and size are used.

        Returns:
            Faces (H, W) int32, -1 where there is none, and perspective-correct barycentric weights (H, W, 3) float32.
        """

    def render(
        self, scene: Scene, camera: Camera, *, samples: int = 2, keep_light: bool = False
    ) -> RenderedImage:
        """Draw a scene; `samples` x `samples` points are taken in every pixel. Errors as in `Raycaster.render`."""
        if not 1 <= samples <= 8:
            raise InputError(f"{samples} samples along a pixel's side cannot be taken.", expected="1 to 8")
        check_size(camera.width, camera.height, samples**2)
        refuse_inside(scene, camera)
        solid = replace(scene, meshes=[*scene.meshes, *(g.to_mesh() for g in scene.capsules)], capsules=())
        solids, look = self._light.prepare(solid, camera, keep_light=keep_light)
        faces, weights, points = self._visible(solid, camera)
        depth, ids = self._buffers(solid, faces, weights, points)
        fine = camera.resized(samples)
        if samples > 1:
            faces, weights, _ = self._visible(solid, fine)
        linear = wp.empty((fine.height, fine.width), dtype=wp.vec3, device=self.device)
        if faces.is_cuda:
            torch.cuda.synchronize(faces.device)  # Warp works in a stream of its own
        arguments = [
            wp.from_torch(faces.contiguous()),
            wp.from_torch(weights[..., :2].contiguous(), dtype=wp.vec2),
            linear,
        ]
        inputs = [solids, look, make_view(solid, fine), *arguments]
        wp.launch(draw_kernels.shade, dim=(fine.height, fine.width), inputs=inputs, device=self.device)
        blocks = linear.numpy().reshape(camera.height, samples, camera.width, samples, 3)
        mean = np.clip(blocks.mean(axis=(1, 3)), 0, 1)
        color = self._table[np.round(mean * 4095).astype(np.int64)]
        return RenderedImage(color, depth, ids >= 0, ids)

    def _visible(self, scene: Scene, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
        """Faces, weights, and the vertices in camera axes."""
        if not scene.meshes:
            shape = (camera.height, camera.width)
            empty = torch.full(shape, -1, dtype=torch.int32, device=self.device)
            return empty, torch.zeros(*shape, 3, device=self.device), torch.zeros(0, 3, device=self.device)
        vertices = np.concatenate([mesh.vertices for mesh in scene.meshes])
        points = torch.from_numpy(camera.to_camera(vertices).astype(np.float32)).to(self.device)
        faces, weights = self.visibility(points, self._faces(scene), camera)
        return faces, weights, points

    def _faces(self, scene: Scene) -> Tensor:
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in scene.meshes)])
        joined = np.concatenate([mesh.faces + start for mesh, start in zip(scene.meshes, starts)])
        return torch.from_numpy(joined.astype(np.int32)).to(self.device)

    def _buffers(
        self, scene: Scene, faces: Tensor, weights: Tensor, points: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Depth along the viewing axis and ids."""
        if not scene.meshes:
            return np.full(faces.shape, np.inf, np.float32), np.full(faces.shape, -1, np.int32)
        shown = faces >= 0
        corners = self._faces(scene)[faces.clamp_min(0).long()].long()
        depth = (points[:, 2][corners] * weights).sum(-1)
        depth = torch.where(shown, depth, torch.full_like(depth, torch.inf))
        numbers = np.repeat(np.arange(len(scene.meshes)), [len(mesh.faces) for mesh in scene.meshes])
        ids = np.where(shown.cpu().numpy(), numbers[faces.clamp_min(0).cpu().numpy()], -1)
        return depth.cpu().numpy().astype(np.float32), ids.astype(np.int32)


class NvdiffrastRenderer(RasterRenderer):
    """Visibility by nvdiffrast's CUDA rasteriser."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        import nvdiffrast.torch as nvdiffrast

        self._nvdiffrast: Any = nvdiffrast
        self._context = nvdiffrast.RasterizeCudaContext(device=device)

    def visibility(self, points: Tensor, faces: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """See `RasterRenderer.visibility`."""
        # Older versions want sides that are multiples of 8: draw a little more and cut it off.
        height, width = (-(-side // 8) * 8 for side in (camera.height, camera.width))
        clip = clip_coordinates(points, camera, width, height)
        drawn, _ = self._nvdiffrast.rasterize(self._context, clip[None], faces, resolution=[height, width])
        drawn = drawn[0, : camera.height, : camera.width]
        first, second = drawn[..., 0], drawn[..., 1]
        return drawn[..., 3].to(torch.int32) - 1, torch.stack([first, second, 1 - first - second], dim=-1)


class Pytorch3dRenderer(RasterRenderer):
    """Visibility by PyTorch3D's rasteriser."""

    def visibility(self, points: Tensor, faces: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
        """See `RasterRenderer.visibility`."""
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes

        screen = ndc_coordinates(points, camera)
        behind = bool((points[:, 2] < NEAR).any())
        nearest, _, weights, _ = rasterize_meshes(
            Meshes(verts=[screen], faces=[faces.long()]),
            image_size=(camera.height, camera.width),
            blur_radius=0.0,
            faces_per_pixel=1,
            perspective_correct=True,
            z_clip_value=NEAR if behind else None,
        )
        return nearest[0, ..., 0].to(torch.int32), weights[0, ..., 0, :]


def clip_coordinates(points: Tensor, camera: Camera, width: int, height: int) -> Tensor:
    """(V, 4) OpenGL clip coordinates of points in camera axes, for a viewport of `width` x `height` pixels.

    Row 0 of nvdiffrast's images is at y = -1, that of ours at the top: y is not turned over.
    """
    x, y, z = points.unbind(-1)
    across = 2 * (camera.fx * x + camera.cx * z) / width - z
    down = 2 * (camera.fy * y + camera.cy * z) / height - z
    return torch.stack(
        [across, down, z * (FAR + NEAR) / (FAR - NEAR) - 2 * FAR * NEAR / (FAR - NEAR), z], dim=-1
    )


def ndc_coordinates(points: Tensor, camera: Camera) -> Tensor:
    """(V, 3) PyTorch3D's screen coordinates: x to the left, y up, the shorter side from -1 to 1, z the depth."""
    x, y, z = points.unbind(-1)
    half = min(camera.width, camera.height) / 2
    depth = torch.where(z.abs() < 1e-6, torch.full_like(z, 1e-6), z)
    across = (camera.width / 2 - camera.cx - camera.fx * x / depth) / half
    up = (camera.height / 2 - camera.cy - camera.fy * y / depth) / half
    return torch.stack([across, up, z], dim=-1)
