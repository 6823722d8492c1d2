"""What an offline wandb run holds, read from its transaction log (LevelDB's log format with protobuf records)."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK = 32768


@dataclass
class OfflineRun:
    folder: Path
    run_id: str = ""
    name: str = ""
    finished: bool = False
    machine: list[Any] = field(default_factory=list)  # what is said of it
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        return {key for row in self.history for key in row}

    def values(self, key: str) -> list[Any]:
        return [row[key] for row in self.history if key in row]

    def file(self, value: dict[str, Any]) -> Path:
        """The file that a table, video, picture or mesh in the history refers to."""
        return self.folder / "files" / value["path"]


def read_offline_runs(run_dir: Path) -> list[OfflineRun]:
    """The runs of a run directory, once their logs are complete: wandb's service writes on after `finish`."""
    logs = sorted((run_dir / "wandb").glob("offline-run-*/run-*.wandb"))
    deadline = time.monotonic() + 30
    runs = [_read(path) for path in logs]
    while not all(run.finished for run in runs) and time.monotonic() < deadline:
        time.sleep(0.05)
        runs = [_read(path) for path in logs]
    assert all(run.finished for run in runs)
    return runs


def _read(path: Path) -> OfflineRun:
    from wandb.proto import wandb_internal_pb2 as protobuf

    run = OfflineRun(path.parent)
    for data in _records(path.read_bytes()):
        record = protobuf.Record()
        record.ParseFromString(data)
        if record.HasField("environment"):
            metadata = record.environment
            run.machine += [
                metadata.host,
                metadata.executable,
                metadata.root,
                metadata.cpu.model,
                *metadata.args,
            ]
        if record.HasField("run"):
            run.machine.append(record.run.host)
            run.run_id, run.name = record.run.run_id, record.run.display_name or run.name
            run.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.HasField("config"):
            run.config |= {item.key: json.loads(item.value_json) for item in record.config.update}
        elif record.HasField("exit"):
            run.finished = True
        elif record.HasField("history"):
            row: dict[str, Any] = {}
            for item in record.history.item:
                first, *rest = item.nested_key or [item.key]
                value = json.loads(item.value_json)
                if rest:
                    row.setdefault(first, {})[".".join(rest)] = value
                else:
                    row[first] = value
            run.history.append(row)
    return run


def _records(data: bytes) -> Iterator[bytes]:
    position, parts = 7, []  # after the header of the file
    while position + 7 <= len(data):
        left = _BLOCK - position % _BLOCK
        length, kind = struct.unpack("<4xHB", data[position : position + 7])
        if left < 7 or kind == 0:
            position += left
            continue
        parts.append(data[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield b"".join(parts)
            parts = []
