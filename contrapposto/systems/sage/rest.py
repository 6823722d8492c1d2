"""Rest positions of the body that a training is for."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapposto.systems.sage.joints import NUM_JOINTS


def rest_positions(body: str | None) -> Tensor | None:
    """(22, 3) rest positions of a body file at zero shape; None for the default skeleton."""
    if body is None:
        return None
    from contrapposto.body import load_body

    return torch.from_numpy(load_body("smplh", path=body).skeleton.rest_positions[:NUM_JOINTS]).float()
