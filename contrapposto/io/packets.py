"""Packets of live tracking: one JSON object per frame, in a UDP datagram or on a line of a `.jsonl` file (docs/live.md).

`{"time": 1.25, "head": [x, y, z, qx, qy, qz, qw], "left": [...], "right": [...], "sent": 1711111111.5}`: seconds of the
device's clock, metres, unit quaternions; a device that is not tracked is `null` or left out. `sent` (seconds since 1970
by the sender's clock) is optional.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contrapposto import rotations as rot
from contrapposto.checks import naming
from contrapposto.errors import InputError
from contrapposto.io.device_units import Units, find_units
from contrapposto.io.devices import (
    CONVENTIONS,
    DEVICES,
    Convention,
    DeviceTrack,
    Repairs,
    chunked,
    make_track,
    read_lines,
)

MAX_BYTES = 2048
"""Longest packet that is read."""


@dataclass(frozen=True)
class Packet:
    """One frame as sent.

    Args:
        time: seconds of the device's clock.
        poses: (3, 7) x, y, z, qx, qy, qz, qw of head, left and right; NaN where not tracked.
        sent: seconds since 1970 by the sender's clock, NaN where not stated.
    """

    time: float
    poses: np.ndarray
    sent: float = float("nan")


def encode(packet: Packet) -> bytes:
    """As one line of JSON without the newline."""
    value: dict[str, object] = {"time": round(packet.time, 6)}
    for name, pose in zip(DEVICES, packet.poses):
        value[name] = [round(float(number), 6) for number in pose] if np.isfinite(pose).all() else None
    if np.isfinite(packet.sent):
        value["sent"] = round(packet.sent, 6)
    return json.dumps(value, separators=(",", ":")).encode()


def decode(data: bytes | str) -> Packet:
    """Read one packet.

    Raises:
        InputError: it is not such an object; the message states what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise InputError("A packet is too long.", found=f"{len(data)} bytes", expected=f"at most {MAX_BYTES}")
    try:
        value = json.loads(data)
        time, sent = _scalar(value["time"]), _scalar(value.get("sent"))
        poses = np.array([_pose(value.get(name)) for name in DEVICES])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise InputError(
            "A packet cannot be read.",
            found=_reason(error, data)[:200],
            expected='{"time": seconds, "head": [x, y, z, qx, qy, qz, qw], "left": ..., "right": ...}',
        ) from error
    if not np.isfinite(time):
        raise InputError("A packet has no time.", expected="seconds, a finite number")
    return Packet(time, poses, sent)


def _reason(error: Exception, data: bytes | str) -> str:
    """What is wrong with a packet, in words of its own format."""
    if isinstance(data, bytes) and data.startswith((b"/", b"#bundle")):
        return "an OSC message, as VMC and trackers send; JSON is read (docs/live.md)"
    if isinstance(error, KeyError):
        return f"no entry {error}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"no JSON ({error})"
    return str(error)


def packets_of(track: DeviceTrack) -> Iterator[Packet]:
    """A track as packets of the `joints` convention."""
    quaternions = rot.matrix_to_quaternion(track.rotations).roll(-1, -1).numpy()
    poses = np.concatenate([track.positions.numpy(), quaternions], axis=-1)
    poses[~track.tracked] = np.nan
    for time, pose in zip(track.times, poses):
        yield Packet(float(time), pose)


def stream_packets(
    path: str | Path, *, repairs: Repairs | None = None, convention: Convention = CONVENTIONS["joints"]
) -> Iterator[DeviceTrack]:
    """Read a file of packets, one a line, some thousand frames at a time.

    Raises:
        InputError: no file, not text, nothing that can be used; in strict mode any damage.
    """
    repairs = repairs or Repairs(path, strict=True)
    units: Units | None = None
    for block in chunked(_rows(path, repairs)):
        block = as_table(block)
        if units is None:
            with naming(path):
                units = find_units(block, convention)
        block = units.apply(block)
        poses = block[:, 1:22].reshape(-1, 3, 7)
        yield make_track(poses[..., 3:], poses[..., :3], block[:, 0], convention)
    if units is None:
        raise InputError(f"{path} holds no packet that can be used.", found=repairs.explained)


def first_packets(path: str | Path) -> np.ndarray | None:
    """The first thousands of packets as rows of a table: time, 21 numbers (position, wxyz) and three flags."""
    block = next(chunked(_rows(path, Repairs(path))), None)
    return None if block is None else as_table(block)


def as_table(block: np.ndarray) -> np.ndarray:
    """Rows of time and 21 numbers (position, xyzw) as `contrapposto.io.device_units` takes them."""
    poses = block[:, 1:].reshape(-1, 3, 7)
    seen = np.isfinite(poses).all(axis=-1).astype(float)
    wxyz = poses[..., [0, 1, 2, 6, 3, 4, 5]].reshape(-1, 21)
    return np.concatenate([block[:, :1], wxyz, seen], axis=1)


def _rows(path: str | Path, repairs: Repairs) -> Iterator[list[float]]:
    before = -np.inf
    for number, line in read_lines(path, "a file of packets, one JSON object a line"):
        if not line.strip():
            continue
        try:
            packet = decode(line.strip())
        except InputError as error:
            repairs.note("cannot be read", f"line {number}", found=error.found, expected=error.expected)
            continue
        if repairs.strict and packet.time <= before:
            repairs.note(
                "has a time that is not after the one before",
                f"line {number}",
                found=f"{packet.time} after {before}",
            )
        before = packet.time
        yield [packet.time, *packet.poses.ravel().tolist()]


def _scalar(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise TypeError(f"{value!r} is not a number")
    return float("nan") if value is None else float(value)


def _pose(value: object) -> list[float]:
    if value is None:
        return [float("nan")] * 7
    if not isinstance(value, list) or len(value) != 7:
        raise ValueError("a pose is a list of seven numbers")
    return [_scalar(number) for number in value]
