"""Poses as A-NeRF has them: from axis-angles, and from any motion of the suite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from contrapposto import rotations as rot
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL24
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.kinematics import (
    REST_POSE,
    UNIT_SCALE,
    bone_lengths,
    bounding_cylinder,
    pose_bones,
)
from contrapposto.systems.anerf.paths import PoseFrames

WORLD_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From the suite's world (z up) to A-NeRF's (y down): (x, y, z) -> (x, -z, y). A figure at rest faces -z."""
_LEG = (1, 4, 7)


def unit_scale(rest_pose: np.ndarray) -> float:
    """The factor that gives rest joints (24, 3) the mean bone length of A-NeRF's world units.

    See docs/specs/anerf.md, section 1.
    """
    own, built_in = (
        float(bone_lengths(torch.from_numpy(np.asarray(joints, np.float64))).mean())
        for joints in (rest_pose, REST_POSE * UNIT_SCALE)
    )
    return built_in / own


def pose_arrays(bones: np.ndarray, rest_pose: np.ndarray, root: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of a scene's poses.

    Args:
        bones: (P, 24, 3) axis-angles in radians; the root's is in the world.
        rest_pose: (24, 3) rest joints, root at the origin, world units.
        root: (P, 3) where the root joint is.

    Returns:
        `kp3d` (P, 24, 3), `bones` (P, 24, 3), `skts` (P, 24, 4, 4), `cyls` (P, 5), float32, computed in float64.
    """
    matrices = rot.axis_angle_to_matrix(torch.from_numpy(np.array(bones, np.float64)))
    rest, place = (torch.from_numpy(np.array(values, np.float64)) for values in (rest_pose, root))
    posed = pose_bones(matrices, rest, place - rest[0])
    result = {"kp3d": posed.joints, "skts": posed.world_to_bone, "cyls": bounding_cylinder(posed.joints)}
    arrays = {name: value.numpy().astype(np.float32) for name, value in result.items()}
    return {**arrays, "bones": np.asarray(bones, np.float32)}


def motion_poses(
    motion: Motion,
    rest_pose: np.ndarray,
    *,
    at: Sequence[float] | None = None,
    travel: bool = True,
    turn: float = 0.0,
) -> dict[str, np.ndarray]:
    """A clip on the figure of a scene, for rendering.

    Lengths of the clip are scaled by the ratio of the legs, so that the figure steps as far as its legs allow.

    Args:
        motion: any clip of the SMPL family; others: `contrapposto.retarget.to_smpl` first.
        rest_pose: (24, 3) of the scene, world units.
        at: where the root joint of the first frame is placed, world units; None keeps the clip's own place, the floor
            at height 0.
        travel: move over the ground as the clip does; False keeps the root above one place (it rises and falls).
        turn: degrees by which the figure is turned to its left, about the vertical through the root.

    Returns:
        See `pose_arrays`, one pose per frame.

    Raises:
        InputError: a clip that is not of the SMPL family.
    """
    rotations = motion.to_skeleton(SMPL24).rotations  # refuses other skeletons
    start = motion.joint_positions()[0, 0]
    if turn:
        motion = motion.transform(_about_z(np.radians(turn)))
        rotations = motion.to_skeleton(SMPL24).rotations
    place = motion.joint_positions()[:, 0].astype(np.float64)
    place[:, :2] += (start - place[0])[:2]
    leg = motion.skeleton.index(*SMPL24.joint_names[:8])
    scale = _leg(rest_pose) / _leg(motion.skeleton.rest_positions[leg])
    root = scale * place @ WORLD_AXES.T
    if not travel:
        root[:, [0, 2]] = root[:1, [0, 2]]
    if at is not None:
        root += np.asarray(at, np.float64) - root[0]
    return pose_arrays(world_bones(rotations), rest_pose, root)


def scene_frames(
    scene: AvatarScene, images: Sequence[int] | None = None, *, truth: bool = False
) -> PoseFrames:
    """The poses and cameras of a scene's images, for the render modes of `contrapposto.systems.anerf.paths`.

    Args:
        scene: the data.
        images: their numbers; all if None.
        truth: take `gt_bones` and `gt_kp3d`.

    Raises:
        InputError: the truth is wanted of a scene that has none.
    """
    index = np.arange(scene.num_images) if images is None else np.asarray(images, np.int64)
    pose, camera = scene.kp_idxs[index], scene.camera_idxs[index]
    bones, joints = (scene.gt_bones, scene.gt_kp3d) if truth else (scene.bones, scene.kp3d)
    if bones is None or joints is None or joints.shape[1] != len(scene.rest_pose):
        raise InputError(f"The scene {scene.path.name} does not know its true poses.")
    parts: dict[str, np.ndarray] = {
        "bones": bones[pose],
        "root": joints[pose, 0],
        "rest_pose": scene.rest_pose,
        "cameras": scene.c2ws[camera],
        "focals": scene.focals[camera],
        "centres": scene.centers[camera],
    }
    return PoseFrames(**{name: torch.from_numpy(np.array(part)) for name, part in parts.items()})


def world_bones(rotations: np.ndarray) -> np.ndarray:
    """(P, 24, 3) axis-angles in the world of A-NeRF of (P, 24, 3) with a root in the suite's world."""
    bones = np.array(rotations, np.float64)
    turned = torch.from_numpy(WORLD_AXES) @ rot.axis_angle_to_matrix(torch.from_numpy(bones[:, 0]))
    bones[:, 0] = rot.matrix_to_axis_angle(turned).numpy()
    return bones


def _leg(rest: np.ndarray) -> float:
    hip, knee, ankle = (np.asarray(rest[joint], np.float64) for joint in _LEG)
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
