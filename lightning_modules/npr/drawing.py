"""Images of poses for the media callback."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from contrapposto.mesh.template import Template
from contrapposto.render import COOL, WARM, Mesh
from contrapposto.render.mesh_sheet import render_mesh_sheet, upright

_ROWS = 4
_TRUTH = (0.45, 0.66, 0.47)


def transfer_rows(batch: dict[str, Any], predicted: Tensor) -> np.ndarray:
    """Source pose, result and truth of up to four poses: (H, W, 3) uint8."""
    source, target = batch["source"], batch["target"]
    rows = [
        [
            _mesh(source, batch["vertices"][row], COOL),
            _mesh(target, predicted[row], WARM),
            _mesh(target, batch["truth"][row], _TRUTH),
        ]
        for row in range(min(len(predicted), _ROWS))
    ]
    return render_mesh_sheet(rows, ("source pose", "result", "truth"))


def before_after_rows(batch: dict[str, Any], before: Tensor, after: Tensor) -> np.ndarray:
    """Source pose, the target without and with refinement, of up to four poses: (H, W, 3) uint8."""
    target = batch["target"]
    rows = [
        [
            _mesh(batch["source"], batch["vertices"][row], COOL),
            _mesh(target, before[row], WARM),
            _mesh(target, after[row], WARM),
        ]
        for row in range(min(len(before), _ROWS))
    ]
    return render_mesh_sheet(rows, ("source pose", "not refined", "refined"))


def pose_rows(template: Template, vertices: Tensor) -> np.ndarray:
    """Poses (N, V, 3) of one template in rows of four: (H, W, 3) uint8."""
    meshes = [_mesh(template, pose, WARM) for pose in vertices]
    full = len(meshes) // _ROWS * _ROWS or len(meshes)
    return render_mesh_sheet(
        [meshes[i : i + _ROWS] for i in range(0, full, _ROWS)] if full >= _ROWS else [meshes]
    )


def _mesh(template: Template, vertices: Tensor, color: tuple[float, float, float]) -> Mesh:
    points = vertices.detach().cpu().float().numpy()
    return Mesh(upright(points), template.clean.faces, color)
