"""The assumed camera and the drawing skeleton (docs/specs/scail_pose.md, sections 5 and 6)."""

from __future__ import annotations

import numpy as np

from contrapposto.errors import InputError

DEFAULT_FOV_DEGREES = 55.0
NUM_SLOTS = 18
# SMPL joint of drawing slots 0 to 13; slots 14 to 17 (eyes, ears) have no SMPL joint.
SMPL_OF_SLOT = (15, 12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7)


def default_intrinsics(height: int, width: int, fov_degrees: float = DEFAULT_FOV_DEGREES) -> np.ndarray:
    """Pinhole matrix (3, 3) float32, pixels, whose field of view spans the longer side of the image."""
    if height < 1 or width < 1:
        raise InputError("image size", found=f"{height} x {width}", expected="at least 1 x 1")
    focal = max(height, width) / (2 * np.tan(np.radians(fov_degrees) / 2))
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)


def project(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Camera-space points (..., 3) to (u, v, Z), pixels and the points' own unit; not finite where Z is 0."""
    depth = points[..., 2:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = points[..., :2] / depth
    pixels = scaled * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
    return np.concatenate([pixels, depth], axis=-1)


def smpl_to_slots(joints: np.ndarray) -> np.ndarray:
    """SMPL joints (..., 24, D) to the 18 drawing slots (..., 18, D); slots 14 to 17 are zero, that is missing."""
    if joints.ndim < 2 or joints.shape[-2] != 24:
        raise InputError("SMPL joints", found=f"shape {joints.shape}", expected="(..., 24, D)")
    slots = np.zeros((*joints.shape[:-2], NUM_SLOTS, joints.shape[-1]), joints.dtype)
    slots[..., : len(SMPL_OF_SLOT), :] = joints[..., SMPL_OF_SLOT, :]
    return slots
