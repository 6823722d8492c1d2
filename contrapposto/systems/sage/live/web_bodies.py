"""Bodies as the page of live tracking reads them: the figure once, then poses."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.body import load_body
from contrapposto.systems.sage.live.calibration import fitted_betas

if TYPE_CHECKING:
    from contrapposto.systems.sage.live.tracker import LiveFrame

_TRUNK_AND_LIMBS = [*range(15), *range(16, 20)]  # the joints before the hands but the head, as in SMPL


def body_file(scale: float, cell: float = 0.0) -> bytes:
    """The shipped body in a wearer's size, for the page.

    Vertices V, faces F, joints J (uint32 each); (V, 3) places, (V, 4) weights, (J, 3) offsets, all float32; (J,)
    parents int32; (F, 3) uint32; (V, 4) joints of the weights, uint16.

    Args:
        scale: of the wearer relative to the default figure.
        cell: metres; of the vertices in each cube of this size one remains, on head and hands in cubes of 0.4 times
            this size. 0: all.
    """
    body = load_body()
    betas = torch.from_numpy(np.zeros(0, np.float32) if scale == 1.0 else fitted_betas(scale))
    vertices, rest = body.rest_vertices(betas)[0], body.rest_joints(betas)[0]
    parents = np.array(body.skeleton.parents, np.int32)
    above = torch.stack([rest[max(parent, 0)] for parent in parents])
    offsets = torch.cat([rest[:1], (rest - above)[1:]])
    weights, joints = body.skinning.weights.topk(4, dim=1)
    weights = weights / weights.sum(1, keepdim=True)
    head_and_hands = ~np.isin(joints[:, 0].numpy(), _TRUNK_AND_LIMBS)
    cells = np.where(head_and_hands, 0.4 * cell, cell)
    kept, faces = _thinned(vertices.numpy(), body.faces.numpy(), cells)
    arrays = [vertices[kept].float(), weights[kept].float(), offsets.float()]
    return b"".join(
        [
            np.array([len(kept), len(faces), len(parents)], np.uint32).tobytes(),
            *(array.numpy().astype(np.float32).tobytes() for array in arrays),
            parents.tobytes(),
            faces.astype(np.uint32).tobytes(),
            joints[kept].numpy().astype(np.uint16).tobytes(),
        ]
    )


def _thinned(vertices: np.ndarray, faces: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the vertices that remain, and the faces between them; `cells` (V,) metres."""
    if not cells.any():
        return np.arange(len(vertices)), faces
    cubes = np.column_stack([np.floor(vertices / cells[:, None]), cells])
    _, kept, cube_of = np.unique(cubes, axis=0, return_index=True, return_inverse=True)
    faces = cube_of.reshape(-1)[faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return kept, np.unique(faces[whole], axis=0)


def frame_bytes(wearer: int, stamp: float, frame: LiveFrame) -> bytes:
    """A body as the page reads it."""
    quaternions = rot.matrix_to_quaternion(frame.body.rotations[0].float().cpu())
    values = np.concatenate(
        [frame.body.root_translation[0].float().cpu().numpy(), quaternions.numpy().ravel()]
    )
    return struct.pack("<IId", wearer, 0, stamp) + values.astype("<f4").tobytes()
