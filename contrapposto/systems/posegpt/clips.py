"""Clips as PoseGPT cuts, crops and augments them (docs/specs/posegpt.md, section 8). Poses are those of `poses`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contrapposto.rotations import axis_angle_to_matrix
from contrapposto.skeleton import SKELETONS, Skeleton
from contrapposto.systems.posegpt.poses import (
    FPS,
    join_pose,
    num_joints_of,
    split_pose,
    turn_world,
    zero_start,
)


def frames_at(count: int, rate: float, fps: float = FPS) -> np.ndarray:
    """Which of `count` frames at `rate` the original keeps for `fps`: every (rate / fps)-th, rounded down.

    No interpolation (`Motion.resample` interpolates); the rate is cut to an integer first.
    """
    step = int(rate) / fps
    return (step * np.arange(int(count / step))).astype(np.int64)


def cut(pose: Tensor, seq_len: int = 64, min_len: int = 16, overlap: int = 0) -> list[Tensor]:
    """Consecutive pieces of (T, D): at most `seq_len` frames, at least `min_len`, each starting at zero.

    Args:
        pose: the clip.
        seq_len: frames per piece.
        min_len: shorter pieces are dropped.
        overlap: frames that a piece shares with the next.

    Raises:
        ValueError: the overlap leaves no step.
    """
    if not 0 <= overlap < seq_len:
        raise ValueError(f"overlap: expected 0 to {seq_len - 1} frames, got {overlap}")
    pieces = [pose[start : start + seq_len] for start in range(0, len(pose), seq_len - overlap)]
    return [zero_start(piece) for piece in pieces if len(piece) >= min_len]


def stretch(pose: Tensor, start: float, end: float | None, fps: float = FPS) -> Tensor:
    """Frames of (T, D) from `start` to `end` seconds, both included, at the origin; all without an end."""
    frames = slice(int(start * fps), None if end is None else int(end * fps) + 1)
    return zero_start(pose[frames])


def crop(pose: Tensor, seq_len: int, start: int | None = None) -> tuple[Tensor, Tensor]:
    """`seq_len` frames of (T, D) from `start`, padded by the last frame, the first frame at the origin.

    Args:
        pose: the clip.
        seq_len: frames to give.
        start: the middle of the clip where absent.

    Returns:
        (seq_len, D) and validity (seq_len,) bool.
    """
    if start is None:
        start = max(0, len(pose) // 2 - seq_len // 2)
    frames = torch.arange(start, start + seq_len)
    return zero_start(pose[frames.clamp_max(len(pose) - 1)]), frames < len(pose)


@dataclass(frozen=True)
class Augmentation:
    """How a training clip is changed: tilted, turned, rolled (radians), mirrored.

    The turn is R_x(tilt) R_y(yaw) R_z(roll) in the poses' world (y is the vertical), about the origin.
    """

    tilt: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    mirror: bool = False

    @classmethod
    def draw(cls, uniform: Tensor, *, max_tilt: int = 15) -> Augmentation:
        """From four uniform numbers in [0, 1): whole degrees -15..15 for tilt and roll, -180..180 for yaw.

        Args:
            uniform: (4,).
            max_tilt: degrees; the original's 15 also makes figures lean, 0 keeps them upright.
        """
        tilt, yaw, roll, side = uniform.double().tolist()
        limits = ((tilt, max_tilt), (yaw, 180), (roll, max_tilt))
        degrees = [int(share * (2 * limit + 1)) - limit for share, limit in limits]
        radians = np.deg2rad(degrees).tolist()
        return cls(radians[0], radians[1], radians[2], side >= 0.5)

    @property
    def turn(self) -> Tensor:
        """(3, 3) float32."""
        parts = axis_angle_to_matrix(torch.diag(torch.tensor([self.tilt, self.yaw, self.roll]).double()))
        return (parts[0] @ parts[1] @ parts[2]).float()


def augment(pose: Tensor, how: Augmentation) -> Tensor:
    """(..., 3 J + 3) turned, then mirrored."""
    turned = turn_world(pose, how.turn)
    return mirror(turned) if how.mirror else turned


def random_turns(uniform: Tensor, *, max_tilt: int = 15) -> Tensor:
    """(B, 3, 3) float32 turns of `Augmentation.draw` for numbers (B, 3) in [0, 1), all at once."""
    limits = uniform.new_tensor([max_tilt, 180, max_tilt], dtype=torch.float64)
    radians = torch.deg2rad((uniform.double() * (2 * limits + 1)).floor() - limits)
    tilt, yaw, roll = axis_angle_to_matrix(torch.diag_embed(radians)).unbind(-3)
    return (tilt @ yaw @ roll).float()


def mirror_some(pose: Tensor, chosen: Tensor) -> Tensor:
    """(B, T, 3 J + 3), the clips in a mirror for which (B,) bool is true."""
    return torch.where(chosen[:, None, None], mirror(pose), pose) if chosen.any() else pose


def mirror(pose: Tensor, skeleton: Skeleton | None = None) -> Tensor:
    """(..., 3 J + 3) seen in a mirror at x = 0: left and right change places.

    Args:
        pose: its frame of reference has x to the side.
        skeleton: tells the sides apart; the SMPL-family one with J joints where absent.

    Raises:
        ValueError: no skeleton of the family has J joints.
    """
    joints = num_joints_of(pose.shape[-1])
    layout = skeleton or next((s for s in SKELETONS.values() if s.num_joints == joints), None)
    if layout is None:
        raise ValueError(f"no skeleton of the SMPL family has {joints} joints")
    axis_angles, translation = split_pose(pose)
    order = torch.from_numpy(layout.mirror_map).to(pose.device)
    swapped = axis_angles.index_select(-2, order) * pose.new_tensor([1.0, -1.0, -1.0])
    return join_pose(swapped, translation * pose.new_tensor([-1.0, 1.0, 1.0]))
