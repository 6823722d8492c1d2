"""The shipped body with a third of its vertices, for small images (`assets/body/thin.py` chose them)."""

from __future__ import annotations

import copy

import numpy as np
import torch

from contrapposto.body.model import BodyModel
from contrapposto.body.skinning import Skinning
from contrapposto.files import ASSETS

_FULL = 13_380  # vertices of the shipped body


def thinned(body: BodyModel) -> BodyModel:
    """The same body with fewer vertices and faces, where it is the shipped one; others as they are.

    Each vertex that stays moves as it does in the whole body, and so do the joints.
    """
    if type(body) is not BodyModel or body.shape_space != "contrapposto" or body.num_vertices != _FULL:
        return body
    with np.load(ASSETS / "body" / "thin.npz") as file:
        kept = torch.from_numpy(file["vertices"].astype(np.int64))
        faces = torch.from_numpy(file["faces"].astype(np.int64))
    result = copy.deepcopy(body)
    result.v_template, result.faces = body.v_template[kept], faces
    result.shape_directions = body.shape_directions.unflatten(1, (-1, 3))[:, kept].flatten(1)
    if body.pose_directions is not None:
        result.pose_directions = body.pose_directions.unflatten(1, (-1, 3))[:, kept].flatten(1)
    result.skinning = Skinning(body.skinning.weights[kept])
    return result
