"""A training file of A-NeRF (HDF5) as a scene."""

from __future__ import annotations

from pathlib import Path

from contrapposto.errors import MissingError
from contrapposto.files import sha256
from contrapposto.systems.anerf.data.h5 import open_h5
from contrapposto.systems.anerf.data.prepare import Plan, Progress
from contrapposto.systems.anerf.data.scene import AvatarScene
from contrapposto.systems.anerf.data.writing import SceneMetadata, counted, write_scene


def plan(
    raw: Path | None,
    *,
    licence: str = "unknown: see the source of the file",
    metres_per_unit: float | None = None,
) -> Plan:
    """See the module.

    Args:
        raw: the file.
        licence: of the data, for the manifest.
        metres_per_unit: length of a world unit; None: 1 / `pose_scale` where the file has one.
    """
    if raw is None:
        raise MissingError("No training file was given.", fix="python prepare.py data=anerf_h5 raw=FILE.h5")
    with open_h5(raw) as file:
        splits, scales = file.splits(), (file.scale("ext_scale"), file.scale("pose_scale"))
    if metres_per_unit is None and scales[1]:
        metres_per_unit = 1 / scales[1]
    origin = SceneMetadata(
        recipe="anerf_h5",
        source=raw.name,
        licence=licence,
        options={"metres_per_unit": metres_per_unit},
        splits=splits,
        metres_per_unit=metres_per_unit,
        ext_scale=scales[0] or 0.001,
        pose_scale=scales[1] or 1.0,
        input_hash=sha256(raw),
    )

    def make(output: Path, origin: SceneMetadata, progress: Progress | None) -> AvatarScene:
        with open_h5(raw) as file:
            frames = counted(file.frames(), file.num_images, progress)
            return write_scene(output, frames, file.arrays(), file.size, origin)

    return Plan(origin, make)
