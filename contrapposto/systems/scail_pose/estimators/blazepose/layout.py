"""BlazePose's points in the suite's layouts: 134 keypoints, and 24 joints before the camera (section 12)."""

from __future__ import annotations

import numpy as np

from contrapposto.systems.scail_pose.estimators.blazepose.body import BodyLandmarks
from contrapposto.systems.scail_pose.estimators.blazepose.parts import DLIB_OF_FACE, Part
from contrapposto.systems.scail_pose.interface import NUM_JOINTS, NUM_KEYPOINTS

# Keypoint <- landmark. Landmarks have one toe: both toe points of a foot take it.
_BODY = {
    **{0: 0, 2: 12, 3: 14, 4: 16, 5: 11, 6: 13, 7: 15, 8: 24, 9: 26, 10: 28, 11: 23, 12: 25, 13: 27},
    **{14: 5, 15: 2, 16: 8, 17: 7, 18: 31, 19: 31, 20: 29, 21: 32, 22: 32, 23: 30},
}
_NECK, _SHOULDERS = 1, [11, 12]
_FACE, _LEFT_HAND, _RIGHT_HAND = slice(24, 92), slice(92, 113), slice(113, 134)

_HIP_WIDTH = 0.78  # of SMPL's hips over BlazePose's
# Places on the line from between the hips to between the shoulders: the shipped body's, but for the neck.
_SPINE = {0: 0.11, 3: 0.34, 6: 0.56, 9: 0.82, 12: 1.05}
# Joint <- mean of landmarks.
_JOINTS = {
    **{4: [25], 5: [26], 7: [27], 8: [28], 10: [31], 11: [32], 15: [7, 8]},
    **{16: [11], 17: [12], 18: [13], 19: [14], 20: [15], 21: [16], 22: [17, 19], 23: [18, 20]},
}
_LEAST_PRESENCE = 0.5


def to_keypoints(
    body: BodyLandmarks, left: Part | None = None, right: Part | None = None, face: Part | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (134, 2) float32 pixels and scores (134,); parts that are None have score 0."""
    points, scores = np.zeros((NUM_KEYPOINTS, 2), np.float32), np.zeros(NUM_KEYPOINTS, np.float32)
    slots, sources = list(_BODY), list(_BODY.values())
    points[slots], scores[slots] = body.pixels[sources], body.confidence[sources]
    points[_NECK] = body.pixels[_SHOULDERS].mean(axis=0)
    scores[_NECK] = body.confidence[_SHOULDERS].min()
    for part, places in ((left, _LEFT_HAND), (right, _RIGHT_HAND)):
        if part is not None:
            points[places], scores[places] = part.pixels, part.score
    if face is not None:
        points[_FACE], scores[_FACE] = face.pixels[list(DLIB_OF_FACE)], face.score
    return points, scores


def to_joints(body: BodyLandmarks, intrinsics: np.ndarray) -> np.ndarray:
    """SMPL joints (24, 3) float32, millimetres before the camera, NaN where the landmarks are not in the image."""
    space = place(body, intrinsics)
    known = body.presence > _LEAST_PRESENCE
    joints = np.full((NUM_JOINTS, 3), np.nan)
    for joint, sources in _JOINTS.items():
        if known[sources].all():
            joints[joint] = space[sources].mean(axis=0)
    hips = space[[23, 24]] if known[[23, 24]].all() else np.full((2, 3), np.nan)
    shoulders = space[_SHOULDERS] if known[_SHOULDERS].all() else np.full((2, 3), np.nan)
    middle, top = hips.mean(axis=0), shoulders.mean(axis=0)
    joints[[1, 2]] = middle + _HIP_WIDTH * (hips - middle)
    for joint, share in _SPINE.items():
        joints[joint] = middle + share * (top - middle)
    if np.isnan(joints[12]).any():
        joints[12] = top
    joints[[13, 14]] = 0.5 * (joints[12] + shoulders)
    return joints.astype(np.float32)


def place(body: BodyLandmarks, intrinsics: np.ndarray) -> np.ndarray:
    """The landmarks (33, 3) in millimetres before the camera, each on the ray of its pixel.

    The distance is the one at which the landmarks in space are seen where those in the image are, by least squares.
    """
    rays = (body.pixels - intrinsics[:2, 2]) / intrinsics[[0, 1], [0, 1]]
    world = 1000 * body.world
    weights = np.maximum(body.confidence, 1e-3)
    # X + T_x = ray (Z + T_z): linear in the shift T; without T_x and T_y, which differences to the mean cancel.
    total = weights.sum()
    right = rays * world[:, 2:] - world[:, :2]
    rays_apart, right_apart = (v - weights @ v / total for v in (rays, right))
    slope = (weights[:, None] * rays_apart * right_apart).sum() / -(weights[:, None] * rays_apart**2).sum()
    nearest = 200.0 - world[:, 2].min()
    depth = world[:, 2] + max(float(slope), nearest)
    return np.concatenate([rays * depth[:, None], depth[:, None]], axis=1)
