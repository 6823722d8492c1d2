"""An avatar that moves in the browser: one HTML file that needs no server and no network."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.files import atomic_path
from contrapposto.systems.anerf.splats.model import SplatAvatar

_PAGE = Path(__file__).parent / "page.html"
_Y_UP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@torch.no_grad()
def write_page(
    path: str | Path, avatar: SplatAvatar, world_to_bone: Tensor, fps: float, metres_per_unit: float
) -> Path:
    """Write the page.

    Args:
        path: the .html file.
        avatar: trained; wrinkles are left out.
        world_to_bone: (F, 24, 4, 4) of the poses that it takes, one after the other, again and again.
        fps: poses per second.
        metres_per_unit: length of a world unit.
    """
    turns, shifts = zip(*(avatar.blends(pose) for pose in torch.linalg.inv(world_to_bone.float())))
    scaled = metres_per_unit * _Y_UP
    moves = torch.cat([scaled @ torch.stack(turns), (scaled @ torch.stack(shifts)[..., None])], dim=-1)
    joints = (torch.linalg.inv(world_to_bone.float())[..., :3, 3] @ scaled).reshape(-1, 3)
    low, high = joints.amin(0), joints.amax(0)
    values = {
        "count": len(avatar),
        "frames": len(moves),
        "fps": fps,
        "centre": ((low + high) / 2).tolist(),
        "radius": float((high - low).norm() / 2) + 0.2,
        "gaussians": _encoded(_table(avatar)),
        "moves": _encoded(moves),
        "light": _encoded(avatar.light),
    }
    page = _PAGE.read_text(encoding="utf-8").replace("@DATA@", json.dumps(values))
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _table(avatar: SplatAvatar) -> Tensor:
    """(N, 27): position, scaled axes one after the other, normal, colour, opacity, joints, weights."""
    unit = torch.nn.functional.normalize(avatar.rotation, dim=1)
    turn = avatar.frame @ rot.quaternion_to_matrix(unit)
    axes = turn * avatar.log_scale.exp()[:, None]
    parts = [
        avatar.position + avatar.offset,
        axes.transpose(1, 2).flatten(1),
        turn[:, :, 2],
        torch.sigmoid(avatar.colour),
        torch.sigmoid(avatar.opacity)[:, None],
        avatar.joint.float(),
        avatar.weight,
    ]
    return torch.cat(parts, dim=1)


def _encoded(values: Tensor) -> str:
    return base64.b64encode(values.detach().contiguous().numpy().astype(np.float32).tobytes()).decode("ascii")
