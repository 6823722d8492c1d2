"""Motion that no video was needed for: of the figure, of any BVH skeleton, or joints of any creature at all."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL24, Skeleton
from contrapposto.systems.scail_pose.camera import default_intrinsics
from contrapposto.systems.scail_pose.cylinders import RADIUS, StickFigure
from contrapposto.systems.scail_pose.interface import Person
from contrapposto.systems.scail_pose.openpose import load_json
from contrapposto.systems.scail_pose.palette import Palette
from contrapposto.systems.scail_pose.people import ClipPoses

_MOST_JOINTS = 10_000
_FILLED = 0.8  # of the image's height or width by a motion from end to end


def rainbow(count: int) -> Palette:
    """Colours around the wheel, one for each of `count` limbs."""
    hues = (number / max(count, 1) for number in range(count))
    colors = (colorsys.hsv_to_rgb(hue, 1.0, 1.0) for hue in hues)
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in colors)


def figure_of_skeleton(skeleton: Skeleton, radius: float = RADIUS) -> StickFigure:
    """A limb from every joint's parent to the joint, around the colour wheel; joints at their parents are left out."""
    limbs = tuple(
        (parent, joint)
        for joint, parent in enumerate(skeleton.parents)
        if parent >= 0 and np.linalg.norm(skeleton.offsets[joint]) > 1e-6
    )
    return StickFigure(skeleton.num_joints, limbs, rainbow(len(limbs)), (radius,) * len(limbs))


def read_figure(path: str | Path) -> StickFigure:
    """Read a stick figure from json.

    `joints`: list of names, or how many there are. `limbs`: pairs of names or numbers. `colors`: (r, g, b) in 0..255 of
    each limb, or left out. `radius`: of all limbs or a list of one for each, in the unit of the joints; 21.5 where it
    is left out.

    Raises:
        InputError: no such file, or one with other content.
    """
    content = load_json(path)
    try:
        joints = content["joints"]
        count = joints if isinstance(joints, int) else len(joints)
        if count > _MOST_JOINTS:
            raise ValueError(f"{count} joints, at most {_MOST_JOINTS}")
        names = [str(name) for name in (range(count) if isinstance(joints, int) else joints)]
        places = {name: number for number, name in enumerate(names)}
        limbs = tuple((places[str(a)], places[str(b)]) for a, b in content["limbs"])
        colors = content.get("colors")
        palette = rainbow(len(limbs)) if colors is None else tuple(_color(color) for color in colors)
        radius = content.get("radius", RADIUS)
        radii = tuple(float(r) for r in radius) if isinstance(radius, list) else (float(radius),) * len(limbs)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is no stick figure.",
            found=f"{type(error).__name__}: {error}",
            expected='{"joints": ["nose", ...], "limbs": [["nose", "neck"], ...], "colors": [[255, 0, 0], ...]}',
        ) from error
    return StickFigure(len(names), limbs, palette, radii)


def clip_of_joints(
    joints: np.ndarray | Sequence[np.ndarray],
    height: int,
    width: int,
    fps: float = 16.0,
    intrinsics: np.ndarray | None = None,
) -> ClipPoses:
    """Joints of any skeleton as the people of a clip.

    Args:
        joints: (T, J, 3), (T, n, J, 3), or (n, J, 3) of each frame; before the camera: x right, y down, z forward.
            NaN where unknown.
        height, width: of the image in pixels.
        fps: frames per second.
        intrinsics: (3, 3); None: the default camera of 55 degrees.

    Raises:
        InputError: another shape.
    """
    frames = []
    for number, frame in enumerate(joints):
        frame = np.asarray(frame, np.float32)
        frame = frame[None] if frame.ndim == 2 else frame
        if frame.ndim != 3 or frame.shape[-1] != 3:
            raise InputError(f"Joints of frame {number}", found=str(frame.shape), expected="(n, J, 3)")
        frames.append([_only_joints(i, one, height, width) for i, one in enumerate(frame)])
    camera = default_intrinsics(height, width) if intrinsics is None else intrinsics
    return ClipPoses(height, width, fps, camera, frames)


def clip_of_motion(
    motion: Motion, height: int, width: int, *, turn: float = 0.0
) -> tuple[ClipPoses, StickFigure | None]:
    """A clip of motion before a camera that stands still and has all of it in the image.

    Args:
        motion: on any skeleton, z up.
        height, width: of the image in pixels.
        turn: degrees by which the camera walks around it, from before a figure that faces -y.

    Returns:
        The clip, in millimetres, and the stick figure to draw; None for the SMPL family, which has its own.
    """
    family = bool((motion.skeleton.map_to(SMPL24)[:22] >= 0).all())
    shown = motion.to_skeleton(SMPL24) if family else motion
    points = shown.joint_positions().astype(np.float64) * 1000
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    x, y = points[..., 0] * cosine - points[..., 1] * sine, points[..., 0] * sine + points[..., 1] * cosine
    seen = np.stack([x, -points[..., 2], y], axis=-1)
    low, high = seen.min((0, 1)), seen.max((0, 1))
    seen -= (low + high) / 2
    camera = default_intrinsics(height, width).astype(np.float64)
    # The nearest place from which every joint of every frame is within the filled part of the image.
    slopes = camera[[0, 1], [0, 1]] / (np.array([width, height]) / 2 * _FILLED)
    seen[..., 2] += float((np.abs(seen[..., :2]) * slopes - seen[..., 2:]).max())
    clip = clip_of_joints(seen, height, width, motion.fps, camera)
    return clip, None if family else figure_of_skeleton(shown.skeleton)


def _color(color: Any) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in color)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"colour {color}: expected three numbers from 0 to 255")
    return red, green, blue


def _only_joints(number: int, joints: np.ndarray, height: int, width: int) -> Person:
    box = np.array([0, 0, width, height], np.float32)
    return Person(
        number, box, 1.0, np.zeros((134, 2), np.float32), np.zeros(134, np.float32), joints.astype(np.float32)
    )
