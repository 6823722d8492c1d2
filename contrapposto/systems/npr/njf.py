"""The baseline of NPR's tables: Neural Jacobian Fields, Aigerman et al. 2022 (docs/specs/npr.md, section 10).

A PointNet reads the posed source as one code; a network maps the code and a face of the template to its Jacobian. There
is nothing local in the code, which is what NPR changes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapposto.mesh.operators import face_centroids, face_normals
from contrapposto.mesh.poisson import PoissonSolver


class PointNet(nn.Module):
    """Points with features to one code: a shared network, then the maximum over points (Qi et al., CVPR 2017).

    Args:
        inputs: channels of a point.
        width: of the code.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        sizes = (inputs, 64, 128, width)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in sizes[1:])

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, C) to (B, width)."""
        for layer, norm in zip(self.layers, self.norms):
            points = F.relu(norm(layer(points)))
        return points.amax(dim=1)


class NeuralJacobianFields(nn.Module):
    """A posed mesh to Jacobians of any template; used like `NPR`.

    Args:
        code: size of the pose's code.
        width, layers: of the network that maps faces.
    """

    output: Literal["jacobians"] = "jacobians"

    def __init__(self, code: int = 256, width: int = 256, layers: int = 5) -> None:
        super().__init__()
        self.encoder = PointNet(6, code)
        sizes = (code + 6, *[width] * (layers - 1), 9)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in sizes[1:-1])

    def encode(self, template: PoissonSolver, vertices: Tensor) -> Tensor:
        """Poses (B, V, 3) of a source to codes (B, C)."""
        return self.encoder(_surface(vertices, template.faces.to(vertices.device)))

    def decode(self, template: PoissonSolver, code: Tensor) -> Tensor:
        """Codes (B, C) to Jacobians (B, F, 9) of a template."""
        places = _surface(template.vertices.to(code)[None], template.faces.to(code.device))
        # The code is the same on all faces: its share of the first layer is computed once.
        size, first = code.shape[1], self.layers[0]
        hidden = F.linear(places, first.weight[:, size:], first.bias)  # type: ignore[index, arg-type]
        hidden = hidden + F.linear(code, first.weight[:, :size])[:, None]  # type: ignore[index]
        for layer, norm in zip(list(self.layers)[1:], self.norms):
            hidden = layer(F.relu(norm(hidden)))
        return hidden

    def apply_pose(self, template: PoissonSolver, code: Tensor, pins: Tensor | None = None) -> Tensor:
        """Vertices (B, V, 3) of the template in the poses."""
        return template.solve(self.decode(template, code), pins)

    def forward(self, template: PoissonSolver, vertices: Tensor) -> Tensor:
        """Reconstruct poses (B, V, 3) of the template itself, pinned where they are pinned."""
        return self.apply_pose(template, self.encode(template, vertices), template.pinned(vertices))


def _surface(vertices: Tensor, faces: Tensor) -> Tensor:
    """(B, V, 3) to (B, F, 6): centroids and normals."""
    return torch.cat([face_centroids(vertices, faces), face_normals(vertices, faces)], dim=-1)
