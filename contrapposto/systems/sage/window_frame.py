"""Windows in the heading frame of the head at their last frame (`frame=heading`; ours, not in the paper).

The networks of SAGE read raw world coordinates, so they have to learn every place and direction in a room. In the
heading frame a window looks the same wherever somebody stands and whichever way they face.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.devices import without_tf32
from contrapposto.nn.constants import constant
from contrapposto.systems.sage.head_frame import SCALES, heading

Frame = Literal["world", "heading"]


@without_tf32()
def windows_in(frame: Frame, sparse: Tensor) -> tuple[Tensor, Tensor | None]:
    """Device features as the networks read them, and where they stand.

    In the heading frame positions are relative to the head's place on the floor, and the small values per frame (steps,
    and turns less no turn) are multiplied by `head_frame.SCALES`.

    Args:
        frame: `world` leaves the features as they are.
        sparse: (B, T, 3, 18).

    Returns:
        (B, T, 3, 18), and the heading (B, 3, 3) at the last frame; None for `world`.

    Raises:
        ValueError: there is no such frame.
    """
    if frame == "world":
        return sparse, None
    if frame != "heading":
        raise ValueError(f"frame: expected world or heading, got {frame!r}")
    turn = heading(rot.sixd_columns_to_matrix(sparse[:, -1, 0, :6]))
    floor = sparse[:, -1:, :1, 12:15] * constant((1, 1, 0), sparse)
    around = turn[:, None]
    still = constant((1, 0, 0, 0, 1, 0), sparse)
    parts = [
        (sparse[..., :6].unflatten(-1, (2, 3)) @ around[:, None]).flatten(-2),
        SCALES[2] * (sparse[..., 6:12] - still),
        (sparse[..., 12:15] - floor) @ around,
        SCALES[1] * (sparse[..., 15:] @ around),
    ]
    return torch.cat(parts, dim=-1), turn


def root_in(sixd: Tensor, turn: Tensor | None) -> Tensor:
    """(B, T, 6 J) whose first joint is the root, turned from the world into the frame (B, 3, 3); None: the world's."""
    return sixd if turn is None else _turned(sixd, turn)


def root_out(sixd: Tensor, turn: Tensor | None) -> Tensor:
    """The inverse of `root_in`."""
    return sixd if turn is None else _turned(sixd, turn.mT)


@without_tf32()
def _turned(sixd: Tensor, turn: Tensor) -> Tensor:
    root = (sixd[..., :6].unflatten(-1, (2, 3)) @ turn[:, None]).flatten(-2)
    return torch.cat([root, sixd[..., 6:]], dim=-1)
