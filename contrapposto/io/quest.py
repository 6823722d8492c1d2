"""Reader of the text logs that the SAGE authors' Quest app writes (docs/specs/sage.md, section 4, "Quest log").

One record per frame and line, records of a batch separated by blank lines:
`FPS:72.0;Headset-Position: (x, y, z);Headset-Rotation: (x, y, z, w);LeftController-Position: ...;` and so on;
metres, Unity's left-handed frame with y up. A batch of 200 records follows another without a blank line; the frame
between them was not recorded, so time goes on by two frames there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from contrapposto.errors import InputError, MissingError
from contrapposto.files import atomic_path
from contrapposto.io.devices import (
    CONVENTIONS,
    Convention,
    DeviceTrack,
    Repairs,
    chunked,
    make_track,
    read_lines,
)

__all__ = ["DeviceTrack", "read_quest", "stream_quest", "write_quest"]

_FIELDS = (
    "FPS",
    *(
        f"{device}-{what}"
        for device in ("Headset", "LeftController", "RightController")
        for what in ("Position", "Rotation")
    ),
)
_SIZES = (1, 3, 4, 3, 4, 3, 4)
_BATCH = 200  # records after which the app misses a frame


def read_quest(path: str | Path, *, normalize: bool = True, strict: bool = True) -> DeviceTrack:
    """Read a whole log into memory; see `stream_quest` for the arguments and errors."""
    chunks = list(stream_quest(path, normalize=normalize, repairs=Repairs(path, strict)))
    return DeviceTrack(
        torch.cat([chunk.rotations for chunk in chunks]),
        torch.cat([chunk.positions for chunk in chunks]),
        np.concatenate([chunk.times for chunk in chunks]),
        np.concatenate([chunk.tracked for chunk in chunks]),
    )


def write_quest(path: str | Path, track: DeviceTrack) -> Path:
    """Write a track in the app's format: four decimals, records separated by blank lines, times even.

    A device that is not tracked is at the origin, as in the app's logs.

    Args:
        path: the text file.
        track: at an even rate, as `Recording.devices` gives it.
    """
    rate = (len(track) - 1) / (track.times[-1] - track.times[0]) if len(track) > 1 else 60.0
    quaternions, positions = CONVENTIONS["quest"].revert(track.rotations.numpy(), track.positions.numpy())
    places = np.where(track.tracked[..., None], positions, 0.0)
    turns = np.where(track.tracked[..., None], quaternions, [1.0, 0, 0, 0])[..., [1, 2, 3, 0]]
    path = Path(path)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for place, turn in zip(places, turns):
            words = [f"FPS:{rate:.1f}"]
            for device, name in enumerate(("Headset", "LeftController", "RightController")):
                for what, values in (("Position", place[device]), ("Rotation", turn[device])):
                    words.append(f"{name}-{what}: ({', '.join(f'{value:.4f}' for value in values)})")
            file.write(";".join(words) + ";\n\n")
    return path


def stream_quest(
    path: str | Path,
    *,
    repairs: Repairs | None = None,
    normalize: bool = True,
    convention: Convention = CONVENTIONS["quest"],
) -> Iterator[DeviceTrack]:
    """Read a log of any size, some thousand frames at a time.

    Args:
        path: the text file.
        repairs: strict or lenient; strict where absent. In lenient mode unreadable records are ignored, a
            device with values that are not finite or no unit quaternion counts as not seen.
        normalize: scale the quaternions, which are written with four decimals, to length one; the original
            does not.
        convention: of the axes.

    Raises:
        MissingError: no such file.
        InputError: not such a log; in strict mode also any damage.
    """
    if not Path(path).is_file():
        raise MissingError(f"There is no Quest log at {path}.")
    repairs = repairs or Repairs(path, strict=True)
    for block in chunked(_records(Path(path), repairs)):
        devices = block[:, 1:].reshape(-1, 3, 7)
        quaternions = devices[..., [6, 3, 4, 5]]
        yield make_track(quaternions, devices[..., :3], block[:, 0], convention, normalize=normalize)


def _records(path: Path, repairs: Repairs) -> Iterator[list[float]]:
    """Time and the 21 numbers of each usable record."""
    number, in_batch, blank, time, rate, lost, good = 0, 0, True, 0.0, 72.0, 0, 0
    for _, line in read_lines(path, "a Quest log: records of one line, separated by blank lines"):
        if not line.strip():
            blank = True
            continue
        number += 1
        missing = not blank and in_batch >= _BATCH
        in_batch, blank = (1 if missing else in_batch + 1), False
        values = _record(line, number, repairs, whole=line.endswith("\n"))
        lost += missing
        if values is None:
            lost += 1
            _refuse_rubbish(path, number, good)
            continue
        rate = values[0]
        time += (1 + lost) / rate if good else 0.0
        good, lost = good + 1, 0
        yield [time, *values[1:]]
    if not good:
        raise InputError(f"{path} holds no records.", expected="records separated by blank lines")


def _refuse_rubbish(path: Path, number: int, good: int) -> None:
    if number >= 50 and good * 2 < number:
        raise InputError(
            f"{path} is no Quest log.",
            found=f"{good} readable records among the first {number}",
            expected=f"records with the fields {', '.join(_FIELDS)}",
        )


def _record(line: str, number: int, repairs: Repairs, *, whole: bool) -> list[float] | None:
    """Frame rate and 21 numbers of a record, NaN for a device that cannot be used; None if it must be ignored."""
    where = f"record {number}"
    parts = [part.strip() for part in line.strip().split(";") if part.strip()]
    result: list[float] = []
    for part, name, size in zip(parts, _FIELDS, _SIZES):
        key, _, value = part.rpartition(":")
        numbers = _floats(value)
        if key.strip() != name or len(numbers) != size:
            kind = "cannot be read" if whole else "is cut off at the end of the file"
            repairs.note(
                kind, where, found=part[:80], expected=f"{name} with {size} finite numbers", fix=_CUT
            )
            return None
        if not np.isfinite(numbers).all():
            repairs.note("has values that are not finite", where, found=part[:80], expected=name)
        result.extend(numbers)
    if len(parts) != len(_FIELDS):
        repairs.note(
            f"has {len(parts)} fields" if repairs.strict else "has another number of fields",
            where,
            found=line.strip()[:80],
            expected=f"the {len(_FIELDS)} fields {', '.join(_FIELDS)}",
            fix=_CUT if len(parts) < len(_FIELDS) else "",
        )
        return None
    if not (np.isfinite(result[0]) and result[0] > 0):
        repairs.note("has no frame rate", where, found=parts[0])
        return None
    for start in (4, 11, 18):
        length = float(np.linalg.norm(result[start : start + 4]))
        if not abs(length - 1) < 0.05:
            repairs.note(
                "has a rotation that is no unit quaternion", where, fix="untracked frames must be cut"
            )
            result[start : start + 4] = [np.nan] * 4
    return result


_CUT = "cut the incomplete record off, or read leniently"


def _floats(text: str) -> list[float]:
    try:
        return [float(number) for number in text.strip().strip("()").split(",")]
    except ValueError:
        return []
