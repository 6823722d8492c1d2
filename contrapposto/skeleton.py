"""Skeletons: joint names, parents, rest offsets, maps between them, forward kinematics by level.

The SMPL family shares its first 22 joints. Rest frame: y up, x to the figure's left, z forward, T-pose, metres.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from contrapposto.devices import without_tf32
from contrapposto.files import ASSETS

_BODY = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot "
    "neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"
).split()
_BODY_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints.

    Args:
        name: for messages and files.
        joint_names: J names; left and right joints start with `left_` and `right_` in the SMPL family.
        parents: J parent indices, -1 for the root, every parent before its children.
        offsets: (J, 3) float32 rest offset of each joint from its parent, in metres; of the root, its rest position.

    Raises:
        ValueError: lengths differ, or a joint stands before its parent.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        count = len(self.joint_names)
        if len(self.parents) != count or np.shape(self.offsets) != (count, 3):
            raise ValueError(
                f"skeleton {self.name}: {count} joint names, {len(self.parents)} parents and offsets of shape "
                f"{np.shape(self.offsets)} do not fit together"
            )
        ordered = all(0 <= parent < joint for joint, parent in enumerate(self.parents[1:], 1))
        if self.parents[:1] != (-1,) or not ordered:
            raise ValueError(
                f"skeleton {self.name}: there must be one root, it must come first, and every parent before its children"
            )
        object.__setattr__(self, "offsets", np.ascontiguousarray(self.offsets, dtype=np.float32))

    @property
    def num_joints(self) -> int:
        """Number of joints J."""
        return len(self.joint_names)

    @cached_property
    def rest_positions(self) -> np.ndarray:
        """(J, 3) joint positions of the rest pose, metres."""
        positions = self.offsets.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                positions[joint] += positions[parent]
        return positions

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Joints by their distance from the root; level 0 is the root."""
        return _levels(self.parents)

    def index(self, *names: str) -> list[int]:
        """Indices of joints by name.

        Raises:
            KeyError: a name is not in this skeleton.
        """
        lookup = {name: index for index, name in enumerate(self.joint_names)}
        missing = [name for name in names if name not in lookup]
        if missing:
            raise KeyError(f"skeleton {self.name} has no joint {missing}; it has {list(self.joint_names)}")
        return [lookup[name] for name in names]

    def with_offsets(self, offsets: np.ndarray) -> Skeleton:
        """The same tree with other bone lengths."""
        return replace(self, offsets=offsets)

    def map_to(self, other: Skeleton) -> np.ndarray:
        """(other.num_joints,) index of each of its joints in this skeleton by name, -1 where there is none."""
        lookup = {name: index for index, name in enumerate(self.joint_names)}
        return np.array([lookup.get(name, -1) for name in other.joint_names], dtype=np.int64)

    @cached_property
    def mirror_map(self) -> np.ndarray:
        """(J,) index of each joint's left-right counterpart (itself on the middle line)."""
        swap = {"left": "right", "right": "left"}
        lookup = {name: index for index, name in enumerate(self.joint_names)}
        result = []
        for index, name in enumerate(self.joint_names):
            side, _, rest = name.partition("_")
            result.append(lookup.get(f"{swap[side]}_{rest}", index) if side in swap else index)
        return np.array(result, dtype=np.int64)


@without_tf32()
def forward_kinematics(
    parents: Sequence[int], rotations: Tensor, offsets: Tensor, root_position: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Global rotations and joint positions of a tree, computed level by level (9 steps for a body, not 52).

    In float32 without TF32, see `contrapposto.devices.without_tf32`.

    Args:
        parents: J parent indices, root first.
        rotations: (..., J, 3, 3) local rotations.
        offsets: (..., J, 3) or (J, 3) rest offsets; the root's is its rest position.
        root_position: (..., 3) added to every position; zero where absent.

    Returns:
        Global rotations (..., J, 3, 3) and positions (..., J, 3).
    """
    levels, slots, order = _plan(tuple(parents), rotations.device)
    offsets = offsets.expand(*rotations.shape[:-3], *offsets.shape[-2:])
    rotation = rotations[..., :1, :, :]
    position = offsets[..., :1, :]
    if root_position is not None:
        position = position + root_position[..., None, :]
    all_rotations, all_positions = [rotation], [position]
    for joints, parent_slots in zip(levels[1:], slots[1:]):
        above = rotation.index_select(-3, parent_slots)
        step = (above @ offsets.index_select(-2, joints)[..., None]).squeeze(-1)
        position = position.index_select(-2, parent_slots) + step
        rotation = above @ rotations.index_select(-3, joints)
        all_rotations.append(rotation)
        all_positions.append(position)
    return (
        torch.cat(all_rotations, dim=-3).index_select(-3, order),
        torch.cat(all_positions, dim=-2).index_select(-2, order),
    )


def local_from_global(parents: Sequence[int], global_rotations: Tensor) -> Tensor:
    """Local rotations (..., J, 3, 3) from global ones: the transpose of the parent's times the joint's."""
    above = global_rotations[..., [max(parent, 0) for parent in parents], :, :].transpose(-1, -2)
    local = above @ global_rotations
    return torch.cat([global_rotations[..., :1, :, :], local[..., 1:, :, :]], dim=-3)


@lru_cache(maxsize=64)
def _levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return tuple(tuple(j for j, d in enumerate(depth) if d == level) for level in range(max(depth) + 1))


@lru_cache(maxsize=64)
def _plan(parents: tuple[int, ...], device: torch.device) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Joints of each level, where their parents stand in the level before, and the way back to joint order.

    As tensors on the device: lists would become tensors again in every call, which takes as long as the products.
    """
    levels = _levels(parents)
    slots = [[above.index(parents[j]) for j in level] for above, level in itertools.pairwise(levels)]
    flat = [joint for level in levels for joint in level]
    with torch.inference_mode(False):  # cached tensors must serve training too

        def tensor(indices: Sequence[int]) -> Tensor:
            return torch.tensor(indices, dtype=torch.int64, device=device)

        order = tensor([flat.index(joint) for joint in range(len(parents))])
        return [tensor(level) for level in levels], [tensor([]), *map(tensor, slots)], order


def _hand(side: str) -> list[str]:
    return [f"{side}_{finger}{i}" for finger in _FINGERS for i in (1, 2, 3)]


def _hand_parents(wrist: int, first: int) -> list[int]:
    return [wrist if i == 0 else first + 3 * finger + i - 1 for finger in range(5) for i in range(3)]


def _build() -> tuple[Skeleton, ...]:
    rest52 = np.array(json.loads((ASSETS / "body" / "rest_joints.json").read_text()), dtype=np.float64)
    names52 = [*_BODY, *_hand("left"), *_hand("right")]
    parents52 = [*_BODY_PARENTS, *_hand_parents(20, 22), *_hand_parents(21, 37)]
    # The face joints have no counterpart in the shipped figure: fixed offsets from the head, metres.
    face = {"jaw": (0.0, 0.01, 0.03), "left_eye": (0.032, 0.075, 0.08), "right_eye": (-0.032, 0.075, 0.08)}
    rest55 = np.concatenate([rest52[:22], rest52[15] + np.array(list(face.values())), rest52[22:]])
    parents55 = [*_BODY_PARENTS, 15, 15, 15, *_hand_parents(20, 25), *_hand_parents(21, 40)]

    def make(name: str, names: list[str], parents: list[int], rest: np.ndarray) -> Skeleton:
        offsets = rest - np.where(np.array(parents)[:, None] < 0, 0.0, rest[np.maximum(parents, 0)])
        return Skeleton(name, tuple(names), tuple(parents), offsets)

    return (
        make("smpl22", _BODY, _BODY_PARENTS, rest52[:22]),
        make(
            "smpl24",
            [*_BODY, "left_hand", "right_hand"],
            [*_BODY_PARENTS, 20, 21],
            rest52[[*range(22), 25, 40]],
        ),
        make("smplh52", names52, parents52, rest52),
        make("smplx55", [*_BODY, *face, *_hand("left"), *_hand("right")], parents55, rest55),
    )


SMPL22, SMPL24, SMPLH52, SMPLX55 = _build()
SKELETONS = {skeleton.name: skeleton for skeleton in (SMPL22, SMPL24, SMPLH52, SMPLX55)}
