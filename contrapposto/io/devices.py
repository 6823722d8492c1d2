"""Tracks of three devices (head, left hand, right hand): the type, axis conventions, and what all readers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrapposto import rotations as rot
from contrapposto.errors import ConfigError, InputError, nearest
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPL22

DEVICES = ("head", "left", "right")
JOINTS = (15, 20, 21)
"""The joints of the body that the devices stand for."""
CHUNK = 4096
"""Frames that a reader holds in memory at once."""
_LONGEST_LINE = 1 << 16
_UPRIGHT = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float64)  # y up to z up: +90 degrees about x


@dataclass(frozen=True)
class DeviceTrack:
    """Poses of head, left hand and right hand over F frames, z up, metres, turned to match the body's joints.

    Args:
        rotations: (F, 3, 3, 3) float64, global; those of joints 15, 20, 21 for a figure that stands like the
            wearer.
        positions: (F, 3, 3) float64 metres.
        times: (F,) float64 seconds.
        seen: (F, 3) whether each device was tracked; where it was not, its pose means nothing and may be NaN.
            All were where absent.
    """

    rotations: Tensor
    positions: Tensor
    times: np.ndarray
    seen: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.times)

    @property
    def tracked(self) -> np.ndarray:
        """(F, 3) `seen`, also where it was not given."""
        return np.ones((len(self.times), 3), bool) if self.seen is None else self.seen

    def part(self, chosen: np.ndarray) -> DeviceTrack:
        """The frames where `chosen` (F,) is true."""
        index = torch.from_numpy(np.flatnonzero(chosen))
        seen = None if self.seen is None else self.seen[chosen]
        return DeviceTrack(self.rotations[index], self.positions[index], self.times[chosen], seen)

    def resample(self, fps: float = 60.0) -> DeviceTrack:
        """At an even frame rate, from time zero, all devices seen: rotations by the shortest way, positions linearly."""
        wanted = np.arange(int(np.floor(self.times[-1] * fps + 1e-6)) + 1) / fps
        quaternions = rot.matrix_to_quaternion(self.rotations)
        mixed, positions = interpolate_poses(self.times, quaternions, self.positions, wanted)
        return DeviceTrack(rot.quaternion_to_matrix(mixed), positions, wanted)


def interpolate_poses(
    times: np.ndarray, quaternions: Tensor, positions: Tensor, wanted: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Quaternions (F, J, 4) and positions (F, K, 3) of increasing `times` (F,) at the `wanted` times (N,).

    Rotations by the shortest way, positions linearly; held at the ends.
    """
    low = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, max(len(times) - 2, 0))
    high = np.minimum(low + 1, len(times) - 1)
    span = np.maximum(times[high] - times[low], 1e-9)
    fraction = torch.from_numpy(np.clip((wanted - times[low]) / span, 0, 1)).to(positions.dtype)[:, None]
    mixed = rot.slerp(
        quaternions[low], quaternions[high], fraction.to(quaternions.dtype).expand(-1, quaternions.shape[1])
    )
    return mixed, torch.lerp(positions[low], positions[high], fraction[..., None])


@dataclass(frozen=True)
class Layout:
    """What quaternions hold that should be w, x, y, z.

    Args:
        order: where w, x, y and z stand.
        signs: of w, x, y and z.
        words: what it is, for messages.
    """

    order: tuple[int, int, int, int]
    signs: tuple[int, int, int, int]
    words: str

    def apply(self, quaternions: np.ndarray) -> np.ndarray:
        """wxyz (..., 4) of what stands in a file."""
        return np.asarray(quaternions[..., self.order] * np.array(self.signs, np.float64))

    def revert(self, quaternions: np.ndarray) -> np.ndarray:
        """What `apply` turns into these."""
        result = np.empty_like(quaternions)
        result[..., self.order] = quaternions * np.array(self.signs, np.float64)
        return result


LAYOUTS = {
    "named": Layout((0, 1, 2, 3), (1, 1, 1, 1), "as named"),
    "conjugated": Layout((0, 1, 2, 3), (1, -1, -1, -1), "conjugated (the inverse rotations)"),
    "xyzw": Layout((3, 0, 1, 2), (1, 1, 1, 1), "x, y, z, w where w, x, y, z should be"),
    "wxyz": Layout((1, 2, 3, 0), (1, 1, 1, 1), "w, x, y, z where x, y, z, w should be"),
}


@dataclass(frozen=True)
class Convention:
    """How a recorder states poses.

    Args:
        mirrored: its world is left-handed; x is turned round.
        y_up: y is up, otherwise z.
        joint_of_device: (3, 3, 3) the orientation of the body's joint in the axes of each device.
        hands_known: false where how controllers are held is not known: a T-pose is needed.
        head_known: false where the same holds for the headset.
        layout: one of `LAYOUTS`.
    """

    mirrored: bool
    y_up: bool
    joint_of_device: np.ndarray
    hands_known: bool = True
    head_known: bool = True
    layout: str = "named"

    def apply(self, quaternions: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (F, 3, 3, 3) and positions (F, 3, 3) of the joints from wxyz (F, 3, 4) and (F, 3, 3).

        Quaternions are taken as they are, by the formula for length one.
        """
        quaternions = LAYOUTS[self.layout].apply(quaternions)
        if self.mirrored:
            quaternions = quaternions * np.array([1, 1, -1, -1])
            positions = positions * np.array([-1, 1, 1])
        rotations = _matrices(quaternions) @ self.joint_of_device
        if self.y_up:
            rotations, positions = _UPRIGHT @ rotations, positions @ _UPRIGHT.T
        return rotations, positions

    def revert(self, rotations: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `apply` turns into these rotations (F, 3, 3, 3) and positions (F, 3, 3): wxyz (F, 3, 4), (F, 3, 3)."""
        if self.y_up:
            rotations, positions = _UPRIGHT.T @ rotations, positions @ _UPRIGHT
        matrices = torch.from_numpy(rotations @ self.joint_of_device.transpose(0, 2, 1))
        quaternions = rot.matrix_to_quaternion(matrices).numpy()
        if self.mirrored:
            quaternions = quaternions * np.array([1, 1, -1, -1])
            positions = positions * np.array([-1, 1, 1])
        return LAYOUTS[self.layout].revert(quaternions), positions


_QUEST_T_POSE = np.array(  # orientation of each device in the T-pose (docs/specs/sage.md, section 4)
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        [[0, 0, -1], [-1, 0, 0], [0, 1, 0]],
    ],
    dtype=np.float64,
)
CONVENTIONS = {
    "joints": Convention(False, False, np.tile(np.eye(3), (3, 1, 1))),
    "quest": Convention(True, True, _QUEST_T_POSE.transpose(0, 2, 1)),
    "joints_y_up": Convention(False, True, np.tile(np.eye(3), (3, 1, 1))),
    "devices": Convention(False, False, np.tile(np.eye(3), (3, 1, 1)), hands_known=False, head_known=False),
    # A headset of OpenXR and WebXR looks along -z, its x is to the wearer's right.
    "openxr": Convention(False, True, np.tile(np.diag([-1.0, 1.0, -1.0]), (3, 1, 1)), hands_known=False),
    # ROS looks along x, its y is to the left. Unreal's y is to the right; with x mirrored, x points backward.
    "ros": Convention(
        False, False, np.tile([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]], (3, 1, 1)), hands_known=False
    ),
    "unreal": Convention(
        True, False, np.tile([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]], (3, 1, 1)), hands_known=False
    ),
}


def convention(name: str) -> Convention:
    """One of `CONVENTIONS` by its name, with one of `LAYOUTS` behind it: `quest`, `quest_conjugated`, `joints_xyzw`.

    Raises:
        ConfigError: there is none of this name.
    """
    axes, _, layout = name.rpartition("_")
    if axes in CONVENTIONS and layout in LAYOUTS:
        return replace(CONVENTIONS[axes], layout=layout)
    if name not in CONVENTIONS:
        raise ConfigError(f"There is no axis convention {name!r}.", expected=nearest(name, CONVENTIONS))
    return CONVENTIONS[name]


@dataclass
class Repairs:
    """What a reader does about damage: raise in strict mode, else count it and go on.

    Args:
        path: the file, for messages.
        strict: whether any damage is an error.
        counts: kind of damage to how often it was met.
        reasons: kind of damage to what was found the first time.
    """

    path: str | Path
    strict: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, where: str, *, found: str = "", expected: str = "", fix: str = "") -> None:
        """Count one damage, `kind` at `where`.

        Raises:
            InputError: in strict mode.
        """
        if self.strict:
            raise InputError(f"{self.path}: {where} {kind}.", found=found, expected=expected, fix=fix)
        self.counts[kind] += 1
        if found:
            self.reasons.setdefault(kind, found)

    def __str__(self) -> str:
        return "; ".join(f"{count} x {kind}" for kind, count in self.counts.most_common())

    @property
    def explained(self) -> str:
        """The counts, each with what was found the first time."""
        kinds = self.counts.most_common()
        return "; ".join(
            f"{count} x {kind}" + (f" ({self.reasons[kind]})" if kind in self.reasons else "")
            for kind, count in kinds
        )


def make_track(
    quaternions: np.ndarray,
    positions: np.ndarray,
    times: np.ndarray,
    convention: Convention,
    *,
    normalize: bool = True,
) -> DeviceTrack:
    """Poses as recorded, wxyz (F, 3, 4) and metres (F, 3, 3), as a track.

    A device with values that are not finite, or with a quaternion far from length one, counts as not seen.
    """
    seen = np.isfinite(quaternions).all(-1) & np.isfinite(positions).all(-1)
    quaternions = np.where(seen[..., None], quaternions, [1.0, 0, 0, 0])
    positions = np.where(seen[..., None], positions, 0.0)
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    good = np.abs(length[..., 0] - 1) < 0.05
    seen &= good
    quaternions = np.where(good[..., None], quaternions, [1.0, 0, 0, 0])
    if normalize:
        quaternions = quaternions / np.where(good[..., None], length, 1.0)
    rotations, positions = convention.apply(quaternions, positions)
    return DeviceTrack(torch.from_numpy(rotations), torch.from_numpy(positions), np.asarray(times), seen)


def devices_of(motion: Motion) -> DeviceTrack:
    """What three devices would record of a clip of the SMPL family, at its own frame rate."""
    rotations, positions = motion.to_skeleton(SMPL22).kinematics()
    joints = list(JOINTS)
    times = np.arange(motion.num_frames) / motion.fps
    return DeviceTrack(rotations[:, joints].double(), positions[:, joints].double(), times)


def read_lines(path: str | Path, kind: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line of a file of any size, which is never held whole.

    Raises:
        InputError: no file, empty, binary, or a line of more than 64 KiB.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.", expected=kind)
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            long = len(line) == _LONGEST_LINE and not line.endswith(b"\n")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                text = "\0"
            if long or "\0" in text:
                raise InputError(
                    f"{path} is not a text file.",
                    found=f"line {number} is {'longer than 64 KiB' if long else 'binary'}",
                    expected=kind,
                )
            yield number, text
    if number == 0:
        raise InputError(f"{path} is empty: it holds no records.", expected=kind)


def chunked(rows: Iterable[list[float]], size: int = CHUNK) -> Iterator[np.ndarray]:
    """Rows of equal length as arrays (up to `size`, columns)."""
    block: list[list[float]] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield np.array(block)
            block = []
    if block:
        yield np.array(block)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    """The unit-quaternion formula, also where the length is only nearly one (..., 4) wxyz to (..., 3, 3)."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
