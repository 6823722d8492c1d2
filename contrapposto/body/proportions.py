"""Bodies of unusual proportions: large heads, short limbs, as figurines and cartoons have them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from contrapposto.body.model import BodyModel
from contrapposto.skeleton import Skeleton

# The size of a joint holds for what hangs on it: its part of the mesh, and the bones to its children.
PARTS = {
    "head": ("neck", "head", "jaw", "left_eye", "right_eye"),
    "arms": ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    "legs": ("left_hip", "right_hip", "left_knee", "right_knee"),
    "feet": ("left_ankle", "right_ankle", "left_foot", "right_foot"),
}
RANGES = {
    "head": (1.0, 2.4),
    "arms": (0.6, 1.2),
    "hands": (1.0, 2.0),
    "legs": (0.5, 1.2),
    "feet": (1.0, 1.6),
    "girth": (0.9, 2.0),
}


def proportioned(body: BodyModel, sizes: Mapping[str, float], betas: Tensor | None = None) -> BodyModel:
    """A body whose parts have other sizes: head, arms, hands, legs, feet; what is not named keeps its own.

    Parts grow about their joints and take what hangs on them along; skinning weights blend between them. `girth` is
    the thickness of arms and legs across their bones.

    Args:
        body: left as it is.
        sizes: factor by name.
        betas: (S,) shape that the parts are taken from; the new body has no other.

    Raises:
        KeyError: an unknown part.
    """
    joints, vertices = body.rest_joints(betas)[0], body.rest_vertices(betas)[0]
    scales = _scales(body.skeleton, joints, sizes)
    moved = [joints[0]]
    for joint, parent in list(enumerate(body.skeleton.parents))[1:]:
        moved.append(moved[parent] + scales[parent] @ (joints[joint] - joints[parent]))
    rest = torch.stack(moved)
    weights = body.skinning.weights
    blended = (weights @ scales.flatten(1)).unflatten(1, (3, 3))
    shifts = rest - (scales @ joints[..., None]).squeeze(-1)
    new = copy.deepcopy(body)
    new.v_template = (blended @ vertices[..., None]).squeeze(-1) + weights @ shifts
    new.rest_template = rest
    new.shape_directions, new.rest_directions = (
        torch.zeros_like(directions) for directions in (body.shape_directions, body.rest_directions)
    )
    parents = [max(parent, 0) for parent in body.skeleton.parents]
    offsets = torch.cat([rest[:1], (rest - rest[parents])[1:]])
    new.skeleton = replace(body.skeleton, offsets=offsets.numpy())
    return new


def random_proportions(generator: np.random.Generator) -> dict[str, float]:
    """Factors of everything, evenly from `RANGES`."""
    return {part: float(generator.uniform(*limits)) for part, limits in RANGES.items()}


def _scales(skeleton: Skeleton, joints: Tensor, sizes: Mapping[str, float]) -> Tensor:
    """(J, 3, 3) by which what hangs on each joint is scaled; all joints below a wrist belong to the hand."""
    unknown = set(sizes) - set(RANGES)
    if unknown:
        raise KeyError(f"unknown parts {sorted(unknown)}; known are {sorted(RANGES)}")
    part_of = {name: part for part, names in PARTS.items() for name in names}
    scales = torch.eye(3).to(joints).repeat(len(joints), 1, 1)
    hands: set[int] = set()
    for joint, (name, parent) in enumerate(zip(skeleton.joint_names, skeleton.parents)):
        if name in ("left_wrist", "right_wrist") or parent in hands:
            hands.add(joint)
        part = "hands" if joint in hands else part_of.get(name)
        scales[joint] *= sizes.get(part, 1.0) if part else 1.0
        if part in ("arms", "legs"):
            bone = joints[skeleton.parents.index(joint)] - joints[joint]
            along = torch.outer(bone, bone) / bone.square().sum()
            girth = sizes.get("girth", 1.0)
            scales[joint] = scales[joint] @ along + girth * (torch.eye(3).to(joints) - along)
    return scales
