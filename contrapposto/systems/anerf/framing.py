"""Cameras that show a person whole, wherever the scene has the person and whatever its cameras look at.

World axes: x right, y down, z forward; the ground is the x-z plane.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.systems.anerf.paths import PoseFrames

MARGIN = 0.33
"""World units from the outermost joint to the skin, at most: 0.2 m from the head joint to the crown."""
_STEEPEST = math.radians(25)


def look_at(target: Tensor, yaw: float, pitch: float, distance: float) -> Tensor:
    """(4, 4) NeRF camera to world that looks at a point.

    Args:
        target: (3,).
        yaw: of the viewing direction about the vertical: 0 looks along z, pi / 2 along x.
        pitch: of the viewing direction, downwards.
        distance: from the target.
    """
    forward = torch.tensor(
        [math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)],
        dtype=torch.float64,
    )
    right = torch.tensor([math.cos(yaw), 0.0, -math.sin(yaw)], dtype=torch.float64)
    down = torch.linalg.cross(forward, right)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] = torch.stack([right, -down, -forward, target.double() - distance * forward], dim=1)
    return matrix


def viewing_angles(camera_to_world: Tensor, place: Tensor) -> tuple[float, float]:
    """Yaw and pitch of the direction in which a camera (4, 4) sees a point (3,); steep views are levelled."""
    direction = place.double() - camera_to_world[:3, 3].double()
    if float(direction[[0, 2]].norm()) < 1e-6:
        direction = -camera_to_world[:3, 2].double()
    yaw = math.atan2(float(direction[0]), float(direction[2]))
    pitch = math.atan2(float(direction[1]), float(direction[[0, 2]].norm()))
    return yaw, min(max(pitch, -_STEEPEST), _STEEPEST)


def framing_camera(
    joints: Tensor,
    focal: Tensor,
    size: tuple[int, int],
    *,
    yaw: float,
    pitch: float = 0.0,
    fill: float = 0.97,
    margin: float = MARGIN,
    tumbling: bool = False,
) -> Tensor:
    """(4, 4) the nearest camera that shows all joints from every side: it may be turned about `centre_of` them.

    Args:
        joints: (..., 24, 3) of one or several poses.
        focal: (2,) pixels.
        size: height and width of the image; its principal point is the middle.
        yaw, pitch: of the viewing direction, see `look_at`.
        fill: share of the image that the figure may take.
        margin: around the joints, world units.
        tumbling: the figure may be turned about its first root in any way.
    """
    points = joints.reshape(-1, 3).double()
    target = centre_of(joints)
    radius = float((points - target)[:, [0, 2]].norm(dim=1).max()) + margin
    half = float(points[:, 1].max() - points[:, 1].min()) / 2 + margin
    if tumbling:
        target = points[0]
        radius = half = float((points - target).norm(dim=1).max()) + margin
    turn = torch.arange(24, dtype=torch.float64) * (2 * math.pi / 24)
    ring = torch.stack([radius * turn.cos(), torch.full_like(turn, half), radius * turn.sin()], dim=1)
    rim = target + torch.cat([ring, ring * torch.tensor([1.0, -1.0, 1.0])])
    camera = look_at(target, yaw, pitch, 0.0)
    local = (rim - camera[:3, 3]) @ camera[:3, :3] * torch.tensor([1.0, -1.0, -1.0])
    room = fill * torch.tensor([size[1], size[0]], dtype=torch.float64) / 2
    need = (focal.double().expand(2) * local[:, :2].abs() / room) - local[:, 2:]
    return look_at(target, yaw, pitch, float(need.max())).float()


def centre_of(joints: Tensor) -> Tensor:
    """(3,) above the first root, halfway up."""
    points = joints.reshape(-1, 3).double()
    middle = (points[:, 1].min() + points[:, 1].max()) / 2
    return torch.stack([points[0, 0], middle, points[0, 2]])


def framed(
    frames: PoseFrames,
    joints: Tensor,
    size: tuple[int, int],
    *,
    aligned: bool = False,
    tumbling: bool = False,
) -> PoseFrames:
    """The frames with the person over the world's origin and a camera that looks at the person from the same side.

    So every mode of `contrapposto.systems.anerf.paths` shows the person: they turn cameras about the world's axes.

    Args:
        frames: of a scene, or some of them.
        joints: (N, 24, 3) of their poses.
        size: height and width of the images.
        aligned: turn the world as well, so that the cameras look along z.
        tumbling: see `framing_camera`.
    """
    roots, cameras, bones = [], [], frames.bones.clone()
    focals = frames.focals.float().reshape(len(frames), -1).expand(len(frames), 2)
    for number in range(len(frames)):
        centre = centre_of(joints[number])
        root, placed = (part.double() - centre for part in (frames.root[number], joints[number]))
        yaw, pitch = viewing_angles(frames.cameras[number], frames.root[number])
        if aligned:
            turn = _about_y(-yaw)
            root, placed, yaw = turn @ root, placed @ turn.T, 0.0
            first = rot.axis_angle_to_matrix(bones[number, 0].double())
            bones[number, 0] = rot.matrix_to_axis_angle(turn @ first).to(bones.dtype)
        roots.append(root.float())
        cameras.append(framing_camera(placed, focals[number], size, yaw=yaw, pitch=pitch, tumbling=tumbling))
    return replace(
        frames,
        bones=bones,
        root=torch.stack(roots),
        cameras=torch.stack(cameras),
        focals=focals.contiguous(),
        centres=None,
    )


def _about_y(angle: float) -> Tensor:
    """(3, 3) turn that adds an angle to the yaw of a direction."""
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float64)
