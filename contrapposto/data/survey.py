"""Looking at all input before any work: what is there, what cannot be used, whether anything has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contrapposto.data.convert import MIN_FRAMES, Reject, Task, describe
from contrapposto.data.recipes import Progress, Recipe, Source
from contrapposto.data.store import FIGURE, VERSION
from contrapposto.errors import ContrappostoError, InputError, MissingError


@dataclass(frozen=True)
class Survey:
    """What was found.

    Args:
        tasks: sources to convert, in the order of their names.
        rejects: sources that cannot be used.
        ignored: files that the recipe does not use, counted by kind.
        fingerprint: hash of all that decides the store's content.
    """

    tasks: list[Task]
    rejects: list[Reject]
    ignored: dict[str, int]
    fingerprint: str


def survey(kind: Recipe, folder: Path, workers: int, progress: Progress | None) -> Survey:
    """Hash every source and read every header.

    Raises:
        MissingError: there is nothing for this recipe.
        InputError: there is nothing that can be used.
    """
    sources, ignored = find_sources(kind, folder)
    tasks: list[Task] = []
    rejects: list[Reject] = []
    inputs: list[tuple[str, str, str]] = []
    by_digest: dict[str, str] = {}
    names: set[str] = set()
    for source, seen in zip(sources, look_at(kind, sources, folder, workers, progress)):
        if isinstance(seen, Task):
            inputs.append((source.name, seen.digest, source.parameters_digest()))
            seen = _screen(seen, by_digest, names)
        else:
            inputs.append((source.name, seen.detail, source.parameters_digest()))
        (tasks if isinstance(seen, Task) else rejects).append(seen)  # type: ignore[arg-type]
    if not tasks:
        raise nothing_left(kind, rejects)
    return Survey(tasks, rejects, ignored, _fingerprint(kind, inputs))


def find_sources(kind: Recipe, folder: Path) -> tuple[list[Source], dict[str, int]]:
    """All sources in the order of their names, and what the recipe does not use, counted by kind.

    Raises:
        MissingError: there is nothing for this recipe.
    """
    matches = kind.discover(folder)
    ignored = dict(sorted(matches.ignored.items()))
    if not matches.sources:
        raise MissingError(
            f"There is nothing for the recipe {kind.name} in {folder}.",
            found=", ".join(f"{count} {what}" for what, count in ignored.items()) or "an empty folder",
            expected=f"files of {kind.source}",
            fix="give the right folder with raw=; archives must be unpacked first",
        )
    return sorted(matches.sources, key=lambda source: source.name), ignored


def look_at(
    kind: Recipe, sources: Sequence[Source], folder: Path, workers: int, progress: Progress | None
) -> Iterator[Task | Reject]:
    """Hash sources and read their headers, in threads: both release the lock of the interpreter."""

    def look(source: Source) -> Task | Reject:
        try:
            return Task(source, source.digest(), kind.frames(source))
        except Exception as error:  # whatever a hostile header provokes: the source is rejected with it
            return describe(source.name, error, folder)

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for number, seen in enumerate(pool.map(look, sources), 1):
            if progress:
                progress("checking", number, len(sources))
            yield seen


def _screen(task: Task, by_digest: dict[str, str], names: set[str]) -> Task | Reject:
    name = task.source.name
    if name in names:
        return Reject(
            name, "name taken", "two different files have this name once subset aliases are resolved"
        )
    if task.source.paths and task.digest in by_digest:
        return Reject(name, "duplicate", f"same content as {by_digest[task.digest]}")
    if task.frames < MIN_FRAMES:
        return Reject(name, "too short", f"{task.frames} frames, at least {MIN_FRAMES} are needed")
    names.add(name)
    by_digest[task.digest] = name
    return task


def _fingerprint(kind: Recipe, inputs: Sequence[tuple[str, str, str]]) -> str:
    """Hash of all that decides the content: figure, recipe, version, options, names, sources, parameters."""
    content = [VERSION, FIGURE, kind.name, kind.version, kind.options, list(inputs)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def nothing_left(kind: Recipe, rejects: Sequence[Reject]) -> ContrappostoError:
    """The error for input of which nothing can be used."""
    first = "; ".join(f"{reject.name}: {reject.reason}: {reject.detail}" for reject in rejects[:3])
    return InputError(
        f"None of the {len(rejects)} sources of the recipe {kind.name} can be used.",
        found=first + ("; ..." if len(rejects) > 3 else ""),
        expected=f"files of {kind.source}",
        fix="check the folder given with raw=",
    )
