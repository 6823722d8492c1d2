"""AMASS: a folder that the user has downloaded from amass.is.tue.mpg.de (registration, non-commercial)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrapposto.data.babel import babel_files, read_babel
from contrapposto.data.names import SUBSETS, canonical_name, comparable, subset_of
from contrapposto.data.recipes.base import Discovery, Progress, Source, need_folder, suffix_of, walk
from contrapposto.data.recipes.labels import LabelFinder, babel_labels, grab_label, with_labels
from contrapposto.data.recipes.npz import array_shape, members
from contrapposto.data.recipes.reading import ReadingOptions
from contrapposto.errors import ConfigError, nearest
from contrapposto.files import sha256
from contrapposto.io.amass import PERIOD_KEYS, RATE_KEYS
from contrapposto.io.pose_arrays import BODY, WHOLE
from contrapposto.motion import Motion


class AmassRecipe:
    """Every clip in AMASS layout below a folder: SMPL-H and SMPL-X files, any subset, under any of its names.

    Args:
        subsets: keep only these subsets of AMASS, by any of their names; all if empty.
        babel: folder with BABEL's `train.json` and `val.json`, or one such file: labels for the clips it knows.
        source, licence, attribution: for files of the same layout that are not from AMASS.
        up, forward, scale, fps: see `contrapposto.io.read_motion`, for files that do not show them.

    Raises:
        ConfigError: a subset that is not one of AMASS.
    """

    name = "amass"
    version = 1

    def __init__(
        self,
        subsets: Sequence[str] = (),
        babel: str | None = None,
        source: str = "AMASS, https://amass.is.tue.mpg.de",
        licence: str = "AMASS licence, non-commercial scientific research: https://amass.is.tue.mpg.de/license.html",
        attribution: str = "Mahmood et al., AMASS: Archive of Motion Capture as Surface Shapes, ICCV 2019, "
        "and the makers of each subset",
        up: str | None = None,
        forward: str | None = None,
        scale: float | None = None,
        fps: float | None = None,
    ) -> None:
        self.reading = ReadingOptions(up, forward, scale, fps)
        self.source, self.licence, self.attribution = source, licence, attribution
        self.downloads: dict[str, str] = {}
        self.subsets = tuple(sorted({_known(subset) for subset in subsets}))
        self.babel = tuple(babel_files(babel)) if babel else ()

    @property
    def options(self) -> dict[str, Any]:
        """What changes the store."""
        babel = {path.name: sha256(path) for path in self.babel}
        return {"subsets": list(self.subsets), **({"babel": babel} if babel else {}), **self.reading.recorded}

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """AMASS cannot be downloaded without registration: only `raw` is accepted."""
        return need_folder(raw, self.name, "the folder into which the AMASS archives were unpacked")

    def discover(self, raw: Path) -> Discovery:
        """Every .npz with poses and a frame rate; the rest is counted by kind."""
        matches = Discovery()
        labels = LabelFinder(raw, matches.ignored)
        for path in walk(raw):
            kind = self._kind(path)
            if kind:
                matches.ignored[kind] += 1
                continue
            name = canonical_name(path, raw)
            if self.subsets and subset_of(name) not in self.subsets:
                matches.ignored["clips of other subsets"] += 1
                continue
            metadata = labels.find(path) or (grab_label(name) if subset_of(name) == "GRAB" else {})
            matches.sources.append(Source(name, (path,), {**metadata, **_origin(name)}))
        if self.babel:
            self._label(matches)
        return matches

    def _label(self, discovery: Discovery) -> None:
        """Put BABEL's labels in place of others, and count what it has and what is missing here."""
        babel = read_babel(*self.babel)
        discovery.ignored.update({f"BABEL: {what}": count for what, count in babel.problems.items()})
        for number, source in enumerate(discovery.sources):
            metadata = {**source.parameters, **babel_labels(babel, source.name)}
            discovery.sources[number] = Source(source.name, source.paths, metadata)
        here = {comparable(source.name) for source in discovery.sources}
        absent = len(babel.spans.keys() - here)
        if absent:
            discovery.ignored["BABEL: annotated clips that are not in the folder"] = absent

    def _kind(self, path: Path) -> str:
        """Why a file is ignored; empty for a clip, also for a damaged one, which is rejected by name later."""
        if path.suffix.lower() != ".npz":
            is_label = path.name == "index.csv" or (
                path.suffix == ".json" and path.with_suffix(".npz").exists()
            )
            return "label files (used)" if is_label else f"{suffix_of(path)} files"
        arrays = members(path)
        if arrays is not None and arrays.isdisjoint((*WHOLE, *BODY)):
            return "npz files without poses"
        if arrays is not None and arrays.isdisjoint((*RATE_KEYS, *PERIOD_KEYS)) and self.reading.fps is None:
            return "npz files without a frame rate"
        return ""

    def frames(self, source: Source) -> int:
        """Rows of the poses."""
        arrays = members(source.paths[0]) or set()
        name = next((name for name in (*WHOLE, *BODY) if name in arrays), "poses")
        return array_shape(source.paths[0], name)[0]

    def read(self, source: Source) -> Motion:
        """Read and put on the SMPL-H skeleton, labels added."""
        return with_labels(self.reading.read(source.paths[0]), source.parameters)


def _known(subset: str) -> str:
    canonical = SUBSETS.get(subset)
    if canonical is None:
        raise ConfigError(
            f"AMASS has no subset {subset}.",
            expected=", ".join(sorted(set(SUBSETS.values()))),
            fix=f"did you mean {nearest(subset, SUBSETS)}?",
        )
    return canonical


def _origin(name: str) -> dict[str, str]:
    parts = name.split("/")
    origin = {"subset": parts[0]} if len(parts) > 1 else {}
    if len(parts) > 2:
        origin["subject"] = "/".join(parts[:2])
    return origin
