"""A small made scene: random pixels, discs as masks, random poses before two cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.systems.anerf.data import AvatarScene, Frame, SceneMetadata, write_scene
from contrapposto.systems.anerf.kinematics import REST_POSE, UNIT_SCALE, bounding_cylinder, pose_bones


def arrays(poses: int = 3, cameras: int = 2, focal: float = 60.0, seed: int = 0) -> dict[str, np.ndarray]:
    """All arrays but the images: every camera sees every pose, camera by camera."""
    generator = np.random.default_rng(seed)
    bones = generator.normal(0, 0.3, (poses, 24, 3))
    rest = REST_POSE * UNIT_SCALE
    placed = torch.from_numpy(generator.normal(0, 0.2, (poses, 3)))
    posed = pose_bones(rot.axis_angle_to_matrix(torch.from_numpy(bones)), torch.from_numpy(rest), placed)
    matrices = np.tile(np.eye(4), (cameras, 1, 1))
    matrices[:, :3, :3] *= [1, -1, -1]  # the optical axis is +z of the world
    matrices[:, 2, 3] = -6 - np.arange(cameras)
    index = np.arange(poses * cameras)
    return {
        "bkgds": generator.integers(0, 255, (2, 24 * 20, 3)).astype(np.uint8),
        "bkgd_idxs": index % 2,
        "kp_idxs": index % poses,
        "camera_idxs": index // poses,
        "cam_idxs": index // poses,
        "kp3d": posed.joints.numpy(),
        "bones": bones,
        "skts": posed.world_to_bone.numpy(),
        "cyls": bounding_cylinder(posed.joints).numpy(),
        "rest_pose": rest,
        "c2ws": matrices,
        "focals": np.full(cameras, focal),
    }


def frames(count: int, seed: int = 0, height: int = 24, width: int = 20) -> list[Frame]:
    """Random images with a disc in the middle as mask."""
    generator = np.random.default_rng(seed)
    row, column = np.ogrid[:height, :width]
    disc = (row - height / 2) ** 2 + (column - width / 2) ** 2 < 25
    return [
        Frame(generator.integers(0, 255, (height, width, 3)).astype(np.uint8), disc) for _ in range(count)
    ]


def scene(path: Path, poses: int = 3, cameras: int = 2, **facts: Any) -> AvatarScene:
    """The scene, written and opened."""
    told = SceneMetadata("made", "made for a test", "CC0-1.0", **facts)
    return write_scene(path, frames(poses * cameras), arrays(poses, cameras), (24, 20), told)
