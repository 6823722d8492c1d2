"""The figure as A-NeRF sees it: bone transforms, rest pose, bounding cylinder (docs/specs/anerf.md, section 2).

World axes are OpenCV's: x right, y down, z forward; up is -y. One unit is about 0.6 m for rescaled data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from contrapposto.devices import full_precision, without_tf32
from contrapposto.skeleton import SMPL24, forward_kinematics

PARENTS = SMPL24.parents
NUM_JOINTS = SMPL24.num_joints
EXT_SCALE = 0.001
"""Units per "millimetre" of the original's options; only data in true metres make it one."""
UNIT_SCALE = EXT_SCALE * 0.25 / 0.00035
"""Factor from `REST_POSE` to the world units of rescaled data."""
LEGACY_AXES = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""C of the older convention of refined poses: R -> C R C^T (docs/specs/anerf.md, section 11)."""

# Rest joints before scaling; y up, x to the figure's left, z forward (companion file of skeletons).
REST_POSE = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.163832515, -0.217391014, -0.0289178602],
        [-0.157855421, -0.214761734, -0.0209642015],
        [-0.00704505108, 0.25045085, -0.0411837511],
        [0.242021069, -1.0883007, -0.0314962119],
        [-0.247206554, -1.10715497, -0.0306970738],
        [0.00395125849, 0.59484911, -0.0403754264],
        [0.212680623, -1.99382353, -0.12932758],
        [-0.210857525, -2.01218796, -0.123002514],
        [0.00939484313, 0.719204426, 0.0206931755],
        [0.263385147, -2.12222481, 0.146775618],
        [-0.251970559, -2.12153077, 0.160450473],
        [0.00383779174, 1.22592449, -0.0978838727],
        [0.191201791, 1.00385976, -0.0621964522],
        [-0.177145526, 0.996228695, -0.075554274],
        [0.0168482102, 1.38698268, 0.0244048554],
        [0.401985168, 1.07928419, -0.0747655183],
        [-0.398825467, 1.0752387, -0.0996334553],
        [1.00236952, 1.05217218, -0.135129794],
        [-0.986728609, 1.04515052, -0.140235111],
        [1.5664624, 1.06961894, -0.137338534],
        [-1.5694648, 1.05935931, -0.153905824],
        [1.75282109, 1.04682994, -0.16823107],
        [-1.75758195, 1.0425508, -0.17777355],
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class Bones:
    """Transforms of the joints of posed figures.

    Args:
        joints: (..., J, 3) positions in the world.
        bone_to_world, world_to_bone: (..., J, 4, 4), each other's inverse.
    """

    joints: Tensor
    bone_to_world: Tensor
    world_to_bone: Tensor


def pose_bones(rotations: Tensor, rest_pose: Tensor, pelvis: Tensor | None = None) -> Bones:
    """Forward kinematics and its rigid inverse.

    Args:
        rotations: (..., J, 3, 3) local rotations, root first.
        rest_pose: (J, 3) or (..., J, 3) rest joints, world units.
        pelvis: (..., 3) added to every joint; zero where absent.
    """
    parents = [max(parent, 0) for parent in PARENTS]
    offsets = torch.cat([rest_pose[..., :1, :], (rest_pose - rest_pose[..., parents, :])[..., 1:, :]], dim=-2)
    turned, joints = forward_kinematics(PARENTS, rotations, offsets, pelvis)
    inverse = turned.transpose(-1, -2)
    with without_tf32():
        back = -(inverse @ joints[..., None]).squeeze(-1)
    return Bones(joints, rigid(turned, joints), rigid(inverse, back))


def rigid(rotation: Tensor, translation: Tensor) -> Tensor:
    """(..., 4, 4) of rotations (..., 3, 3) and translations (..., 3)."""
    upper = torch.cat([rotation, translation[..., None]], dim=-1)
    bottom = upper.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*upper.shape[:-2], 1, 4)
    return torch.cat([upper, bottom], dim=-2)


def rest_from_bones(bone_to_world: Tensor) -> Tensor:
    """Rest joints (..., J, 3) behind (..., J, 4, 4) transforms; the root stays where it is posed."""
    rotation, position = bone_to_world[..., :3, :3], bone_to_world[..., :3, 3]
    rest = [position[..., 0, :]]
    for joint, parent in enumerate(PARENTS[1:], 1):
        step = position[..., joint, :] - position[..., parent, :]
        rest.append(
            rest[parent] + (rotation[..., parent, :, :].transpose(-1, -2) @ step[..., None]).squeeze(-1)
        )
    return torch.stack(rest, dim=-2)


def bone_lengths(joints: Tensor) -> Tensor:
    """Lengths (..., J - 1) of the bones from joints 1.. to their parents; joints are (..., J, 3)."""
    return torch.linalg.vector_norm(joints[..., 1:, :] - joints[..., list(PARENTS[1:]), :], dim=-1)


def joint_axes(rest_pose: Tensor) -> Tensor:
    """(J, 3, 3) axes of the joints as rows: z to the parent, x across e_y and z, y third; the root's are the world's.

    No shipped encoder uses them; the data files' metadata carries them.
    """
    z = torch.nn.functional.normalize(rest_pose[list(PARENTS[1:])] - rest_pose[1:], dim=-1)
    up = torch.zeros_like(z)
    up[:, 1] = 1
    x = torch.nn.functional.normalize(torch.linalg.cross(up, z, dim=-1), dim=-1)
    axes = torch.stack([x, torch.linalg.cross(z, x, dim=-1), z], dim=1)
    return torch.cat([torch.eye(3, dtype=axes.dtype, device=axes.device)[None], axes])


def bounding_cylinder(
    joints: Tensor,
    *,
    margin: float = 250 * EXT_SCALE,
    top_ratio: float = 1.0,
    bottom_ratio: float = 0.25,
    up: str = "-y",
) -> Tensor:
    """Upright cylinder (..., 5) around joints (..., J, 3): centre (2), radius, top, bottom.

    The centre is the root's; ratios are shares of the margin above and below. Preprocessing uses the defaults, rendering
    a top ratio of 1.60 and a bottom ratio of 1.10.

    Args:
        joints: world positions.
        margin: added to the radius, world units.
        top_ratio, bottom_ratio: of the margin.
        up: "-y" (ground plane x, z) or "z" (ground plane x, y).
    """
    if up not in ("-y", "z"):
        raise ValueError(f"up is {up!r}; expected -y or z")
    ground, axis, sign = ([0, 2], 1, -1.0) if up == "-y" else ([0, 1], 2, 1.0)
    centre = joints[..., :1, ground]
    radius = torch.linalg.vector_norm(joints[..., ground] - centre, dim=-1).amax(-1) + margin
    heights = sign * joints[..., axis]
    top = sign * (heights.amax(-1) + margin * top_ratio)
    bottom = sign * (heights.amin(-1) - margin * bottom_ratio)
    return torch.stack([centre[..., 0, 0], centre[..., 0, 1], radius, top, bottom], dim=-1)


def rendering_cylinder(joints: Tensor, margin: float = 250 * EXT_SCALE) -> Tensor:
    """The cylinder with the margins that rendering uses (docs/specs/anerf.md, section 2)."""
    return bounding_cylinder(joints, margin=margin, top_ratio=1.60, bottom_ratio=1.10)


def from_legacy(rotations: Tensor, rest_pose: Tensor, pelvis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (..., J, 3, 3), rest (..., J, 3), pelvis (..., 3) of the older axes in today's.

    See docs/specs/anerf.md, section 11.
    """
    axes = LEGACY_AXES.to(rotations)
    turned = axes @ rotations @ axes.T
    turned = torch.cat([axes @ turned[..., :1, :, :], turned[..., 1:, :, :]], dim=-3)
    return turned, rest_pose @ axes.T, pelvis * pelvis.new_tensor([1.0, -1.0, -1.0])


def joints_of(world_to_bone: Tensor) -> Tensor:
    """Joints (..., J, 3) of rigid transforms (..., J, 4, 4)."""
    rotation, shift = world_to_bone[..., :3, :3], world_to_bone[..., :3, 3]
    with full_precision(shift):
        return -(rotation.transpose(-1, -2) @ shift[..., None]).squeeze(-1)
