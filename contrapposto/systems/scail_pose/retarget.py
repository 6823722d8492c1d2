"""Face and hands carried along with the re-fitted camera (docs/specs/scail_pose.md, section 8, steps 4 to 6)."""

from __future__ import annotations

import numpy as np

from contrapposto.systems.scail_pose.camera import project
from contrapposto.systems.scail_pose.wholebody import WholeBodyPose

_NOSE_TIP = 30
_HEAD, _LEFT_WRIST, _RIGHT_WRIST = 15, 20, 21


def face_scale(reference: np.ndarray, driver: np.ndarray, bounds: tuple[float, float] = (0.8, 1.5)) -> float:
    """Size of the reference's face over the driver's, both (68, 2), from distances to the tip of the nose.

    As the original has it: normalised coordinates, points marked -1 included.
    """
    sizes = [float(np.linalg.norm(f - f[_NOSE_TIP], axis=-1).mean()) for f in (reference, driver)]
    return 1.0 if sizes[1] < 1e-6 else float(np.clip(sizes[0] / sizes[1], *bounds))


def scale_face(pose: WholeBodyPose, scale: float, person: int = 0) -> WholeBodyPose:
    """The pose with one person's face scaled about the tip of the nose, and the body's points about the nose."""
    faces, candidate = pose.faces.copy(), pose.candidate.copy()
    for points, centre in ((faces[person], _NOSE_TIP), (candidate[person], 0)):
        points[:] = points[centre] + (points - points[centre]) * scale
    return WholeBodyPose(candidate, pose.subset, faces, pose.hands)


def only_first(pose: WholeBodyPose) -> WholeBodyPose:
    """The pose of the first person alone."""
    return WholeBodyPose(pose.candidate[:1], pose.subset[:1], pose.faces[:1], pose.hands[:2])


def follow_camera(
    pose: WholeBodyPose, joints: np.ndarray, old: np.ndarray, new: np.ndarray, height: int, width: int
) -> WholeBodyPose:
    """One person's pose after a change of camera.

    Args:
        pose: of one person.
        joints: (24, 3) SMPL joints in camera space, the unit that of the cylinders.
        old, new: (3, 3) intrinsics in pixels.
    """
    shifts = (project(joints, new) - project(joints, old))[:, :2] / np.array([width, height])
    shifts[~(joints[:, 2] > 0.01)] = 0
    hands = pose.hands + shifts[[_LEFT_WRIST, _RIGHT_WRIST], None]
    zoom = new[[0, 1], [0, 1]] / old[[0, 1], [0, 1]]
    hands = hands[:, :1] + (hands - hands[:, :1]) * zoom
    return WholeBodyPose(pose.candidate + shifts[_HEAD], pose.subset, pose.faces + shifts[_HEAD], hands)
