"""Avatars of 3D Gaussians on a skinned body: drawn and trained in milliseconds per image on one CPU core."""

from contrapposto.systems.anerf.splats.model import SplatAvatar, SplatOptions
from contrapposto.systems.anerf.splats.renderer import SplatRenderer

__all__ = ["SplatAvatar", "SplatOptions", "SplatRenderer"]
