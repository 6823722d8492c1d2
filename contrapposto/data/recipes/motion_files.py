"""Motion files of any kind that the project reads, below one folder: one's own recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contrapposto.data.recipes.bandai import bvh_frames
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import LabelFinder, with_labels
from contrapposto.data.recipes.reading import ReadingOptions
from contrapposto.io import READABLE
from contrapposto.motion import Motion


class MotionFilesRecipe:
    """Every `.npz`, `.bvh`, `.amc`, `.glb`, `.vrm` below a folder; labels from `index.csv` or beside the clips.

    Args:
        source, licence, attribution: of the recordings; they travel into stores, checkpoints and outputs.
        up, forward, scale, fps, reference_frame, joint_map, asf: see `contrapposto.io.read_motion`, for files that do
            not show their axes, unit, rate or joints.
    """

    name = "motion_files"
    version = 1

    def __init__(
        self,
        source: str = "own recordings",
        licence: str = "unknown",
        attribution: str = "",
        up: str | None = None,
        forward: str | None = None,
        scale: float | None = None,
        fps: float | None = None,
        reference_frame: int | None = None,
        joint_map: str | None = None,
        asf: str | None = None,
    ) -> None:
        self.source, self.licence, self.attribution = source, licence, attribution
        self.reading = ReadingOptions(up, forward, scale, fps, reference_frame, joint_map, asf)
        self.downloads: dict[str, str] = {}

    @property
    def options(self) -> dict[str, Any]:
        """What changes the store."""
        return self.reading.recorded

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """`raw`; there is nothing to download."""
        return need_folder(raw, self.name, "a folder with motion files")

    def discover(self, raw: Path) -> Discovery:
        """All files with a suffix of motion."""
        matches = Discovery()
        labels = LabelFinder(raw, matches.ignored)
        for path in walk(raw):
            if path.suffix.lower() not in READABLE:
                matches.ignored[f"{suffix_of(path)} files"] += 1
                continue
            matches.sources.append(Source(path.relative_to(raw).as_posix(), (path,), labels.find(path) or {}))
        return matches

    def frames(self, source: Source) -> int:
        """By the header of a BVH file; others are read."""
        path = source.paths[0]
        return bvh_frames(path) if path.suffix.lower() == ".bvh" else self.reading.read(path).num_frames

    def read(self, source: Source) -> Motion:
        """Mapped to the SMPL-H skeleton, z up, metres."""
        return with_labels(self.reading.read(source.paths[0]), source.parameters)
