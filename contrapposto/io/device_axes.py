"""Axes of a table of devices, found from its first rows: what is up, where the head looks, on which side the hands are."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from contrapposto.checks import note
from contrapposto.io.device_arms import along_arms, swing_of_wrists
from contrapposto.io.devices import CONVENTIONS

_LEAST = 30  # frames with all three devices
_WALKED = 1.0  # metres from which on the way of the head shows where it looks
_UPRIGHT = 0.5  # cosine of the head's own vertical to the world's, median over a recording
_STANDS = 0.8  # the same, where hands are raised and do not show the vertical
_AHEAD = 0.1  # how clearly (`_looks`) a head looks along an axis
_METRES = 10.0  # heights of a head above this are no metres
_ALONG = 0.3  # mean cosine from which on wrists lie along their arms
_WRISTS = 2.0  # how well wrists fit where they count more than a weak look; joints and controllers of a Quest: 2.3 (median)
_SPAN = 6  # rows over which hands swing
# How much better wrists fit as joints than as controllers; recordings: below 0.2, above 1.6.
_QUEST, _JOINT = 0.4, 1.3


def find_axes(block: np.ndarray, habit: str) -> str:
    """The convention (`contrapposto.io.devices.CONVENTIONS`) that the rows show; others than the habit are reported.

    Args:
        block: rows of time, 21 numbers (position, wxyz of head, left, right) and three flags, of any unit.
        habit: the convention of this kind of file, taken where the rows do not tell.
    """
    whole = whole_rows(block)
    if whole is None:
        note(f"fewer than {_LEAST} rows hold all devices: axes={habit} is taken; axes= states another")
        return habit
    places = whole[..., :3]
    turns = Rotation.from_quat(whole[..., [4, 5, 6, 3]].reshape(-1, 4)).as_matrix().reshape(-1, 3, 3, 3)
    up = find_vertical(whole)
    if up is None:
        note(f"head and hands do not show which axis is up: axes={habit} is taken; axes= states another")
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


def find_vertical(whole: np.ndarray) -> int | None:
    """1 or 2 where the head of (F, 3, 7) poses is above the hands along y or z, else where it is upright; else None."""
    places = whole[..., :3]
    above = np.median(places[:, :1] - places[:, 1:], axis=(0, 1))
    apart = float(np.median(np.linalg.norm(places[:, 1:] - places[:, :1], axis=-1)))
    height, spread = np.median(places[:, 0], axis=0), np.ptp(places[:, 0], axis=0)
    high = [height[axis] > 1.5 * apart and spread[axis] < height[axis] for axis in (1, 2)]
    stands = [high[axis - 1] and above[axis] > 0.25 * apart for axis in (1, 2)]
    if stands[0] != stands[1]:
        return 1 if stands[0] else 2
    if any(stands):
        return 1 if above[1] > above[2] else 2
    return _vertical_of_head(whole[:, 0, 3:], high)


def _vertical_of_head(quaternions: np.ndarray, high: list[bool]) -> int | None:
    """1 or 2 where heads (F, 4) wxyz are upright about y or z, and high enough for people; None where both or none are."""
    turns = Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix()
    cosines = np.median(turns, axis=0)
    upright = [cosines[1, 1] > _STANDS, max(cosines[2, 1], cosines[2, 2]) > _STANDS]
    axes = [axis for axis in (1, 2) if upright[axis - 1]]
    return axes[0] if len(axes) == 1 and high[axes[0] - 1] else None


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
    joints, quest = (
        along_arms(*shown) + swing_of_wrists(*shown, _SPAN)
        for shown in (_upright(name, places, turns) for name in ("joints_y_up", "quest"))
    )
    # A weak look backward is left out of account where wrists fit; those of joints less so, as exchanged ones do, too.
    least = -0.25 if quest > _WRISTS else -0.1 if joints > _WRISTS else 0.0
    if _looks(places, ahead, 1) < least:
        return "openxr"
    joint = (
        abs(joints) - quest
    )  # of exchanged joints the first is negative; of a Quest the second stays positive
    if not _QUEST < joint < _JOINT:
        return "quest" if joint <= _QUEST else "joints_y_up"
    # Left of somebody who looks along z is y x z in right-handed axes, and the other way round in left-handed ones.
    left = np.cross([0.0, 1.0, 0.0], ahead)
    apart = float(np.median(((places[:, 1] - places[:, 2]) * left).sum(axis=1)))
    return "joints_y_up" if apart > 0 else "quest"


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
