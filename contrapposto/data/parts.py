"""Preparation in parts, for the tasks of a job array: each converts its share, `prepare` puts the store together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapposto.data.convert import MIN_FRAMES, Task, convert_all
from contrapposto.data.launchers import Launcher
from contrapposto.data.lock import hold
from contrapposto.data.prepare import check_output, disk_errors, places
from contrapposto.data.recipes import Progress, get_recipe
from contrapposto.data.survey import find_sources, look_at
from contrapposto.errors import ConfigError


@dataclass(frozen=True)
class PartReport:
    """What `prepare_part` did: clips of this part, and how many of them it has converted now."""

    part: int
    parts: int
    clips: int
    converted: int

    def summary(self) -> str:
        """A line for a terminal."""
        return (
            f"part {self.part} of {self.parts}: {self.converted} of {self.clips} clips converted. After the last part, "
            "the same command with launcher=processes puts the store together"
        )


def prepare_part(
    recipe: str,
    *,
    output: str | Path,
    part: int,
    parts: int,
    raw: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> PartReport:
    """Convert every `parts`-th clip, from `part` on, for a store that `prepare` puts together afterwards.

    Parts may run at the same time, on machines that see the same files. `prepare` converts what a part has left
    undone, so the store is the same whatever became of them.

    Args:
        recipe, output, raw, workers, progress, options: see `prepare`.
        part: number of this part, from 0.
        parts: how many there are.

    Raises:
        ConfigError: no such part, recipe or option, or a recipe that would download in every part.
        MissingError, InputError: nothing in the input, the disk is full, or this part runs already.
    """
    if not 0 <= part < parts:
        raise ConfigError(f"There is no part {part} of {parts}.", expected=f"0 to {parts - 1}")
    kind = get_recipe(recipe, **options)
    if raw is None and hasattr(kind, "url"):
        raise ConfigError(
            f"Every part of the recipe {recipe} would download the corpus.",
            fix="download it once and name the folder: raw=FOLDER",
        )
    output, work = places(output)
    check_output(output, kind)
    folder = kind.obtain(None if raw is None else Path(raw).absolute(), work, progress)
    sources, _ = find_sources(kind, folder)
    clips = work / "clips"
    with disk_errors(output):
        clips.mkdir(parents=True, exist_ok=True)
        name = f"part-{part}-of-{parts}"
        with hold(
            work / f"{name}.lock", work / f"{name}.json", f"Part {part} of {parts} of the store {output}"
        ):
            seen = look_at(kind, sources[part::parts], folder, workers, progress)
            tasks = [one for one in seen if isinstance(one, Task) and one.frames >= MIN_FRAMES]
            fresh = convert_all(kind, tasks, clips, folder, Launcher(workers=workers), progress)
    return PartReport(part, parts, len(tasks), fresh)
