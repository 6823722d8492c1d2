"""Tracks of three devices as CSV, read as a stream; and written.

Columns by name, in any order, others are ignored: `time` in seconds; for each of `head`, `left`, `right`:
`head_x, head_y, head_z` in metres and the quaternion `head_qx, head_qy, head_qz, head_qw`; optional `head_tracked`
(1 or 0, true or false, yes or no). An empty cell or `nan` means that the device was not tracked. Comma, semicolon or
tab between columns; numbers may have decimal commas. Other units of time and length, quaternions of another length, and
exchanged sides are found from the first rows and reported (`contrapposto.io.device_units`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from contrapposto import rotations as rot
from contrapposto.checks import naming
from contrapposto.errors import InputError
from contrapposto.files import atomic_path
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

_PARTS = ("x", "y", "z", "qw", "qx", "qy", "qz")
COLUMNS = ("time", *(f"{device}_{part}" for device in DEVICES for part in _PARTS))
_KIND = "a CSV file with a header"


def stream_csv(
    path: str | Path, *, repairs: Repairs | None = None, convention: Convention = CONVENTIONS["joints"]
) -> Iterator[DeviceTrack]:
    """Read a file of any size, some thousand frames at a time.

    Args:
        path: the file.
        repairs: strict or lenient; strict where absent. In lenient mode rows without a time or with too few cells
            are ignored; times that repeat or run backward are left in the track as they are.
        convention: of the axes; by default z up, and orientations of the body's joints.

    Raises:
        InputError: no file, not text, columns missing, no row that can be used; in strict mode any damage.
    """
    repairs = repairs or Repairs(path, strict=True)
    units: Units | None = None
    for block in chunked(_rows(Path(path), repairs)):
        if units is None:
            with naming(path):
                units = find_units(block, convention)
        block = units.apply(block)
        devices = block[:, 1:22].reshape(-1, 3, 7)
        quaternions = np.where(block[:, 22:, None] > 0, devices[..., 3:], np.nan)
        yield make_track(quaternions, devices[..., :3], block[:, 0], convention)
    if units is None:
        raise InputError(f"{path} holds no row that can be used.", found=repairs.explained or "only a header")


def first_rows(path: str | Path) -> np.ndarray | None:
    """The first thousands of usable rows: time, 21 numbers (position, wxyz of each device) and three flags.

    Raises:
        InputError: no file, not text, or columns missing.
    """
    return next(chunked(_rows(Path(path), Repairs(path))), None)


def write_csv(path: str | Path, track: DeviceTrack) -> Path:
    """Write a track, z up, orientations of the joints; devices that were not seen get empty cells."""
    quaternions = rot.matrix_to_quaternion(track.rotations).numpy()
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for time, turns, places, seen in zip(track.times, quaternions, track.positions, track.tracked):
            row: list[str] = [f"{time:.6f}"]
            for device in range(3):
                values = [*places[device].tolist(), *turns[device].tolist()]
                row += [f"{value:.7f}" if seen[device] else "" for value in values]
            writer.writerow(row)
    return Path(path)


def _rows(path: Path, repairs: Repairs) -> Iterator[list[float]]:
    """Time, 21 numbers and three flags of each usable row."""
    lines = read_lines(path, _KIND)
    _, header = next(lines)
    delimiter = max(",;\t", key=header.count)
    decimal = "," if delimiter != "," else ""
    indices = _indices(path, _cells(header, delimiter))
    columns, flags = indices[:22], indices[22:]
    before, last, usual = -np.inf, max(indices[:22]), None
    for number, line in lines:
        if not line.strip():
            continue
        where = f"line {number}"
        cells = _cells(line, delimiter)
        if len(cells) <= last:
            kind = "has too few cells" if line.endswith("\n") else "is cut off at the end of the file"
            repairs.note(kind, where, found=f"{len(cells)} cells", expected=f"at least {last + 1}")
            continue
        if decimal:
            cells = [cell.replace(",", ".") if cell.count(",") == 1 else cell for cell in cells]
        values = [_number(cells[index]) for index in columns]
        if not np.isfinite(values[0]):
            repairs.note("has no time", where, found=repr(cells[columns[0]][:40]), expected="seconds")
            continue
        if repairs.strict and values[0] <= before:
            repairs.note(
                "has a time that is not after the one before", where, found=f"{values[0]} after {before}"
            )
        before = values[0]
        tracked = [float(i < 0 or i >= len(cells) or _is_true(cells[i])) for i in flags]
        usual = usual or _quaternion_length(values)
        _check_devices(values, tracked, cells, columns, where, repairs, usual or 1.0)
        yield [*values, *tracked]


def _quaternion_length(values: list[float]) -> float | None:
    """The usual length of a row's quaternions; nothing where there is none."""
    lengths = [float(np.linalg.norm(values[start : start + 4])) for start in (4, 11, 18)]
    known = [length for length in lengths if np.isfinite(length) and length > 1e-3]
    return float(np.median(known)) if known else None


def _check_devices(
    values: list[float],
    tracked: list[float],
    cells: list[str],
    columns: list[int],
    where: str,
    repairs: Repairs,
    usual: float,
) -> None:
    """Note poses that cannot be used although they are not stated to be untracked."""
    for device, name in enumerate(DEVICES):
        start = 1 + 7 * device
        pose = values[start : start + 7]
        stated = not any(cells[index].strip() for index in columns[start : start + 7])
        if not tracked[device] or stated:
            continue
        if not np.isfinite(pose).all():
            repairs.note(f"has no usable pose of {name}", where, found="values that are not finite numbers")
        elif abs(float(np.linalg.norm(pose[3:])) / usual - 1) > 0.1:
            repairs.note(f"has a rotation of {name} that is no unit quaternion", where)


def _indices(path: Path, header: list[str]) -> list[int]:
    """Where each of `COLUMNS` stands, then the three `_tracked` columns (-1: absent)."""
    names = [name.strip().strip('"').lower() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InputError(
            f"{path} lacks columns: {', '.join(missing[:8])}{' ...' if len(missing) > 8 else ''}.",
            found=", ".join(names)[:200] or "an empty first line",
            expected=f"a header with {', '.join(COLUMNS[:8])}, and so on for left_ and right_ (docs/live.md)",
        )
    flags = [f"{device}_tracked" for device in DEVICES]
    return [*map(names.index, COLUMNS), *(names.index(flag) if flag in names else -1 for flag in flags)]


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a carriage return in the middle of a line
        return []


def _is_true(text: str) -> bool:
    """Whether a cell states that a device was tracked: everything but 0, false, no and nothing."""
    word = text.strip().strip('"').lower()
    return (
        word not in ("", "false", "no", "f", "n", "off", "lost", "nan", "none", "null") and _number(word) != 0
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
