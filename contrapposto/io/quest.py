"""Reader of the text logs that the SAGE authors' Quest app writes (SAGE sheet, section 4, "Quest log").

One record per frame, records separated by blank lines:
`FPS:72.0;Headset-Position: (x, y, z);Headset-Rotation: (x, y, z, w);LeftController-Position: ...;` and so on;
metres, Unity's left-handed frame with y up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import InputError, MissingError

_FIELDS = (
    "FPS",
    *(
        f"{device}-{what}"
        for device in ("Headset", "LeftController", "RightController")
        for what in ("Position", "Rotation")
    ),
)
_SIZES = (1, 3, 4, 3, 4, 3, 4)
# Orientation of each device when its wearer stands in the T-pose: head, left, right.
_T_POSE = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[0, 0, -1], [-1, 0, 0], [0, 1, 0]],
    ],
    dtype=np.float64,
)
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class DeviceTrack:
    """Poses of head, left hand and right hand over F frames, z up, metres, turned to match the body's joints.

    Args:
        rotations: (F, 3, 3, 3) float64, global; those of joints 15, 20, 21 for a figure that stands like the
            wearer.
        positions: (F, 3, 3) float64 metres.
        times: (F,) float64 seconds from the first frame.
    """

    rotations: Tensor
    positions: Tensor
    times: np.ndarray

    def resample(self, fps: float = 60.0) -> DeviceTrack:
        """At an even frame rate: rotations by the shortest way, positions linearly."""
        wanted = np.arange(int(np.floor(self.times[-1] * fps + 1e-6)) + 1) / fps
        low = np.clip(np.searchsorted(self.times, wanted, side="right") - 1, 0, max(len(self.times) - 2, 0))
        high = np.minimum(low + 1, len(self.times) - 1)
        span = np.maximum(self.times[high] - self.times[low], 1e-9)
        fraction = torch.from_numpy(np.clip((wanted - self.times[low]) / span, 0, 1))[:, None]
        quaternions = rot.matrix_to_quaternion(self.rotations)
        mixed = rot.slerp(quaternions[low], quaternions[high], fraction.expand(-1, 3))
        positions = torch.lerp(self.positions[low], self.positions[high], fraction[..., None])
        return DeviceTrack(rot.quaternion_to_matrix(mixed), positions, wanted)


def read_quest(path: str | Path, *, normalize: bool = True) -> DeviceTrack:
    """Read a log.

    Args:
        path: the text file.
        normalize: scale the quaternions, which are written with four decimals, to length one; the original
            does not.

    Raises:
        MissingError: no such file.
        InputError: not such a log, a record is incomplete, values are not finite, or a quaternion is far from
            length one.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"There is no Quest log at {path}.")
    if path.stat().st_size > _LARGEST:
        raise InputError(
            f"{path} is too large for a Quest log.", found=f"{path.stat().st_size / 2**20:.0f} MiB"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file.", found=str(error)) from error
    records = [record for record in re.split(r"\n\s*\n", text) if record.strip()]
    if not records:
        raise InputError(f"{path} holds no records.", expected="records separated by blank lines")
    values = np.array([_record(record, number, path) for number, record in enumerate(records, start=1)])
    return _track(values, path, normalize)


def _record(record: str, number: int, path: Path) -> list[float]:
    """The 22 numbers of a record."""
    parts = [part.strip() for part in record.strip().split(";") if part.strip()]
    result: list[float] = []
    for part, name, size in zip(parts, _FIELDS, _SIZES):
        key, _, value = part.rpartition(":")
        numbers = value.strip().strip("()").split(",")
        try:
            floats = [float(text) for text in numbers]
        except ValueError:
            floats = []
        if key.strip() != name or len(floats) != size or not np.isfinite(floats).all():
            raise InputError(
                f"{path}: record {number} cannot be read.",
                found=part[:80],
                expected=f"{name} with {size} finite numbers",
            )
        result.extend(floats)
    if len(parts) != len(_FIELDS):
        raise InputError(
            f"{path}: record {number} has {len(parts)} fields.",
            found=record.strip()[:80],
            expected=f"the {len(_FIELDS)} fields {', '.join(_FIELDS)}",
            fix="cut the incomplete last record off" if len(parts) < len(_FIELDS) else "",
        )
    return result


def _track(values: np.ndarray, path: Path, normalize: bool) -> DeviceTrack:
    rates, devices = values[:, 0], values[:, 1:].reshape(-1, 3, 7)
    if (rates <= 0).any():
        raise InputError(
            f"{path}: record {int((rates <= 0).argmax()) + 1} has no frame rate.", found=str(rates.min())
        )
    quaternions = devices[..., [6, 3, 4, 5]] * np.array(
        [1, 1, -1, -1]
    )  # wxyz, mirrored to a right-handed frame
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    if (np.abs(length - 1) > 0.05).any():
        bad = int((np.abs(length - 1) > 0.05).any((1, 2)).argmax()) + 1
        raise InputError(
            f"{path}: record {bad} has a rotation that is no unit quaternion.",
            fix="untracked frames must be cut",
        )
    positions = devices[..., :3] * np.array([-1, 1, 1])
    rotations = _matrices(quaternions / length if normalize else quaternions) @ _T_POSE.transpose(0, 2, 1)
    upright = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float64)
    times = np.concatenate([[0.0], np.cumsum(1 / rates[1:])])
    return DeviceTrack(torch.from_numpy(upright @ rotations), torch.from_numpy(positions @ upright.T), times)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    """The unit-quaternion formula, also where the length is only nearly one (..., 4) wxyz to (..., 3, 3)."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
