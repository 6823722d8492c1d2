"""Axes of a table of devices, found from its first rows: what is up, where the head looks, on which side the hands are."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import note
from contrapposto.io.devices import CONVENTIONS

_LEAST = 30  # frames with all three devices
_WALKED = 1.0  # metres from which on the way of the head shows where it looks
_UPRIGHT = 0.5  # cosine of the head's own vertical to the world's, median over a recording
_AHEAD = 0.1  # how clearly (`_looks`) a head looks along an axis
_METRES = 10.0  # heights of a head above this are no metres
_ALONG = 0.3  # mean cosine from which on wrists lie along their arms


def find_axes(block: np.ndarray, habit: str) -> str:
    """The convention (`contrapposto.io.devices.CONVENTIONS`) that the rows show; others than the habit are reported.

    Args:
        block: rows of time, 21 numbers (position, wxyz of head, left, right) and three flags, of any unit.
        habit: the convention of this kind of file, taken where the rows do not tell.
    """
    whole = whole_rows(block)
    if whole is None:
        return habit
    places = whole[..., :3]
    turns = Rotation.from_quat(whole[..., [4, 5, 6, 3]].reshape(-1, 4)).as_matrix().reshape(-1, 3, 3, 3)
    up = find_vertical(places)
    if up is None:
        return habit
    name = _z_up(places, turns) if up == 2 else _y_up(places, turns)
    if name != habit:
        note(
            f"the axes are those of axes={name}, as head and hands show: {_DESCRIBED[name]}; axes= states otherwise"
        )
    return name


def whole_rows(block: np.ndarray) -> np.ndarray | None:
    """The rows (F, 3, 7) of position and wxyz in which all devices are tracked; None where they are too few to tell."""
    devices = block[:, 1:22].reshape(-1, 3, 7)
    lengths = np.linalg.norm(devices[..., 3:], axis=-1)
    seen = (block[:, 22:] > 0) & np.isfinite(devices).all(axis=-1) & (lengths > 1e-3)
    seen &= np.abs(devices[..., :3]).max(axis=-1) > 0
    whole = devices[seen.all(axis=1)]
    return None if len(whole) < _LEAST else np.asarray(whole)


_DESCRIBED = {
    "joints": "z up, orientations of the joints",
    "joints_y_up": "y up, orientations of the joints",
    "devices": "z up, devices held in an unknown way",
    "openxr": "y up, right-handed, the head looks along -z",
    "quest": "y up, left-handed, the head looks along z",
    "ros": "z up, right-handed, the head looks along x",
    "unreal": "z up, left-handed, the head looks along x",
}


def find_vertical(places: np.ndarray) -> int | None:
    """1 or 2 where the head of (F, 3, 3) places is above the hands along y or z, and not along the other."""
    above = np.median(places[:, :1] - places[:, 1:], axis=(0, 1))
    apart = float(np.median(np.linalg.norm(places[:, 1:] - places[:, :1], axis=-1)))
    height, spread = np.median(places[:, 0], axis=0), np.ptp(places[:, 0], axis=0)
    stands = [
        above[axis] > 0.25 * apart and height[axis] > 1.5 * apart and spread[axis] < height[axis]
        for axis in (1, 2)
    ]
    if stands[0] != stands[1]:
        return 1 if stands[0] else 2
    if not any(stands):
        return None
    return 1 if above[1] > above[2] else 2


def _z_up(places: np.ndarray, turns: np.ndarray) -> str:
    if _is_joint(places, turns):
        return "joints"
    ahead = _level(turns[:, 0, :, 0], 2)
    upright = float(np.median(turns[:, 0, 2, 2])) > _UPRIGHT  # the head's own z
    if not upright or _looks(places, ahead, 2) < _AHEAD:
        return "devices"
    left = np.cross([0.0, 0.0, 1.0], ahead)  # of right-handed axes; Unreal's unit is the centimetre
    apart = ((places[:, 1] - places[:, 2]) * left).sum(axis=1)
    mirrored = np.median(apart) < 0 and float(np.median(places[:, 0, 2])) > _METRES
    return "unreal" if mirrored else "ros"


def _level(directions: np.ndarray, up: int) -> np.ndarray:
    """(F, 3) directions, level with the floor, of length one."""
    flat = directions * (1.0 - np.eye(3)[up])
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def _y_up(places: np.ndarray, turns: np.ndarray) -> str:
    ahead = _level(turns[:, 0, :, 2], 1)  # the head's own z
    if _looks(places, ahead, 1) < 0:
        return "openxr"
    joints, quest = (along_arms(*_upright(name, places, turns)) for name in ("joints_y_up", "quest"))
    # Left of somebody who looks along z is y x z in right-handed axes, and the other way round in left-handed ones.
    left = np.cross([0.0, 1.0, 0.0], ahead)
    if np.median(((places[:, 1] - places[:, 2]) * left).sum(axis=1)) > 0:  # else exchanged, if wrists show it
        return "quest" if quest > max(joints, 2 * _ALONG) else "joints_y_up"
    return "joints_y_up" if joints < -2 * _ALONG and quest < 0 else "quest"


def _upright(name: str, places: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (F, 3, 3) and joints' rotations (F, 3, 3, 3), z up, if the rows are of this convention."""
    axes = CONVENTIONS[name]
    quaternions = Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_quat()[:, [3, 0, 1, 2]]
    rotations, turned = axes.apply(quaternions.reshape(-1, 3, 4), places)
    return turned, rotations


def _looks(places: np.ndarray, ahead: np.ndarray, up: int) -> float:
    """Positive where the hands are before the head, or the head moves forward, along level directions (F, 3)."""
    hands = places[:, 1:].mean(axis=1) - places[:, 0]
    reach = np.median(np.linalg.norm(hands, axis=1))
    before = float(np.mean((hands * ahead).sum(axis=1)) / max(reach, 1e-9))
    steps = np.diff(places[:, 0], axis=0) * (1.0 - np.eye(3)[up])
    length = float(np.linalg.norm(steps, axis=1).sum())
    height = float(np.median(places[:, 0, up]))
    way = float((steps * ahead[1:]).sum()) / max(length, 1e-9)
    return before + (2.0 * way if length > _WALKED * height / 1.5 else 0.0)  # heights of 1.5 m, in any unit


def _is_joint(places: np.ndarray, turns: np.ndarray) -> bool:
    """Whether orientations may be those of the body's joints, z up: heads upright, wrists along the arms."""
    if float(np.median(turns[:, 0, 2, 1])) < _UPRIGHT:
        return False
    return abs(along_arms(places, turns)) > 2 * _ALONG  # left and right may be exchanged


def along_arms(places: np.ndarray, turns: np.ndarray) -> float:
    """How far wrists of (F, 3, 3) places, z up, lie along their arms, -2 to 2.

    Of joints, it is negative where left and right are exchanged; of a Quest's controllers it stays positive.
    """
    reach = np.median(np.linalg.norm(places[:, 1:] - places[:, :1], axis=-1))
    shoulders = places[:, 0] - [0.0, 0.0, 0.3 * reach]
    along = 0.0
    for hand, sign in ((1, 1.0), (2, -1.0)):  # a wrist's x points away from the body, on the left side
        arm = places[:, hand] - shoulders
        arm /= np.maximum(np.linalg.norm(arm, axis=1, keepdims=True), 1e-9)
        along += sign * float((turns[:, hand, :, 0] * arm).sum(axis=1).mean())
    return along
