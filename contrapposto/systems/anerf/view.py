"""A camera, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """A camera and its image.

    Args:
        camera_to_world: (4, 4), NeRF axes.
        focal: (2,) pixels.
        height, width: pixels.
        centre: (2,) principal point (x, y); None: the middle.
    """

    camera_to_world: Tensor
    focal: Tensor
    height: int
    width: int
    centre: Tensor | None = None

    def to(self, device: torch.device) -> View:
        """The same camera on another device."""
        centre = None if self.centre is None else self.centre.to(device)
        return View(self.camera_to_world.to(device), self.focal.to(device), self.height, self.width, centre)

    def scaled(self, factor: float) -> View:
        """The same camera with an image of another size."""
        centre = None if self.centre is None else self.centre * factor
        size = round(self.height * factor), round(self.width * factor)
        return View(self.camera_to_world, self.focal * factor, *size, centre)


@dataclass(frozen=True)
class Rendered:
    """What a camera sees.

    Args:
        colour: (H, W, 3) in about [0, 1], premultiplied by the opacity.
        opacity: (H, W).
        depth: (H, W) camera depth, world units; infinite where the opacity is below a tenth.
        low, high: (2,) half-open box (x, y) of the figure's cylinder: nothing is computed outside.
    """

    colour: Tensor
    opacity: Tensor
    depth: Tensor
    low: Tensor
    high: Tensor

    def to(self, device: torch.device) -> Rendered:
        """The same image on another device."""
        return Rendered(*(getattr(self, field.name).to(device) for field in fields(self)))

    def over(self, background: Tensor) -> Tensor:
        """(H, W, 3) in [0, 1] on a background (H, W, 3) or (3,)."""
        return (self.colour + (1 - self.opacity[..., None]) * background).clamp(0, 1)
