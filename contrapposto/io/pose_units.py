"""Units of pose arrays that other programs write: frame rates, degrees, scaled and centimetre paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from contrapposto.checks import note
from contrapposto.errors import InputError
from contrapposto.motion import Motion
from contrapposto.retarget.upright import AXES, vector

RATE_KEYS = (
    *("mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate", "fps", "frameRate", "mocap_fps"),
    *("sampling_rate", "sample_rate", "framerate_hz", "freq", "frequency"),
)
PERIOD_KEYS = ("dt", "frame_time", "timestep", "time_step")
TIME_KEYS = ("timestamps", "timestamp", "times", "time")
SCALE_KEYS = ("smpl_scaling",)

_TURNS = 4 * np.pi  # radians that no axis-angle of a joint has
_FASTEST = 15.0  # m/s of a hip over a quarter of a clip
_HIGHEST = 3.0  # metres between the lowest foot of a clip and the floor
_UNITS = {"centimetres": 0.01, "millimetres": 0.001}
_STANDS = 0.3  # metres from the floor at which a figure stands on it

Read = Callable[[str], np.ndarray]


def frame_rate(names: Sequence[str], read: Read) -> float | None:
    """Frames per second as the members of a file state them; None where they do not.

    Args:
        names: of the members.
        read: returns one of them as numbers.

    Raises:
        InputError: something else than a rate, a period or rising times.
    """
    for key in (*RATE_KEYS, *PERIOD_KEYS):
        if key in names:
            return _stated(key, read(key))
    for key in TIME_KEYS:
        if key in names:
            steps = np.diff(read(key).astype(np.float64).ravel())
            step = float(np.median(steps)) if len(steps) else 0.0
            if not 1e-4 <= step <= 1.0:
                raise InputError(
                    f"{key} holds no times in seconds.", found=f"steps of {step:.6g}", fix="state it: fps=30"
                )
            return _whole(1 / step)
    return None


def _stated(key: str, values: np.ndarray) -> float:
    if values.size != 1:
        raise InputError(f"{key} is not one number.", found=f"shape {values.shape}")
    number = float(values.reshape(()))
    if key in RATE_KEYS:
        if 0 < number < 0.5:
            note(f"{key} is {number:.6g}: it is taken for the time between frames, {1 / number:.6g} a second")
            return _whole(1 / number)
        return number
    if number > 1.0:
        raise InputError(
            f"{key} is {number:.6g}.", expected="seconds between frames, at most 1", fix="state it: fps=30"
        )
    return _whole(1 / number) if number > 0 else 0.0


def _whole(rate: float) -> float:
    """The whole number where a rate is one but for rounding."""
    return float(round(rate)) if np.isfinite(rate) and abs(rate - round(rate)) < 1e-3 * rate else rate


def in_radians(rotations: np.ndarray) -> np.ndarray:
    """(F, J, 3) axis-angles in radians, also where they are degrees, which is reported.

    Degrees show in joints below the root that turn by more than two whole turns.
    """
    angles = np.linalg.norm(rotations[:, 1:].astype(np.float64), axis=-1)
    if not angles.size or not np.isfinite(angles).all():
        return rotations
    if float(np.median(angles, axis=0).max()) < _TURNS:
        return rotations
    if angles.max() > 720:
        raise InputError(
            "The poses are no axis-angles.",
            found=f"turns of up to {angles.max():.4g}",
            expected="radians (or degrees)",
        )
    note(f"poses are in degrees: joints turn by up to {angles.max():.4g}")
    return np.radians(rotations)


def in_metres(motion: Motion) -> Motion:
    """A clip of the SMPL family whose path is in metres, also where the file has another unit, which is reported.

    A path that nobody takes in any unit is reported as well, and left as it is.
    """
    path = motion.root_translation.astype(np.float64)
    if not np.isfinite(path).all():
        return motion
    local = replace(motion, root_translation=np.zeros_like(motion.root_translation)).joint_positions()
    speed = 0.0
    if len(path) > 1:
        speed = float(np.percentile(np.linalg.norm(np.diff(path, axis=0), axis=1), 75) * motion.fps)
    axis = _trunk(local)
    lows = (local.astype(np.float64) @ vector(axis)).min(axis=1)
    heights = path @ vector(axis)
    floor = {unit: float(np.percentile(lows + unit * heights, 5)) for unit in (1.0, *_UNITS.values())}
    if speed <= _FASTEST and abs(floor[1.0]) <= _HIGHEST:
        return motion
    standing = [name for name, unit in _UNITS.items() if abs(floor[unit]) < _STANDS]
    if len(standing) == 1 and speed * _UNITS[standing[0]] <= _FASTEST:
        note(f"the path is in {standing[0]}: as metres, the figure would be {floor[1.0]:.4g} above the floor")
        return replace(motion, root_translation=(path * _UNITS[standing[0]]).astype(np.float32))
    if speed > _FASTEST:
        note(f"the path moves by {speed:.4g} m/s over a quarter of the clip: scale= states metres per unit")
    return motion


def _trunk(places: np.ndarray) -> str:
    """The axis along which the heads of (F, J, 3) poses of the SMPL family are above their feet."""
    up = (places[:, 12] - places[:, [7, 8]].mean(axis=1)).mean(axis=0)
    return AXES[int(np.argmax([up @ vector(axis) for axis in AXES]))]
