"""How windows of motion are turned and mirrored in training (docs/specs/posegpt.md, section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from contrapposto.nn.random import keyed_uniform
from contrapposto.systems.posegpt.clips import random_turns
from contrapposto.systems.posegpt.poses import Height, face_forward, turn_world, zero_start

Heading = Literal["random", "canonical", "as_it_is"]
"""`random`: turned about the vertical at random in training (the original); `canonical`: every window, also in
evaluation, is turned such that its first frame faces the same way; `as_it_is`."""


class Augment:
    """How windows are turned and mirrored; every draw is keyed by the window, never by the batch.

    Args:
        heading: see `Heading`.
        max_tilt: degrees by which figures lean at random in training; 15 in the original.
        mirror: in training, put half of the windows in a mirror.
        mirrored: (A,) class of each class in a mirror, -1 for none; windows that would lose a class are left as they
            are. None keeps the labels, as the original does.
        seed: of the draws.
        height: see `poses.Height`.
    """

    def __init__(
        self,
        heading: Heading,
        max_tilt: int,
        mirror: bool,
        mirrored: Sequence[int] | None,
        seed: int,
        height: Height = "start",
    ) -> None:
        self.height: Height = height
        self.heading, self.max_tilt, self.mirror, self.seed = heading, max_tilt, mirror, seed
        self.mirrored = None if mirrored is None else torch.tensor(mirrored, dtype=torch.int64)

    def plain(self, pose: Tensor) -> Tensor:
        """Windows (B, T, D) for evaluation: from the origin on, and facing forward where that is wanted."""
        pose = zero_start(pose, height=self.height)
        return face_forward(pose)[0] if self.heading == "canonical" else pose

    def turned(self, pose: Tensor, key: int, ids: Tensor) -> Tensor:
        """Windows (B, T, D) for training, before the mirror; `key` and `ids` (B,) decide the turns."""
        pose = self.plain(pose)
        uniform = keyed_uniform(self.seed, key, ids, (3,), "posegpt turn")
        if self.heading == "random":
            return turn_world(pose, random_turns(uniform, max_tilt=self.max_tilt)[:, None])
        if self.max_tilt:
            uniform[:, 1] = 0.5  # no yaw
            return turn_world(pose, random_turns(uniform, max_tilt=self.max_tilt)[:, None])
        return pose

    def mirrors(self, key: int, ids: Tensor, actions: Tensor) -> Tensor:
        """(B,) bool: which windows with the classes (B, A) are mirrored."""
        if not self.mirror:
            return torch.zeros(len(ids), dtype=torch.bool)
        return (keyed_uniform(self.seed, key, ids, (), "posegpt mirror") >= 0.5) & self.may_mirror(actions)

    def may_mirror(self, actions: Tensor) -> Tensor:
        """(B,) bool: whether all classes (B, A) have one in the mirror."""
        if self.mirrored is None:
            return torch.ones(len(actions), dtype=torch.bool)
        return ~((actions > 0) & (self.mirrored < 0)).any(-1)

    def mirror_actions(self, actions: Tensor, chosen: Tensor) -> Tensor:
        """Classes (B, ..., A) of the windows, those of the mirror where (B,) bool is true."""
        if self.mirrored is None or not chosen.any():
            return actions
        known = self.mirrored >= 0
        swapped = torch.zeros_like(actions)
        swapped[..., self.mirrored[known]] = actions[..., known]
        return torch.where(chosen.view(-1, *[1] * (actions.ndim - 1)), swapped, actions)
