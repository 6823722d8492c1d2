"""What must be known about a wearer and how the devices are worn: axes from a T-pose, size from the head's height."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from contrapposto.checks import note
from contrapposto.errors import InputError
from contrapposto.io.devices import JOINTS
from contrapposto.skeleton import SMPL22

SMALLEST, LARGEST = 0.55, 1.35
"""Wearers relative to the default figure: about 0.9 m to 2.25 m."""
_UPRIGHT = Rotation.from_euler("x", np.pi / 2)
_WORN = 0.2  # metres from a joint to its device, at most
_FASTEST_HEAD = 7.5  # m/s
_JUMP, _SETTLED = 0.1, 15  # metres, and frames after them, that make a jump of the head a new origin


@dataclass(frozen=True)
class Calibration:
    """Corrections from what the devices report to the joints of the body.

    Args:
        turns: (3, 3, 3) orientation of each joint in the axes of its device.
        offsets: (3, 3) metres, where each device is in the axes of its joint.
    """

    turns: np.ndarray = field(default_factory=lambda: np.tile(np.eye(3), (3, 1, 1)))
    offsets: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))

    def apply(self, rotations: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (3, 3, 3) and positions (3, 3) of the joints from those of the devices."""
        joints = rotations @ self.turns
        return joints, positions - (joints @ self.offsets[..., None])[..., 0]


def calibrate_t_pose(rotations: np.ndarray, positions: np.ndarray, scale: float | None = None) -> Calibration:
    """From frames in which the wearer stood still in the T-pose: arms level to the sides, palms down, eyes ahead.

    The direction in which the wearer looks is taken from the hands, so that the headset may sit askew.

    Args:
        rotations: (F, 3, 3, 3) of head, left and right device, z up.
        positions: (F, 3, 3) metres.
        scale: of the wearer relative to the default figure; None: the default size, as far as the T-pose allows it.

    The distance of each device from its joint is found too (a headset sits before the eyes, the head's joint is
    between the ears); the controllers are taken to be as far in front as the wrists. Without a stated size, distances
    that no device has from its joint show a wearer of another size, and none is taken.

    Raises:
        InputError: these frames are no T-pose.
    """
    places = np.median(positions, axis=0)
    across = places[1] - places[2]
    moved = float(np.abs(positions - places).max())
    if (
        np.hypot(*across[:2]) < 0.6
        or abs(across[2]) > 0.3
        or moved > 0.15
        or places[0, 2] < places[1:, 2].max()
    ):
        raise InputError(
            "The wearer did not stand in a T-pose.",
            found=f"hands {np.hypot(*across[:2]):.2f} m apart, {abs(across[2]):.2f} m different in height, "
            f"devices moved by up to {moved:.2f} m",
            expected="arms stretched out level to both sides, held still",
        )
    stand = Rotation.from_euler("z", float(np.arctan2(across[1], across[0]))) * _UPRIGHT
    device = Rotation.concatenate([Rotation.from_matrix(rotations[:, i]).mean() for i in range(3)])
    turns = (device.inv() * stand).as_matrix()
    size = 1.0 if scale is None else scale
    rest = size * (SMPL22.rest_positions[list(JOINTS)].astype(np.float64) - [0, sole_height(), 0])
    expected = stand.apply(rest)
    shift = places[1:, :2].mean(0) - expected[1:, :2].mean(0)
    expected[:, :2] += shift
    offsets = stand.inv().apply(places - expected)
    farthest = float(np.linalg.norm(offsets, axis=1).max())
    if scale is None and farthest > _WORN:
        note(
            f"the T-pose does not fit a wearer of the default size ({farthest:.2f} m off; the head's device is "
            f"{places[0, 2]:.2f} m high): task.height=auto, or task.height=1.75, brings the figure nearer"
        )
        return Calibration(turns)
    return Calibration(turns, offsets)


def find_t_pose(times: np.ndarray, positions: np.ndarray) -> float | None:
    """The second in the middle of the longest T-pose of a recording: arms out and level, held for a second or more.

    Args:
        times: (F,) seconds.
        positions: (F, 3, 3) metres of head, left and right, z up; not finite where not tracked.
    """
    head, left, right = positions[:, 0], positions[:, 1], positions[:, 2]
    across = left - right
    apart = np.hypot(across[:, 0], across[:, 1])
    below = head[:, 2:] - positions[:, 1:, 2]
    known = np.isfinite(apart)
    if not known.any():
        return None
    widest = max(float(np.nanmax(apart)), 0.6)
    out = known & (apart > 0.93 * widest) & (np.abs(across[:, 2]) < 0.2)
    out &= (below > -0.1).all(axis=1) & (below < 0.55).all(axis=1)
    steps = np.linalg.norm(np.diff(positions, axis=0, prepend=positions[:1]), axis=-1).max(axis=1)
    slow = steps < 0.3 * np.diff(times, prepend=times[0] - 1 / 30)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (out & slow).astype(int), [0]])))
    stretches = [
        (times[stop - 1] - times[start], start, stop) for start, stop in zip(edges[::2], edges[1::2])
    ]
    if not stretches:
        return None
    length, start, stop = max(stretches)
    return None if length < 1.0 else float((times[start] + times[stop - 1]) / 2)


def lift_of_t_pose(times: np.ndarray, heads: np.ndarray, second: float) -> float:
    """Metres by which a T-pose stands higher than what follows, where the headset took another origin in between.

    A head that goes on elsewhere, faster than heads move, shows that; a single wrong frame does not.

    Args:
        times: (F,) seconds of a recording.
        heads: (F, 3) metres, z up; not finite where not tracked.
        second: of the T-pose, in these times.
    """
    later = (times > second) & np.isfinite(heads).all(axis=1)
    times, heads = times[later], heads[later]
    steps = np.linalg.norm(np.diff(heads, axis=0), axis=1)
    jumps = np.flatnonzero((steps > _FASTEST_HEAD * np.diff(times)) & (steps > _JUMP)) + 1
    for jump in jumps.tolist():
        after, before = heads[jump : jump + _SETTLED], np.median(heads[max(jump - 5, 0) : jump], axis=0)
        if len(after) == _SETTLED and np.linalg.norm(after - before, axis=1).min() > _JUMP:
            return float(before[2] - after[0, 2])
    return 0.0


def scale_of_head(height: float) -> float:
    """Size of a standing wearer whose head joint is at this height (metres), relative to the default figure.

    Raises:
        InputError: nobody is that small or tall; the floor of the recording may be elsewhere.
    """
    default = float(SMPL22.rest_positions[JOINTS[0], 1]) - sole_height()
    return _checked(height / default, f"a head at {height:.2f} m", "the floor must be at height 0")


def scale_of_height(height: float) -> float:
    """Size of a wearer of this height (metres, sole to crown), relative to the default figure.

    Raises:
        InputError: nobody is that small or tall.
    """
    return _checked(height / figure_height(), f"a height of {height:.2f} m", "give the height in metres")


def standing_height(heights: np.ndarray) -> float:
    """Height of the head while standing: what only a twentieth of the frames (F,) exceed."""
    return float(np.quantile(heights, 0.95))


def _checked(scale: float, measured: str, fix: str) -> float:
    if not SMALLEST <= scale <= LARGEST:
        raise InputError(
            "The wearer's size cannot be right.",
            found=measured,
            expected=f"a height of {SMALLEST * figure_height():.2f} to {LARGEST * figure_height():.2f} m",
            fix=fix,
        )
    return float(scale)


@lru_cache(maxsize=1)
def _extent() -> tuple[float, float]:
    from contrapposto.body import load_body

    heights = load_body().v_template[:, 1]
    return float(heights.min()), float(heights.max())


def sole_height() -> float:
    """Height of the soles in the rest pose of the default figure, metres (negative)."""
    return _extent()[0]


def figure_height() -> float:
    """Height of the default figure, metres."""
    return _extent()[1] - _extent()[0]


@lru_cache(maxsize=64)
def fitted_betas(scale: float) -> np.ndarray:
    """(S,) shape of the shipped body whose bones are nearest to `scale` times the default ones.

    Within 15 % of the default size all joints then lie within 8 mm of the scaled skeleton.
    """
    from contrapposto.body import load_body

    body = load_body()
    directions = body.rest_directions.unflatten(1, (-1, 3))[:, :22].double()
    matrix = (directions - directions[:, :1]).flatten(1).T
    rest = body.rest_joints()[0, :22].double()
    wanted = ((scale - 1) * (rest - rest[:1])).flatten()
    ridge = 1e-4 * torch.eye(matrix.shape[1], dtype=torch.float64)
    return torch.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ wanted).float().numpy()
