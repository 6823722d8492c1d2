"""What the user states about the files of a corpus: axes, unit, frame rate, joints."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from contrapposto.files import sha256
from contrapposto.motion import Motion


@dataclass(frozen=True)
class ReadingOptions:
    """Options of `contrapposto.io.read_motion` for every file of a corpus; None: as each file shows."""

    up: str | None = None
    forward: str | None = None
    scale: float | None = None
    fps: float | None = None
    reference_frame: int | None = None
    joint_map: str | None = None
    asf: str | None = None

    @property
    def stated(self) -> dict[str, Any]:
        """Those that are not None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def recorded(self) -> dict[str, Any]:
        """`stated` with the content of the files that it names: what decides the clips."""
        values = self.stated
        for name in ("joint_map", "asf"):
            if name in values and Path(values[name]).is_file():
                values[name] = sha256(Path(values[name]))
        return values

    def read(self, path: Path, **more: Any) -> Motion:
        """The clip of a file on the SMPL-H skeleton."""
        from contrapposto.io import read_motion

        options = {**self.stated, **more}
        if path.suffix.lower() != ".amc":
            options.pop("asf", None)
        return read_motion(path, **options)
