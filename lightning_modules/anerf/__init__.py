"""A-NeRF: training of avatars from images."""

from lightning_modules.anerf.avatar import ANeRFModule

__all__ = ["ANeRFModule"]
