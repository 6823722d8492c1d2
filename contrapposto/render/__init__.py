"""Images and videos of figures: cameras, scenes, ray casting, writing. Nothing heavy is imported until drawn."""

from contrapposto.render.backends import BACKENDS, make_renderer, render
from contrapposto.render.camera import Camera, enclose, follow
from contrapposto.render.motion_sheet import render_motion_sheet
from contrapposto.render.motion_video import render_motion_video
from contrapposto.render.scene import (
    COOL,
    PALETTE,
    WARM,
    Capsules,
    Ground,
    Lights,
    Mesh,
    RenderedImage,
    Scene,
)
from contrapposto.render.video import VideoWriter, write_png

__all__ = [
    "BACKENDS",
    "COOL",
    "PALETTE",
    "WARM",
    "Camera",
    "Capsules",
    "Ground",
    "Lights",
    "Mesh",
    "RenderedImage",
    "Scene",
    "VideoWriter",
    "enclose",
    "follow",
    "make_renderer",
    "render",
    "render_motion_sheet",
    "render_motion_video",
    "write_png",
]
