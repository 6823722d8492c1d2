"""One call for all renderers.

`warp` draws everywhere. `nvdiffrast` and `pytorch3d` rasterise on a CUDA device: they find which face each sample
shows, the light is that of the Warp kernels, so that images of different back-ends are alike.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import lru_cache
from typing import Protocol

from contrapposto.devices import drawing_device
from contrapposto.errors import ConfigError, MissingError, nearest
from contrapposto.render.camera import Camera
from contrapposto.render.scene import RenderedImage, Scene

BACKENDS = ("warp", "nvdiffrast", "pytorch3d")
_INSTALL = {
    "nvdiffrast": "pip install diffrp-nvdiffrast  (builds itself with the CUDA toolkit's nvcc)",
    "pytorch3d": "pip install easypytorch3d  (CUDA wheels), or build pytorch3d from its repository",
}
_local = threading.local()


class Renderer(Protocol):
    """What every back-end offers."""

    def render(self, scene: Scene, camera: Camera, *, samples: int = 2) -> RenderedImage:
        """Draw a scene; `samples` x `samples` points are taken in a pixel at edges."""
        ...


def render(
    scene: Scene, camera: Camera, *, backend: str = "warp", device: str | None = None, samples: int = 2
) -> RenderedImage:
    """Draw a scene.

    A renderer is kept for each thread, back-end and device: consecutive calls with the same faces (`Mesh.moved`) reuse
    its structures.

    Args:
        scene: figures, ground, light.
        camera: where from; its size is the image's.
        backend: `warp`, `nvdiffrast` or `pytorch3d`.
        device: `cpu`, `cuda:0`, ...; None takes CUDA where there is one.
        samples: samples x samples points are taken in pixels at edges; 1 turns smoothing off.

    Raises:
        InputError: the scene or camera cannot be drawn (see their classes).
        ConfigError: no such back-end or device.
        MissingError: the back-end's package or a CUDA device is absent.
    """
    device = drawing_device(device)
    kept = _local.__dict__.setdefault("renderers", {})
    key = (backend, device)
    if key not in kept:
        kept[key] = make_renderer(backend, device)
    image: RenderedImage = kept[key].render(scene, camera, samples=samples)
    return image


def make_renderer(backend: str = "warp", device: str | None = None, threads: int | None = None) -> Renderer:
    """A renderer of one's own, for one thread; arguments and errors as in `render`."""
    if backend not in BACKENDS:
        raise ConfigError(
            f"There is no render back-end {backend!r}.",
            expected=", ".join(BACKENDS),
            fix=f"try {nearest(backend, BACKENDS)}",
        )
    if backend == "warp":
        from contrapposto.render.raycast import Raycaster

        return Raycaster(device, threads)
    require(backend)
    from contrapposto.render.raster import NvdiffrastRenderer, Pytorch3dRenderer

    return (NvdiffrastRenderer if backend == "nvdiffrast" else Pytorch3dRenderer)(
        drawing_device(device) or "cuda:0"
    )


def require(backend: str) -> None:
    """Raise MissingError when the package of an optional back-end, or a CUDA device, is absent."""
    why = why_missing(backend)
    if why:
        raise MissingError(
            f"The render back-end {backend} cannot be used here.",
            found=why,
            fix=f"{_INSTALL.get(backend, '')}; or use backend=warp, which draws the same images everywhere",
        )


@lru_cache(maxsize=8)
def why_missing(backend: str) -> str:
    """Why an optional back-end cannot run here; empty when it can."""
    import torch

    if importlib.util.find_spec(backend) is None:
        return f"the package {backend} is not installed"
    if not torch.cuda.is_available():
        return "no CUDA device"
    return ""
