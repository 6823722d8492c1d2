"""Poses as parameters: the image loss moves them (docs/specs/anerf.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrapposto import rotations as rot
from contrapposto.systems.anerf.kinematics import Bones, from_legacy, pose_bones


@dataclass(frozen=True)
class PosedFigures:
    """Poses of a list of indices (R,), repeats included.

    Args:
        joints: (R, J, 3).
        parameters: (R, J, 3) axis-angles or (R, J, 6), as optimised.
        world_to_bone, bone_to_world: (R, J, 4, 4).
        rotations: (R, J, 3, 3) local.
    """

    joints: Tensor
    parameters: Tensor
    world_to_bone: Tensor
    bone_to_world: Tensor
    rotations: Tensor

    def at(self, index: Tensor) -> PosedFigures:
        """Some of them."""
        return PosedFigures(
            self.joints[index],
            self.parameters[index],
            self.world_to_bone[index],
            self.bone_to_world[index],
            self.rotations[index],
        )


class PoseLayer(nn.Module):
    """One pose per image.

    Args:
        rest_pose: (J, 3), or (S, J, 3) for S subjects.
        axis_angle: (N, J, 3) initial rotations, radians.
        root: (N, 3) initial root joints.
        kind: "sixd" or "axis_angle": what is optimised.
        subject: (N,) rest pose of every pose, for several subjects.
    """

    rest_pose: Tensor
    subject: Tensor | None

    def __init__(
        self,
        rest_pose: Tensor,
        axis_angle: Tensor,
        root: Tensor,
        *,
        kind: str = "sixd",
        subject: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.pelvis = nn.Parameter(root.clone().float())
        self.bones = nn.Parameter(_to_parameters(axis_angle.float(), kind))
        self.register_buffer("rest_pose", rest_pose.reshape(-1, *rest_pose.shape[-2:]).float())
        self.register_buffer("subject", subject, persistent=False)

    def __len__(self) -> int:
        return len(self.pelvis)

    def parameters_of(self, index: Tensor) -> Tensor:
        """(R, J, 3 or 6) bone parameters of poses (R,)."""
        return self.bones[index]

    def forward(self, index: Tensor) -> PosedFigures:
        """Poses of indices (R,); kinematics run once for each different one."""
        unique, back = torch.unique(index, return_inverse=True)
        return self.posed(unique).at(back)

    def posed(self, index: Tensor) -> PosedFigures:
        """Poses of indices (R,) as they stand."""
        parameters = self.parameters_of(index)
        matrices = to_matrices(parameters)
        rest = self.rest_pose[0] if self.subject is None else self.rest_pose[self.subject[index]]
        bones = pose_bones(matrices, rest, self.pelvis[index])
        return PosedFigures(bones.joints, parameters, bones.world_to_bone, bones.bone_to_world, matrices)

    def neighbours(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Indices before and after (R,), wrapping round the ends."""
        return (index - 1) % len(self), (index + 1) % len(self)

    @torch.no_grad()
    def axis_angles(self) -> Tensor:
        """(N, J, 3) all current rotations."""
        return to_axis_angles(self.parameters_of(torch.arange(len(self), device=self.pelvis.device)))


class SharedPoseLayer(PoseLayer):
    """Images from several uncalibrated cameras share the joints' rotations; each has its own root.

    Args:
        rest_pose, axis_angle, root, kind: see `PoseLayer`; the first image of each shared pose seeds it.
        pose_of_image: (N,) shared pose of every image.
        seeds: (U,) image that seeds each shared pose.
    """

    kp_map: Tensor
    kp_uidxs: Tensor

    def __init__(
        self,
        rest_pose: Tensor,
        axis_angle: Tensor,
        root: Tensor,
        pose_of_image: Tensor,
        seeds: Tensor,
        *,
        kind: str = "sixd",
    ) -> None:
        super().__init__(rest_pose, axis_angle, root, kind=kind)
        every = self.bones.detach()
        self.bones = nn.Parameter(every[seeds, 1:].clone())
        self.root_bones = nn.Parameter(every[:, 0].clone())
        self.register_buffer("kp_map", pose_of_image.long())
        self.register_buffer("kp_uidxs", seeds.long())

    def parameters_of(self, index: Tensor) -> Tensor:
        """See `PoseLayer`."""
        return torch.cat([self.root_bones[index, None], self.bones[self.kp_map[index]]], dim=1)


def to_matrices(parameters: Tensor) -> Tensor:
    """(..., 3, 3) of axis-angles (..., 3) or 6D (..., 6)."""
    if parameters.shape[-1] == 3:
        return rot.axis_angle_to_matrix(parameters)
    return rot.sixd_interleaved_to_matrix(parameters)


def to_axis_angles(parameters: Tensor) -> Tensor:
    """(..., 3) radians of axis-angles (..., 3), as they are, or of 6D (..., 6)."""
    return parameters if parameters.shape[-1] == 3 else rot.matrix_to_axis_angle(to_matrices(parameters))


def mean_joint_change(joints: Tensor, anchors: Tensor, scale: float = 0.001) -> Tensor:
    """MPJPC: mean distance of joints (R, J, 3) from their anchors, divided by the original's scale."""
    return torch.linalg.vector_norm(joints - anchors, dim=-1).mean() / scale


def export_poses(layer: PoseLayer, *, legacy: bool = False) -> tuple[Bones, Tensor, Tensor, Tensor]:
    """All poses of a layer as data.

    Args:
        layer: a trained pose layer.
        legacy: its file has the older axes (docs/specs/anerf.md, section 11).

    Returns:
        Bones (N, ...), axis-angles (N, J, 3), rest pose (J, 3), pelvis (N, 3).
    """
    index = torch.arange(len(layer), device=layer.pelvis.device)
    matrices = to_matrices(layer.parameters_of(index).detach())
    rest, pelvis = layer.rest_pose[0], layer.pelvis.detach()
    if legacy:
        matrices, rest, pelvis = from_legacy(matrices, rest, pelvis)
    return pose_bones(matrices, rest, pelvis), rot.matrix_to_axis_angle(matrices), rest, pelvis


def _to_parameters(axis_angle: Tensor, kind: str) -> Tensor:
    if kind == "axis_angle":
        return axis_angle.clone()
    if kind == "sixd":
        return rot.matrix_to_sixd_interleaved(rot.axis_angle_to_matrix(axis_angle))
    raise ValueError(f"kind is {kind!r}; expected sixd or axis_angle")
