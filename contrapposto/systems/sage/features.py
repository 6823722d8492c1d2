"""Features of a motion clip as SAGE's networks take them (docs/specs/sage.md, section 4)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22, Skeleton, forward_kinematics
from contrapposto.systems.sage.joints import DEVICES, HEAD, NUM_JOINTS


class HasSkeleton(Protocol):
    """A body: its skeleton at zero shape is all that is needed."""

    skeleton: Skeleton


def sage_features(motion60: Motion, body: HasSkeleton | None = None) -> dict[str, Tensor]:
    """Everything that SAGE is trained and evaluated on, from one clip of N + 1 frames at 60 frames/s.

    Frame 0 only serves the first velocity and is dropped. Computed in float64, stored as float32.

    Args:
        motion60: a clip of the SMPL family at 60 frames/s.
        body: whose zero-shape skeleton gives the positions; the default skeleton where absent.

    Returns:
        `rotation_local_6d` (N, 132): local rotations of the 22 body joints, columns layout;
        `joint_features` (N, 396): global 6D (22 x 6), rotation velocity as 6D of R(t-1)^-1 R(t) (22 x 6),
            position in metres
        (22 x 3), position difference per frame (22 x 3);
        `sparse` (N, 3, 18): the same four for head, left and right wrist;
        `head_transform` (N, 4, 4): pose of the head in the world;
        `joint_positions` (N, 22, 3) metres, world, z up;
        `root_translation` (N, 3) metres.

    Raises:
        InputError: another frame rate, or fewer than two frames.
    """
    if abs(motion60.fps - 60) > 1e-3:
        raise InputError(
            "SAGE works at 60 frames/s.",
            found=f"a clip at {motion60.fps:g} frames/s",
            fix="resample it first: motion.resample(60)",
        )
    if motion60.num_frames < 2:
        raise InputError("A clip of one frame has no velocities.", expected="at least two frames")
    skeleton = SMPL22 if body is None else body.skeleton
    local = _body_rotations(motion60)
    offsets = torch.from_numpy(skeleton.offsets[:NUM_JOINTS]).double()
    translation = torch.from_numpy(motion60.root_translation).double()
    rotations, positions = forward_kinematics(SMPL22.parents, local, offsets, translation)
    features = joint_features(rotations, positions)
    return {
        "rotation_local_6d": rot.matrix_to_sixd_columns(local[1:]).flatten(1).float(),
        "joint_features": torch.cat([part.flatten(1) for part in features], dim=1).float(),
        "sparse": torch.cat([part[:, list(DEVICES)] for part in features], dim=2).float(),
        "head_transform": _transforms(rotations[1:, HEAD], positions[1:, HEAD]).float(),
        "joint_positions": positions[1:].float(),
        "root_translation": translation[1:].float(),
    }


def sparse_features(rotations: Tensor, positions: Tensor) -> Tensor:
    """Device input from tracked poses: (F, D, 3, 3) and (F, D, 3) metres at 60 frames/s to (F - 1, D, 18)."""
    return torch.cat(joint_features(rotations, positions), dim=-1)


def joint_features(rotations: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Global 6D, rotation velocity 6D, position and position difference of frames 1 to F - 1.

    Args:
        rotations: (F, J, 3, 3) global.
        positions: (F, J, 3) metres.

    Returns:
        (F - 1, J, 6), (F - 1, J, 6), (F - 1, J, 3), (F - 1, J, 3); the velocities are per frame.
    """
    # The inverse, not the transpose: matrices of quaternions with few decimals are rotations only nearly.
    turn = torch.linalg.solve(rotations[:-1], rotations[1:])
    return (
        rot.matrix_to_sixd_columns(rotations[1:]),
        rot.matrix_to_sixd_columns(turn),
        positions[1:],
        positions[1:] - positions[:-1],
    )


def part_columns(joints: tuple[int, ...]) -> list[int]:
    """Columns of `rotation_local_6d` (N, 132) that belong to these joints, joint by joint."""
    return [6 * joint + column for joint in joints for column in range(6)]


def _body_rotations(motion: Motion) -> Tensor:
    """(F, 22, 3, 3) float64 local rotations of the body joints, from any skeleton of the family."""
    vectors = motion.to_skeleton(SMPL22).rotations
    return rot.axis_angle_to_matrix(torch.from_numpy(vectors).double())


def _transforms(rotations: Tensor, positions: Tensor) -> Tensor:
    result = torch.eye(4, dtype=rotations.dtype).repeat(len(rotations), 1, 1)
    result[:, :3, :3], result[:, :3, 3] = rotations, positions
    return result
