"""Device features in the heading frame of the head: upright, with its origin at the head, facing as the head faces.

A network that works in this frame does not depend on where in the room somebody stands or which way they face.
The heading is the twist of the head's rotation about the vertical, measured from the upright head that faces -y. It is
defined for every orientation except an upside-down head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapposto import rotations as rot
from contrapposto.devices import without_tf32
from contrapposto.nn.constants import constant

TRACKER_JOINTS = (15, 20, 21, 0, 7, 8)
"""Joints that devices stand for: head, left and right wrist, then optional trackers on pelvis and ankles."""
VALUES = 19
"""Values per device in `device_inputs`."""
NUM_INPUTS = len(TRACKER_JOINTS) * VALUES + 2
"""All values of a frame in `device_inputs`."""
SCALES = (2.0, 30.0, 10.0)
"""Bring positions, steps and turns per frame to the size of rotations."""
HEAD_HEIGHT = 1.5
"""Metres, subtracted from the height of the head."""


def heading(head: Tensor) -> Tensor:
    """(..., 3, 3) rotations about z by the heading of head rotations (..., 3, 3)."""
    sine, cosine = head[..., 1, 0] + head[..., 0, 2], head[..., 0, 0] - head[..., 1, 2]
    size = torch.hypot(sine, cosine)
    upside_down = size < 1e-6
    cosine = torch.where(upside_down, 1.0, cosine / size.clamp_min(1e-6))
    sine = torch.where(upside_down, 0.0, sine / size.clamp_min(1e-6))
    zero, one = torch.zeros_like(cosine), torch.ones_like(cosine)
    rows = [cosine, -sine, zero, sine, cosine, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


@without_tf32()
def device_inputs(devices: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What the tracker's network reads.

    Args:
        devices: (..., D, 18) device features (see `features.sparse_features`) of the first D joints of
            `TRACKER_JOINTS`; the head must be there.
        seen: (..., D) bool, which devices are tracked; all where None. Values of the others are ignored.

    Returns:
        (..., 6 * 19 + 2) inputs, zero for devices that are missing or not seen, and the heading (..., 3, 3).
    """
    position_scale, step_scale, turn_scale = SCALES
    orientation = rot.sixd_columns_to_matrix(devices[..., :6])
    turn, position, step = devices[..., 6:12], devices[..., 12:15], devices[..., 15:]
    frame = heading(orientation[..., 0, :, :])
    back = frame.mT
    relative = position - position[..., :1, :]
    height = torch.zeros_like(relative)
    height[..., 0, 2] = position[..., 0, 2] - HEAD_HEIGHT
    turned = back[..., None, :, :] @ orientation
    still = constant((1, 0, 0, 0, 1, 0), turn)
    flags = torch.ones_like(position[..., 0]) if seen is None else seen.to(position.dtype)
    parts = [
        position_scale * ((relative + height) @ frame),
        rot.matrix_to_sixd_columns(turned),
        step_scale * (step @ frame),
        turn_scale * (turn - still),
        torch.ones_like(flags)[..., None],
    ]
    values = torch.cat(parts, dim=-1) * flags[..., None]
    values = F.pad(values, (0, 0, 0, len(TRACKER_JOINTS) - values.shape[-2])).flatten(-2)
    # How far the frame itself has turned since the frame before.
    before = heading(orientation[..., 0, :, :] @ rot.sixd_columns_to_matrix(turn[..., 0, :]).mT)
    change = back @ before
    spin = torch.stack([turn_scale * change[..., 0, 1], turn_scale * (change[..., 0, 0] - 1)], dim=-1)
    return torch.cat([values, spin], dim=-1), frame
