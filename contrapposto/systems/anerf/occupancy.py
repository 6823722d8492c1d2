"""Where the density of one pose is: a grid of cells that states which samples can be left out.

See docs/specs/anerf.md, section 14.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapposto.systems.anerf.capsules import Capsules, bone_segments, segment_distance
from contrapposto.systems.anerf.model import ANeRF
from contrapposto.systems.anerf.volume_rendering import activated


@dataclass(frozen=True)
class OccupancyGrid:
    """Cells around a posed figure.

    Args:
        low: (3,) corner with the smallest coordinates, world units.
        cell: side of a cell.
        occupied: (X, Y, Z) bool; outside of the grid nothing is.
    """

    low: Tensor
    cell: float
    occupied: Tensor

    def holds(self, points: Tensor) -> Tensor:
        """(N,) bool whether points (N, 3) lie in occupied cells."""
        place = ((points - self.low) / self.cell).floor().long()
        size = torch.tensor(self.occupied.shape, device=points.device)
        inside = ((place >= 0) & (place < size)).all(-1)
        x, y, z = place.clamp_min(0).minimum(size - 1).unbind(-1)
        return inside & self.occupied[x, y, z]


@torch.no_grad()
def occupancy_grid(
    model: ANeRF,
    world_to_bone: Tensor,
    capsules: Capsules,
    *,
    cell: float = 0.05,
    least: float = 0.01,
    chunk: int = 16384,
) -> OccupancyGrid:
    """Cells of one pose where the density is looked at, from the densities at the corners of all cells in the capsules.

    A cell is occupied where a corner of it or of a neighbour is so dense that a stretch as long as a cell takes the
    share `least` of the light.

    Args:
        model: in evaluation mode.
        world_to_bone: (J, 4, 4).
        capsules: outside of them nothing is.
        cell: side of a cell, world units.
        least: opacity of a cell from which on it is occupied.
        chunk: points at once.
    """
    segments, radii = bone_segments(world_to_bone), capsules.radii.to(world_to_bone)
    ends = torch.stack(list(segments))  # (2, 23, 3)
    low, high = (ends - radii[:, None]).amin((0, 1)), (ends + radii[:, None]).amax((0, 1))
    counts = (((high - low) / cell).ceil().long() + 1).tolist()
    lines = [torch.arange(count, device=low.device) * cell + start for count, start in zip(counts, low)]
    corners = torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).flatten(0, 2)
    dense = torch.zeros(len(corners), dtype=torch.bool, device=low.device)
    for part in torch.arange(len(corners), device=low.device).split(chunk):
        near = part[(segment_distance(corners[part], segments) < radii).any(-1)]
        raw = model.density(corners[near], world_to_bone)
        sigma = activated(raw / model.config.density_scale, model.config.density)
        dense[near] = 1 - torch.exp(-sigma * cell) > least
    grid = dense.view(1, 1, *counts).float()
    # A cell has eight corners; with those of its neighbours, four by four by four.
    spread = F.max_pool3d(F.pad(grid, (1, 1, 1, 1, 1, 1)), 4, stride=1)[0, 0]
    return OccupancyGrid(low, cell, spread > 0)
