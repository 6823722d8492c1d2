"""A surface of an avatar bound to its skeleton, so that any motion moves it without the network.

The weights are those of the shipped body: it takes the avatar's pose, and each vertex of the surface has the weights of
the body's nearest ones. The surface is then bent back to the rest pose with them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrapposto.body import BodyModel, load_body
from contrapposto.body.arrays import BodyArrays

_NEAREST = 4


def skinned_body(
    vertices: np.ndarray,
    faces: np.ndarray,
    world_to_bone: Tensor,
    rest_pose: np.ndarray,
    metres_per_unit: float,
) -> BodyModel:
    """The surface of one pose as a body of the suite: metres, y up, 24 joints.

    Args:
        vertices: (V, 3) world units, see `surface`.
        faces: (F, 3).
        world_to_bone: (24, 4, 4) of the pose.
        rest_pose: (24, 3) of the avatar, root at the origin, world units.
        metres_per_unit: length of a world unit.
    """
    bone_to_world = torch.linalg.inv(world_to_bone.double())
    weights = _weights(vertices, bone_to_world, rest_pose)
    # From rest to pose, blended as the weights say, and undone.
    moves = bone_to_world.clone()
    rest = torch.from_numpy(np.asarray(rest_pose, np.float64))
    moves[:, :3, 3] -= (moves[:, :3, :3] @ rest[..., None]).squeeze(-1)
    blended = torch.einsum("vj,jab->vab", torch.from_numpy(weights), moves)
    posed = torch.from_numpy(np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1))
    resting = torch.linalg.solve(blended, posed[..., None])[:, :3, 0].numpy()
    return as_body(resting, faces, weights, rest_pose, metres_per_unit)


def as_body(
    resting: np.ndarray,
    faces: np.ndarray,
    weights: np.ndarray,
    rest_pose: np.ndarray,
    metres_per_unit: float,
) -> BodyModel:
    """A mesh at rest as a body of the suite: metres, y up, 24 joints.

    Args:
        resting: (V, 3) world units, the root at the origin.
        faces: (F, 3).
        weights: (V, 24) of the skinning.
        rest_pose: (24, 3) rest joints, root at the origin, world units.
        metres_per_unit: length of a world unit.
    """
    body = load_body("smpl")
    place = body.rest_joints()[0, 0].double().numpy()  # of the root at rest, as motion has it
    resting = resting * metres_per_unit + place
    joints = np.asarray(rest_pose, np.float64) * metres_per_unit + place
    arrays = BodyArrays.check(
        {
            "v_template": resting,
            "f": faces,
            "shapedirs": np.zeros((len(resting), 3, 1)),
            "J_regressor": _regressor(joints, resting),
            "weights": weights,
            "kintree_table": np.stack([body.skeleton.parents, np.arange(24)]),
        },
        name="avatar",
        gender="neutral",
    )
    return BodyModel(arrays)


def _weights(vertices: np.ndarray, bone_to_world: Tensor, rest_pose: np.ndarray) -> np.ndarray:
    """(V, 24) of the shipped body's nearest vertices, the body posed by the avatar's own bones."""
    from scipy.spatial import cKDTree

    body = load_body("smpl")
    joints, own = body.rest_joints()[0].double(), body.rest_vertices()[0].double()
    weights = body.skinning.weights.double()
    # Around each joint the body has its own size in the avatar's units.
    scale = float(np.ptp(np.asarray(rest_pose)[:, 1]) / np.ptp(joints[:, 1].numpy()))
    local = scale * (own[:, None] - joints)  # (V, 24, 3)
    placed = torch.einsum("jab,vjb->vja", bone_to_world[:, :3, :3], local) + bone_to_world[:, :3, 3]
    posed = (weights[..., None] * placed).sum(1).numpy()
    distance, index = cKDTree(posed).query(vertices, k=_NEAREST)
    share = 1 / (distance + 1e-6)
    share /= share.sum(1, keepdims=True)
    return (share[..., None] * weights.numpy()[index]).sum(1)


def _regressor(joints: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """(J, V) affine combinations of vertices (V, 3) that give joints (J, 3); the smallest ones."""
    ones = np.ones((len(vertices), 1))
    return np.concatenate([joints, ones[: len(joints)]], axis=1) @ np.linalg.pinv(
        np.concatenate([vertices, ones], axis=1)
    )
