"""One call for all renderers.

`warp` draws everywhere. `nvdiffrast` and `pytorch3d` rasterise on a CUDA device: they find which face each sample
shows, the light is that of the Warp kernels, so that images of different back-ends are alike. nvdiffrast's licence
forbids commercial use.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import threading
from functools import lru_cache
from typing import Protocol

from contrapposto.devices import drawing_device
from contrapposto.errors import ConfigError, MissingError, nearest
from contrapposto.render.camera import Camera
from contrapposto.render.scene import RenderedImage, Scene

BACKENDS = ("warp", "nvdiffrast", "pytorch3d")
INSTALL = {
    "nvdiffrast": "pip install diffrp-nvdiffrast ninja  (compiles itself with nvcc; its licence is NON-COMMERCIAL)",
    "pytorch3d": "pip install --no-build-isolation pipablepytorch3d==0.7.6  (compiles with nvcc for your torch); "
    "easypytorch3d 0.7.9 loads neither with torch 2.13 nor with a CUDA 12 build",
}
"""How each optional back-end comes to be there."""
_SOURCES = {"nvdiffrast": ("nvcc", "ninja")}  # tools that compile it when it is first used
_local = threading.local()


class Renderer(Protocol):
    """What every back-end offers."""

    def render(
        self, scene: Scene, camera: Camera, *, samples: int = 2, keep_light: bool = False
    ) -> RenderedImage:
        """Draw a scene; `samples` x `samples` points are taken in a pixel at edges. See `Raycaster.render`."""
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
        backend: `warp`, `nvdiffrast` (for non-commercial use only) or `pytorch3d`.
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
        try:
            from contrapposto.render.raycast import Raycaster
        except ModuleNotFoundError as error:
            raise MissingError(
                "Images are drawn with the package warp-lang, which is not installed.",
                found=str(error),
                fix="pip install warp-lang",
            ) from error
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
            fix=f"{INSTALL.get(backend, '')}; or use backend=warp, which draws the same images everywhere",
        )


@lru_cache(maxsize=8)
def why_missing(backend: str) -> str:
    """Why an optional back-end cannot run here; empty when it can."""
    import torch

    why = why_not_loaded(backend)
    if why:
        return why
    return "" if torch.cuda.is_available() else "no CUDA device"


@lru_cache(maxsize=8)
def why_not_loaded(backend: str) -> str:
    """Why the package of an optional back-end cannot be imported here; empty when it can, whatever the devices."""
    import torch

    if importlib.util.find_spec(backend) is None:
        return f"the package {backend} is not installed"
    tools = [name for name in _SOURCES.get(backend, ()) if shutil.which(name) is None]
    if tools:
        return f"{backend} is installed, but compiles itself with {' and '.join(tools)}, absent from PATH"
    module = {"nvdiffrast": "nvdiffrast.torch", "pytorch3d": "pytorch3d._C"}.get(backend, backend)
    try:
        importlib.import_module(module)
    except Exception as error:  # a build for another torch or CUDA fails in many ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"{backend} is installed, but cannot be loaded by torch {torch.__version__}: {reason}"
    return ""
