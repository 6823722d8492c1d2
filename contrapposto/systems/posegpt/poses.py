"""Pose vectors of PoseGPT and what its networks make of them (docs/specs/posegpt.md, sections 2 and 8).

A pose vector (..., 3 J + 3) holds J local axis-angles in the order of the skeleton, then the root
translation: 168 numbers for SMPL-X (55 joints), 159 for SMPL-H (52), 75 for SMPL (24). Its world is that of
the original: AMASS turned by +90 degrees about x, so y points down. `from_motion` and `to_motion` are the border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.devices import without_tf32
from contrapposto.errors import InputError
from contrapposto.motion import Label, Motion
from contrapposto.skeleton import SMPLH52, Skeleton

FPS = 30.0
Height = Literal["start", "floor"]
"""Of the root: counted from the first frame (the original), or from the height at which the root joint's rest position
stands on the floor, which is that of `Motion.root_translation`."""
_TO_POSE = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # +90 degrees about x


def num_joints_of(width: int) -> int:
    """J of a pose vector of that width.

    Raises:
        ValueError: no such pose.
    """
    if width < 6 or width % 3:
        raise ValueError(f"a pose vector has 3 J + 3 numbers, not {width}")
    return width // 3 - 1


def split_pose(pose: Tensor) -> tuple[Tensor, Tensor]:
    """(..., 3 J + 3) to axis-angles (..., J, 3) in radians and root translation (..., 3) in metres."""
    joints = num_joints_of(pose.shape[-1])
    return pose[..., :-3].unflatten(-1, (joints, 3)), pose[..., -3:]


def join_pose(axis_angles: Tensor, translation: Tensor) -> Tensor:
    """Inverse of `split_pose`."""
    return torch.cat([axis_angles.flatten(-2), translation], dim=-1)


def network_input(pose: Tensor) -> Tensor:
    """(..., 3 J + 3) to (..., 6 J + 3): interleaved 6D of every joint, then the absolute translation."""
    axis_angles, translation = split_pose(pose)
    sixd = rot.matrix_to_sixd_interleaved(rot.axis_angle_to_matrix(axis_angles))
    return torch.cat([sixd.flatten(-2), translation], dim=-1)


def pose_of(matrices: Tensor, translation: Tensor) -> Tensor:
    """(..., J, 3, 3) and (..., 3) to the pose vector (..., 3 J + 3)."""
    return join_pose(rot.matrix_to_axis_angle(matrices), translation)


def integrate_translation(deltas: Tensor, valid: Tensor | None = None) -> Tensor:
    """Positions (..., T, 3) from a first position and the steps after it (..., T, 3).

    Args:
        deltas: frame 0 is absolute.
        valid: (..., T); steps into frames that are not valid count as zero.
    """
    if valid is not None:
        first = torch.ones_like(valid[..., :1], dtype=deltas.dtype)
        deltas = deltas * torch.cat([first, valid[..., 1:].to(deltas.dtype)], dim=-1)[..., None]
    return deltas.cumsum(-2)


def zero_start(pose: Tensor, *, height: Height = "start") -> Tensor:
    """(..., T, 3 J + 3) moved so that the first frame's translation is zero, but for the height y with `floor`."""
    first = pose[..., :1, -3:]
    if height == "floor":
        first = first * pose.new_tensor([1.0, 0.0, 1.0])
    return torch.cat([pose[..., :-3], pose[..., -3:] - first], dim=-1)


@without_tf32()
def turn_world(pose: Tensor, turn: Tensor) -> Tensor:
    """Rotate (..., 3 J + 3) about the world's origin: root rotation and translation.

    Args:
        pose: pose vectors.
        turn: (3, 3), or one for each pose vector in a shape that broadcasts: (B, 1, 3, 3) for (B, T, 3 J + 3).
    """
    axis_angles, translation = split_pose(pose)
    turn = turn.to(pose)
    root = rot.matrix_to_axis_angle(turn @ rot.axis_angle_to_matrix(axis_angles[..., 0, :]))
    turned = torch.cat([root[..., None, :], axis_angles[..., 1:, :]], dim=-2)
    return join_pose(turned, (turn @ translation[..., None]).squeeze(-1))


def heading_of(matrices: Tensor) -> Tensor:
    """(...,) heading in radians of root rotations (..., 3, 3): an angle about y, 0 for a figure that faces -z.

    It is the turn about the vertical that is left when the shortest tilt from upright is taken off ("twist"): it hardly
    changes when a figure bows, lies down, rolls or turns a cartwheel; only a figure upside down has none.
    """
    # The root rotation of an upright figure is half a turn about x: y points down in these poses, up in the rest pose.
    return torch.atan2(matrices[..., 2, 0] + matrices[..., 0, 2], matrices[..., 0, 0] - matrices[..., 2, 2])


def face_forward(pose: Tensor) -> tuple[Tensor, Tensor]:
    """(..., T, 3 J + 3) turned about the vertical so that the first frame faces -z, and the turn (..., 3, 3).

    `turn_world(pose, turn.mT[..., None, :, :])` turns back. See `heading_of`.
    """
    angle = heading_of(rot.axis_angle_to_matrix(pose[..., 0, :3]))
    turn = rot.axis_angle_to_matrix(
        torch.stack([torch.zeros_like(angle), angle, torch.zeros_like(angle)], -1)
    )
    return turn_world(pose, turn[..., None, :, :]), turn


def repeat_last_valid(values: Tensor, valid: Tensor) -> Tensor:
    """(B, T, ...) with every frame past the last valid one replaced by it; a clip without any is left alone."""
    frames = torch.arange(values.shape[1], device=values.device)
    last = torch.where(valid.bool(), frames, 0).amax(1)
    index = torch.minimum(frames, torch.where(valid.bool().any(1), last, len(frames))[:, None])
    return values.gather(1, index.view(*index.shape, *[1] * (values.ndim - 2)).expand_as(values))


def from_motion(motion: Motion, skeleton: Skeleton = SMPLH52, *, height: Height = "start") -> Tensor:
    """(F, 3 J + 3) float32 pose vectors at 30 frames/s, the first frame at the origin.

    Args:
        motion: any clip of the SMPL family; joints that it lacks are at rest.
        skeleton: which joints.
        height: see `Height`.

    Raises:
        InputError: the clip is on a skeleton of another family.
    """
    clip = motion.resample(FPS).to_skeleton(skeleton)
    pose = join_pose(torch.from_numpy(clip.rotations), torch.from_numpy(clip.root_translation))
    return zero_start(turn_world(pose, _TO_POSE), height=height)


def to_motion(
    pose: Tensor,
    skeleton: Skeleton = SMPLH52,
    *,
    fps: float = FPS,
    height: float | Height = "start",
    labels: Sequence[Label] = (),
    metadata: Mapping[str, str] | None = None,
) -> Motion:
    """A clip from pose vectors (F, 3 J + 3).

    Pose vectors whose heights count from the start do not say how high above the floor they begin: the clip is lifted or
    lowered so that its feet stand on the floor (z = 0).

    Args:
        pose: in this module's world.
        skeleton: of J joints.
        fps: frames per second.
        height: see `Height`; or z of the root translation of the first frame, metres.
        labels: of the clip.
        metadata: of the clip.

    Raises:
        InputError: the pose has another number of joints.
    """
    if num_joints_of(pose.shape[-1]) != skeleton.num_joints:
        raise InputError(
            f"A pose of {pose.shape[-1]} numbers does not fit the skeleton {skeleton.name}.",
            expected=f"{3 * skeleton.num_joints + 3} numbers",
        )
    axis_angles, translation = split_pose(turn_world(pose.detach().float().cpu(), _TO_POSE.T))
    clip = Motion(
        axis_angles.contiguous().numpy(),
        translation.contiguous().numpy(),
        fps,
        skeleton,
        labels=tuple(labels),
        metadata=dict(metadata or {}),
    )
    if height == "floor":
        return clip
    lift = -_floor(clip) if height == "start" else float(height) - float(clip.root_translation[0, 2])
    return clip.transform(np.eye(3), (0.0, 0.0, lift))


def _floor(motion: Motion) -> float:
    """Height of the soles where they stand still, or of their lowest point where they never do."""
    from contrapposto.retarget.ground import floor_height, sole_heights

    height = floor_height(motion)
    return float(sole_heights(motion)[0].min()) if height is None else height
