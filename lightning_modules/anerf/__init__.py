"""A-NeRF: training of avatars from images."""

from lightning_modules.anerf.avatar import ANeRFModule
from lightning_modules.anerf.splats import SplatModule

__all__ = ["ANeRFModule", "SplatModule"]
