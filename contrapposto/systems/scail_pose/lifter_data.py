"""What a lifter learns from: motion seen through random cameras; `lifter_noise` has the errors of keypoint networks.

Everything random is drawn by key (seed, step, sample), so that a batch is a function of its step. Cameras have the axes
of the suite's pinhole cameras: x to the right, y down, z forward. Keypoints are given as rays: the tangents x / z and
y / z of their directions, which is what pixels are once the camera's matrix is taken off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.nn.random import keyed_normal, keyed_uniform
from contrapposto.skeleton import SMPL24, forward_kinematics

KEYPOINTS = (*range(24), 97, 109, 118, 130)
"""Which of the 134 whole-body keypoints a lifter reads: body, feet, knuckles of index and little fingers."""
NUM_ROTATIONS = 22
FIGURE_HEIGHT = 1.67

NECK, SHOULDERS, _HIPS = 1, (2, 5), (8, 11)
# Keypoints that are joints: (joint that carries it, joint that it is).
_AT_JOINTS = {
    **{2: (14, 17), 3: (17, 19), 4: (19, 21), 5: (13, 16), 6: (16, 18), 7: (18, 20)},
    **{8: (0, 2), 9: (2, 5), 10: (5, 8), 11: (0, 1), 12: (1, 4), 13: (4, 7)},
}
# Keypoints on the surface: (joint that carries it, metres from it at rest, x to the figure's left). Measured on the
# shipped figure.
_ON_SURFACE = {
    **{0: (15, (0.0, 0.051, 0.139)), 14: (15, (-0.032, 0.085, 0.1)), 15: (15, (0.032, 0.085, 0.1))},
    **{16: (15, (-0.083, 0.07, 0.015)), 17: (15, (0.083, 0.07, 0.015))},
    **{18: (10, (-0.02, -0.012, 0.05)), 19: (10, (0.035, -0.012, 0.02)), 20: (7, (0.0, -0.039, -0.052))},
    **{21: (11, (0.02, -0.012, 0.05)), 22: (11, (-0.035, -0.012, 0.02)), 23: (8, (0.0, -0.039, -0.052))},
    **{24: (20, (0.102, 0.006, 0.026)), 25: (20, (0.086, -0.019, -0.033))},
    **{26: (21, (-0.102, 0.006, 0.026)), 27: (21, (-0.086, -0.019, -0.033))},
}
MIRRORED = (
    0,
    1,
    5,
    6,
    7,
    2,
    3,
    4,
    11,
    12,
    13,
    8,
    9,
    10,
    15,
    14,
    17,
    16,
    21,
    22,
    23,
    18,
    19,
    20,
    26,
    27,
    24,
    25,
)
"""The keypoint of the other side for each of `KEYPOINTS`."""

# Bones that grow together, by the joint at their end: torso, shoulders, upper arms, forearms, hips, thighs, shins, feet.
_BONE_GROUPS = (
    *((3, 6, 9, 12, 15), (13, 14, 16, 17), (18, 19), (20, 21, 22, 23)),
    *((1, 2), (4, 5), (7, 8), (10, 11)),
)
_NEAREST = 0.2


@dataclass(frozen=True)
class ViewOptions:
    """Figures and cameras at random.

    Args:
        fov_degrees: least and largest field of view across the longer side; evenly in the logarithm.
        aspect: least and largest width over height of the image; likewise.
        fill: least and largest height of the figure over that of the image; likewise. Above 1 it is cut off.
        elevation_degrees: mean and standard deviation of the angle by which the camera looks down; at most 60.
        roll_degrees: standard deviation of the camera's tilt.
        pan: least and largest share of the figure's way that the camera follows.
        focal_error: standard deviation of the logarithm of the focal length that is assumed over the true one; half
            of the samples have none.
        size: standard deviation of the figure's size.
        bones: the same of groups of bones, left and right alike.
        convention: the same, in metres, of where a network sees each keypoint on the body.
        hip_width: least and largest distance of the keypoints of the hips over that of SMPL's joints.
        mirror: half of the samples in a mirror.
    """

    fov_degrees: Sequence[float] = (25.0, 80.0)
    aspect: Sequence[float] = (0.5, 2.0)
    fill: Sequence[float] = (0.3, 1.6)
    elevation_degrees: Sequence[float] = (6.0, 14.0)
    roll_degrees: float = 4.0
    pan: Sequence[float] = (0.0, 1.0)
    focal_error: float = 0.2
    size: float = 0.05
    bones: float = 0.05
    convention: float = 0.012
    hip_width: Sequence[float] = (0.95, 1.35)
    mirror: bool = True


@dataclass(frozen=True)
class Keys:
    """Random numbers of the samples of a batch; see `contrapposto.nn.random`."""

    seed: int
    step: int
    sample_ids: Tensor

    def uniform(self, name: str, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B, *shape) evenly in [low, high)."""
        draws = keyed_uniform(self.seed, self.step, self.sample_ids, shape, f"lifter {name}")
        return low + (high - low) * draws

    def spread(self, name: str, limits: Sequence[float]) -> Tensor:
        """(B,) evenly in the logarithm."""
        return self.uniform(name, low=math.log(limits[0]), high=math.log(limits[1])).exp()

    def normal(self, name: str, *shape: int) -> Tensor:
        """(B, *shape) standard normal."""
        return keyed_normal(self.seed, self.step, self.sample_ids, shape, f"lifter {name}")


@dataclass(frozen=True)
class Views:
    """Figures before cameras.

    Args:
        rays: (B, T, 28, 2) of the keypoints, without noise.
        joints: (B, T, 24, 3) metres in camera space: what is to be found.
        seen: (B, T, 28) bool, whether a keypoint is in the image.
        unit: (B, T) the figure's height as it is seen, in rays.
    """

    rays: Tensor
    joints: Tensor
    seen: Tensor
    unit: Tensor


def pose_figures(rotations: Tensor, pelvis: Tensor, keys: Keys, options: ViewOptions) -> tuple[Tensor, ...]:
    """Figures of random proportions.

    Args:
        rotations: (B, T, 22, 3) local axis-angles of SMPL's first joints.
        pelvis: (B, T, 3) its places, metres, z up.
        keys: of the samples.
        options: `size`, `bones`, `convention`, `hip_width` are used.

    Returns:
        Joints (B, T, 24, 3) and keypoints (B, T, 28, 3), metres in the world; the figures' sizes (B,).
    """
    size = (1 + options.size * keys.normal("size")).clamp(0.7, 1.3)
    scales = size[:, None] * _bone_scales(keys, options)
    rest = torch.from_numpy(SMPL24.offsets)
    offsets = (rest * scales[..., None]).index_fill(1, torch.tensor([0]), 0.0)
    turns = rot.axis_angle_to_matrix(rotations)
    hands = torch.eye(3).expand(*turns.shape[:2], 2, 3, 3)
    turns = torch.cat([turns, hands], dim=2)
    way = pelvis * size[:, None, None]
    whole, joints = forward_kinematics(SMPL24.parents, turns, offsets[:, None], way)
    carriers, places = _attachments()
    bound = torch.tensor([_AT_JOINTS[k][1] if k in _AT_JOINTS else -1 for k in range(len(KEYPOINTS))])
    growth = torch.where(bound >= 0, scales[:, bound.clamp_min(0)], size[:, None])
    places = places * growth[..., None]
    places = places + options.convention * keys.normal("convention", len(KEYPOINTS), 3)
    places[:, _HIPS] = places[:, _HIPS] * torch.stack(
        [
            keys.uniform("hips", low=options.hip_width[0], high=options.hip_width[1]),
            *2 * [torch.ones(len(size))],
        ],
        -1,
    ).unsqueeze(1)
    points = joints[:, :, carriers] + (whole[:, :, carriers] @ places[:, None, :, :, None]).squeeze(-1)
    points[:, :, NECK] = points[:, :, SHOULDERS].mean(2)
    return joints, points, size


def _bone_scales(keys: Keys, options: ViewOptions) -> Tensor:
    """(B, 24) relative length of the bone that ends at each joint."""
    draws = (1 + options.bones * keys.normal("bones", len(_BONE_GROUPS))).clamp(0.75, 1.25)
    scales = torch.ones(len(draws), SMPL24.num_joints)
    for number, joints in enumerate(_BONE_GROUPS):
        scales[:, joints] = draws[:, number, None]
    return scales


def _attachments() -> tuple[Tensor, Tensor]:
    """Joint that carries each keypoint (28,) and its place from it at rest (28, 3); the neck is set later."""
    carriers, places = torch.full((len(KEYPOINTS),), 9), torch.zeros(len(KEYPOINTS), 3)
    for keypoint, (carrier, joint) in _AT_JOINTS.items():
        carriers[keypoint], places[keypoint] = carrier, torch.from_numpy(SMPL24.offsets[joint])
    for keypoint, (carrier, place) in _ON_SURFACE.items():
        carriers[keypoint], places[keypoint] = carrier, torch.tensor(place)
    return carriers, places


def random_views(rotations: Tensor, pelvis: Tensor, keys: Keys, options: ViewOptions | None = None) -> Views:
    """Clips (B, T) of figures through one random camera each; arguments of `pose_figures`."""
    options = options or ViewOptions()
    joints, points, size = pose_figures(rotations, pelvis, keys, options)
    half, distance, aside = _framing(size, keys, options)
    turn = _camera_turn(keys, options)
    # The camera follows part of the way, and as much as keeps the figure before it.
    way = joints[:, :, 0] - joints[:, :, 0].mean(1, keepdim=True)
    longest = torch.linalg.vector_norm(way, dim=-1).amax(1).clamp_min(1e-6)
    left_over = 1 - keys.uniform("pan", low=options.pan[0], high=options.pan[1])
    left_over = torch.minimum(left_over, 0.5 * distance / longest)
    eye = joints[:, :, 0] - left_over[:, None, None] * way
    shift = torch.cat([aside, distance[:, None]], -1)[:, None, None]
    joints, points = (((v - eye[:, :, None]) @ turn[:, None].mT) + shift for v in (joints, points))
    if options.mirror:
        flip = (keys.uniform("mirror") < 0.5)[:, None, None, None]
        across = torch.tensor([-1.0, 1.0, 1.0])
        joints = torch.where(flip, joints[:, :, torch.from_numpy(SMPL24.mirror_map)] * across, joints)
        points = torch.where(flip, points[:, :, MIRRORED] * across, points)
    depth = points[..., 2:].clamp_min(_NEAREST)
    rays = points[..., :2] / depth
    seen = ((rays.abs() <= half[:, None, None]).all(-1)) & (points[..., 2] > _NEAREST)
    unit = FIGURE_HEIGHT * size[:, None] / joints[:, :, 0, 2].clamp_min(_NEAREST)
    # A wrong focal length: all is seen larger or smaller, and thought to be nearer or farther away.
    wrong = torch.where(
        keys.uniform("focal known") < 0.5, 0.0, options.focal_error * keys.normal("focal")
    ).exp()
    root = joints[:, :, :1]
    moved = root * torch.stack([torch.ones_like(wrong), torch.ones_like(wrong), wrong], -1)[:, None, None]
    return Views(rays / wrong[:, None, None, None], joints - root + moved, seen, unit / wrong[:, None])


def _framing(size: Tensor, keys: Keys, options: ViewOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Half the image in rays (B, 2), distance of the pelvis (B,) metres, its place across (B, 2) metres."""
    longer = (keys.spread("fov", options.fov_degrees) * math.pi / 360).tan()
    aspect = keys.spread("aspect", options.aspect)
    half = longer[:, None] * torch.stack([aspect.clamp_max(1), (1 / aspect).clamp_max(1)], -1)
    fill = keys.spread("fill", options.fill)
    height = FIGURE_HEIGHT * size
    distance = (height / (2 * half[:, 1] * fill)).clamp_min(1.0)
    fill = height / (2 * half[:, 1] * distance)
    # Inside the image where there is room, and somewhat beyond; a figure that is cut off mostly shows its upper half.
    free = 0.55 * (1 - fill).clamp_min(0.0)
    down = keys.uniform("down", low=-1, high=1) * free
    down = down + (fill - 1).clamp_min(0.0) * keys.uniform("cut", low=-0.2, high=0.6)
    right = 0.5 * keys.uniform("right", low=-1, high=1)
    aside = torch.stack([right, down], -1) * 2 * half * distance[:, None]
    return half, distance, aside


def _camera_turn(keys: Keys, options: ViewOptions) -> Tensor:
    """(B, 3, 3) from the world, z up, to a camera's axes."""
    mean, deviation = options.elevation_degrees
    elevation = (mean + deviation * keys.normal("elevation")).clamp(-60, 60) * math.pi / 180
    azimuth = keys.uniform("azimuth", high=2 * math.pi)
    roll = options.roll_degrees * keys.normal("roll") * math.pi / 180
    flat, none = elevation.cos(), torch.zeros_like(roll)
    forward = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), -elevation.sin()], -1)
    right = torch.stack([azimuth.sin(), -azimuth.cos(), none], -1)
    upright = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    return rot.axis_angle_to_matrix(torch.stack([none, none, roll], -1)) @ upright
