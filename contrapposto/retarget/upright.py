"""Which axis of a clip points up: from the rest pose, and from trunk, legs and floor over the clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.errors import ConfigError
from contrapposto.motion import Motion
from contrapposto.retarget.skeletons import SIDES

AXES = ("x", "y", "z", "-x", "-y", "-z")
_TO_Z = {
    "z": Rotation.identity(),
    "-z": Rotation.from_euler("x", 180, degrees=True),
    "y": Rotation.from_euler("x", 90, degrees=True),
    "-y": Rotation.from_euler("x", -90, degrees=True),
    "x": Rotation.from_euler("y", -90, degrees=True),
    "-x": Rotation.from_euler("y", 90, degrees=True),
}
_CLEAR = 0.85  # cosine to an axis, and length of a mean direction, from which on a figure stands along it


def vector(axis: str) -> np.ndarray:
    """(3,) unit vector of an axis by its name.

    Raises:
        ConfigError: there is none of this name.
    """
    if axis not in AXES:
        raise ConfigError(f"There is no axis {axis!r}.", expected=", ".join(AXES))
    return np.eye(3)["xyz".index(axis[-1])] * (-1.0 if axis.startswith("-") else 1.0)


def to_z_up(up: str, forward: str | None = None) -> Rotation:
    """What turns a file's axes into z up, and its forward axis, where one is named, to -y.

    Raises:
        ConfigError: no such axis, or forward along the vertical.
    """
    vector(up)
    turn = _TO_Z[up]
    if forward is None:
        return turn
    ahead = turn.apply(vector(forward))
    if abs(ahead[2]) > 0.5:
        raise ConfigError(f"forward={forward} and up={up} are the same line.", expected="two different axes")
    return Rotation.from_euler("z", -np.pi / 2 - np.arctan2(ahead[1], ahead[0])) * turn


def turned(motion: Motion, turn: Rotation) -> Motion:
    """A clip whose world is turned about the origin."""
    if turn.magnitude() < 1e-9:
        return motion
    root = Rotation.from_rotvec(motion.rotations[:, 0].astype(np.float64))
    rotations = motion.rotations.copy()
    rotations[:, 0] = (turn * root).as_rotvec()
    rest = motion.skeleton.rest_positions[0]
    place = turn.apply(motion.root_translation.astype(np.float64) + rest) - rest
    return replace(motion, rotations=rotations, root_translation=place)


def find_up(motion: Motion, index: Mapping[str, int], habit: str, rest: bool = True) -> str:
    """The axis of a file that points up.

    Args:
        motion: the clip in the axes of its file.
        index: SMPL joint to source joint.
        habit: the axis that files of this format have up; taken where nothing else is clear.
        rest: whether the rest pose lies in the axes of the file as well.
    """
    some = np.unique(np.linspace(0, motion.num_frames - 1, 200).astype(int))
    clip = replace(motion, rotations=motion.rotations[some], root_translation=motion.root_translation[some])
    places = clip.joint_positions().astype(np.float64)
    seen = _axis(places, index)
    stated = _axis(motion.skeleton.rest_positions[None].astype(np.float64), index) if rest else None
    if seen is None:
        return stated or habit
    if seen == (stated or habit):
        return seen
    return seen if _on_floor(places, index, seen) or not _lies(places, stated or habit) else stated or habit


def _axis(places: np.ndarray, index: Mapping[str, int]) -> str | None:
    """The axis along which trunk and legs of (F, J, 3) poses point, if they do so clearly."""
    means = []
    for low, high in (("hip", "shoulder"), ("ankle", "hip")):
        ends = [places[:, [index[f"{side}_{part}"] for side in SIDES]].mean(axis=1) for part in (low, high)]
        bone = ends[1] - ends[0]
        means.append((bone / np.maximum(np.linalg.norm(bone, axis=1, keepdims=True), 1e-9)).mean(axis=0))
    axis = AXES[int(np.argmax([vector(axis) @ (means[0] + means[1]) for axis in AXES]))]
    return axis if min(mean @ vector(axis) for mean in means) > _CLEAR else None


def _heights(places: np.ndarray, axis: str) -> np.ndarray:
    return np.asarray(places @ vector(axis))


def _on_floor(places: np.ndarray, index: Mapping[str, int], axis: str) -> bool:
    """Whether the feet come down to height 0 along an axis and no further."""
    heights = _heights(places, axis)
    leg = float(np.median(heights[:, index["left_hip"]] - heights[:, index["left_ankle"]]))
    return abs(float(np.percentile(heights.min(axis=1), 5))) < 0.15 * abs(leg)


def _lies(places: np.ndarray, axis: str) -> bool:
    """Whether the whole figure stays near height 0 along an axis, as somebody who lies on the floor does."""
    heights = _heights(places, axis)
    length = float(np.median(np.ptp(places, axis=1).max(axis=1)))
    return (
        float(np.percentile(heights.max(axis=1), 95)) < 0.6 * length and float(heights.min()) > -0.1 * length
    )


def check_axes(up: str | None, forward: str | None) -> None:
    """Refuse axes that are not axes.

    Raises:
        ConfigError: see `vector` and `to_z_up`.
    """
    if up is not None and up != "auto":
        to_z_up(up, forward)
    elif forward is not None:
        vector(forward)
