"""A small network that finds the points of one stylised figure in a square window of an image.

Residual blocks down to 4 x 4 cells, then up again with sums (as in Lin et al., Feature Pyramid Networks, CVPR 2017). For
each point a distribution over 32 x 32 cells, with a depth from the hips; for the window whether there is a figure, and
which points are in it. The points are the first 14 of OpenPose's body (nose, neck, right shoulder, ...) and the top of the
head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from contrapposto.errors import InputError, MissingError
from contrapposto.files import ASSETS
from contrapposto.weights import load_file_safely

NUM_POINTS = 15
"""The first 14 of OpenPose's body (nose, neck, right shoulder, ...) and the top of the head."""
MIRRORED = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14)
"""The point of the other side for each point."""
WINDOW = 128
"""Height and width of what the network sees, pixels."""
CELLS = 32
SHIPPED = ASSETS / "figure" / "figure.safetensors"


@dataclass(frozen=True, eq=False)
class FigureOutput:
    """What the network gives for B windows.

    Attributes:
        heat: (B, 15, 32, 32) logits over the cells.
        depth: (B, 15, 32, 32) depth from the hips at each cell, in sides of the window.
        seen: (B, 15) logits: the point is in the window.
        present: (B,) logits: there is a figure.
    """

    heat: Tensor
    depth: Tensor
    seen: Tensor
    present: Tensor


class FigureNet(nn.Module):
    """The network.

    Args:
        widths: channels at 32, 16, 8 and 4 cells.
        blocks: residual blocks at each.
        decoder: channels on the way up.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (32, 80, 160, 192),
        blocks: tuple[int, ...] = (0, 2, 3, 2),
        decoder: int = 40,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        before = 3
        for width, count in zip(widths, blocks):
            # Straight to cells of 4 x 4 pixels: layers for finer ones would cost more than all others.
            down = _convolution(before, width, 3, 2) if stages else _convolution(before, width, 7, 4)
            stages.append(nn.Sequential(down, *(_Block(width) for _ in range(count))))
            before = width
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(nn.Conv2d(width, decoder, 1) for width in widths)
        self.smooth = nn.ModuleList(_Block(decoder) for _ in widths[:-1])
        self.points = nn.Conv2d(decoder, 2 * NUM_POINTS, 1)
        self.window = nn.Sequential(nn.Linear(widths[-1], 128), nn.ReLU(), nn.Linear(128, NUM_POINTS + 1))

    @classmethod
    def from_pretrained(cls, path: str | Path = SHIPPED) -> FigureNet:
        """The trained network in evaluation mode: the shipped one, or a file with the same weights.

        Raises:
            MissingError: there is no such file.
            InputError: a file of something else.
        """
        if not Path(path).is_file():
            raise MissingError(
                f"{path} is not there.",
                expected="the network that finds stylised characters (part of the package)",
                fix="install the package again, or python contrapposto/assets/figure/build.py",
            )
        content = load_file_safely(path)
        network = cls()
        try:
            state = {name: value.float() for name, value in content.items()}
            # The shipped file leaves out how many batches were seen, which only training needs.
            missing, unknown = network.load_state_dict(state, strict=False)
            if unknown or any(not name.endswith("num_batches_tracked") for name in missing):
                raise RuntimeError(f"{len(missing)} arrays missing, {len(unknown)} unknown")
        except (RuntimeError, AttributeError) as error:
            raise InputError(
                f"{path} does not hold the network that finds stylised characters.",
                found=str(error).splitlines()[0],
                expected="weights of model=scail_figure",
                fix="install the package again, or python contrapposto/assets/figure/build.py",
            ) from error
        return network.eval()

    def forward(self, images: Tensor) -> FigureOutput:
        """Look at windows (B, 3, 128, 128), colours in [0, 1]."""
        features, levels = 2 * images - 1, []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        window = self.window(features.mean((2, 3)))
        result = self.lateral[-1](levels[-1])
        for number in reversed(range(len(levels) - 1)):
            result = self.smooth[number](
                self.lateral[number](levels[number]) + nn.functional.interpolate(result, scale_factor=2.0)
            )
        heat, depth = self.points(result).chunk(2, dim=1)
        return FigureOutput(heat, depth, window[:, 1:], window[:, 0])


class _Block(nn.Module):
    """A residual block with a narrow 3 x 3 convolution in the middle."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _convolution(width, width // 2, 1),
            _convolution(width // 2, width // 2, 3),
            nn.Conv2d(width // 2, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.inner(features))


def _convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def read_points(output: FigureOutput) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points (B, 15, 2) in pixels of the window, their depths (B, 15) in the same unit, scores, and presence (B,).

    A point is the mean of the cells about the likeliest one; its score is the share of the distribution there times the
    probability that it is in the window.
    """
    chance = output.heat.flatten(2).softmax(-1).unflatten(2, (CELLS, CELLS))
    best = chance.flatten(2).argmax(-1)
    row, column = best // CELLS, best % CELLS
    number = torch.arange(CELLS, device=chance.device)
    near = ((number - row[..., None]).abs() <= 2)[..., :, None] & ((number - column[..., None]).abs() <= 2)[
        ..., None, :
    ]
    local = chance * near
    mass = local.sum((2, 3))
    x = (local.sum(2) * number).sum(-1) / mass
    y = (local.sum(3) * number).sum(-1) / mass
    step = WINDOW / CELLS
    points = (torch.stack([x, y], dim=-1) + 0.5) * step
    depth = (local * output.depth).sum((2, 3)) / mass * WINDOW
    return points, depth, mass * output.seen.sigmoid(), output.present.sigmoid()


def edge_color(image: np.ndarray) -> list[float]:
    """What windows show beyond an image (H, W, 3): its edges drawn out would be stripes, which look like limbs."""
    edges = np.concatenate([image[[0, -1]].reshape(-1, 3), image[:, [0, -1]].reshape(-1, 3)])
    return [float(value) for value in np.median(edges, axis=0)]
