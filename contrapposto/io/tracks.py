"""Any recording of three devices, by the suffix of its name, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from contrapposto.checks import naming
from contrapposto.errors import InputError
from contrapposto.io import READABLE, read_motion
from contrapposto.io.device_csv import first_rows, stream_csv
from contrapposto.io.device_turns import find_recorded
from contrapposto.io.devices import CONVENTIONS, Convention, DeviceTrack, Repairs, devices_of
from contrapposto.io.devices import convention as find_convention
from contrapposto.io.packets import first_packets, stream_packets
from contrapposto.io.plausible import plausible
from contrapposto.io.quest import stream_quest

LOGS = (".txt", ".csv", ".jsonl")
"""Suffixes of device recordings; motion files (`contrapposto.io.READABLE`) are read as well."""


def recorded_convention(path: str | Path, name: str | None = None) -> Convention:
    """The named axis convention; of a Quest log (`.txt`) `quest`; of a table the one that its first rows show.

    Raises:
        ConfigError: there is none of this name.
        InputError: a table that cannot be read.
    """
    if name:
        return find_convention(name)
    suffix = Path(path).suffix.lower()
    if suffix == ".txt":
        return CONVENTIONS["quest"]
    first = {".csv": first_rows, ".jsonl": first_packets}.get(suffix)
    if first is None or not Path(path).is_file():
        return CONVENTIONS["joints"]
    block = first(path)
    with naming(path):
        return CONVENTIONS["joints"] if block is None else find_recorded(block, "joints")


def stream_devices(
    path: str | Path, *, repairs: Repairs | None = None, convention: str | None = None
) -> Iterator[DeviceTrack]:
    """Tracks of successive stretches of a recording: a Quest log, CSV, packets, or what a motion file would show.

    Devices that are where no device can be count as not tracked (`contrapposto.io.plausible`).

    Args:
        path: the file.
        repairs: strict or lenient, and the place where repairs are counted; strict where absent.
        convention: name of the axis convention; see `recorded_convention`.

    Raises:
        MissingError, InputError: the file cannot be used; in strict mode any damage.
        ConfigError: an unknown convention.
    """
    suffix = Path(path).suffix.lower()
    axes = recorded_convention(path, convention)
    repairs = repairs or Repairs(path, strict=True)
    if suffix == ".txt":
        return plausible(stream_quest(path, repairs=repairs, convention=axes), repairs)
    if suffix == ".csv":
        return plausible(stream_csv(path, repairs=repairs, convention=axes), repairs)
    if suffix == ".jsonl":
        return plausible(stream_packets(path, repairs=repairs, convention=axes), repairs)
    if suffix in READABLE:
        return iter([devices_of(read_motion(path))])
    raise InputError(
        f"{path} cannot be read as a recording of three devices.",
        found=f"suffix {suffix!r}" if suffix else "no suffix",
        expected=", ".join((*LOGS, *READABLE)),
    )
