"""`prepare`: raw files in, one motion store out; parallel, killable at any moment, resumed by the same call.

The work can be cut into parts for the machines of a cluster (`parts.prepare_part`); `prepare` then puts the store
together.

While it works, `<store>.partial` beside the store holds one file per finished clip, keyed by the clip's name,
the hash of its source and the version of its recipe; each is renamed into place when whole. The store is put
together from them in the order of the clips' names, so an interrupted preparation ends in the same bytes as
an uninterrupted one.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from contrapposto.data.assemble import assemble, publish
from contrapposto.data.convert import Reject, convert_all
from contrapposto.data.launchers import Launcher
from contrapposto.data.lock import hold
from contrapposto.data.recipes import Progress, Recipe, get_recipe
from contrapposto.data.store import ARRAYS, MotionStore, read_manifest
from contrapposto.data.survey import survey
from contrapposto.errors import ConfigError, ContrappostoError, InputError, MissingError
from contrapposto.files import disk_error, need_space

_FRAME_BYTES = sum(4 * int(np.prod(shape)) for shape in ARRAYS.values())


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Args:
        path: the store.
        recipe: name of the recipe.
        clips, frames, motion_seconds: what the store holds.
        rejects: sources that could not be used, with reasons; also in the manifest.
        ignored: files that the recipe does not use, counted by kind.
        converted, resumed: clips converted now, and clips found from an interrupted run.
        seconds: duration of this call.
        unchanged: the store was already there and its input is the same: nothing was done.
    """

    path: Path
    recipe: str
    clips: int
    frames: int
    motion_seconds: float
    rejects: tuple[Reject, ...] = ()
    ignored: dict[str, int] = field(default_factory=dict)
    converted: int = 0
    resumed: int = 0
    seconds: float = 0.0
    unchanged: bool = False

    def summary(self) -> str:
        """Some lines for a terminal."""
        minutes = self.motion_seconds / 60
        lines = [f"{self.path}: {self.clips} clips, {self.frames} frames, {minutes:.1f} minutes of motion"]
        if self.unchanged:
            lines.append("The store is up to date with its input: nothing was done.")
        else:
            again = f", {self.resumed} kept from an interrupted run" if self.resumed else ""
            lines.append(f"{self.converted} clips converted{again}, in {self.seconds:.1f} s")
        if self.rejects:
            counts = ", ".join(
                f"{n} {reason}" for reason, n in Counter(r.reason for r in self.rejects).most_common()
            )
            lines.append(f"{len(self.rejects)} rejected ({counts}); all reasons are in manifest.json:")
            lines += [f"  {reject.name}: {reject.reason}: {reject.detail}" for reject in self.rejects[:5]]
        if self.ignored:
            lines.append("ignored: " + ", ".join(f"{count} {kind}" for kind, count in self.ignored.items()))
        return "\n".join(lines)


def prepare(
    recipe: str,
    *,
    output: str | Path,
    raw: str | Path | None = None,
    workers: int = 2,
    launcher: Launcher | None = None,
    downloads: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> PrepareReport:
    """Make the store `output` by a recipe. All input is checked before the first clip is converted.

    Args:
        recipe: `demo`, `amass`, `cmu` or `bandai`.
        output: folder of the store; a store of the same recipe there is replaced when its input has changed.
        raw: folder of raw files; a recipe that can download does so if it is not given.
        workers: processes; with 1 or less, everything runs in this one.
        launcher: who converts, in place of processes of this machine.
        downloads: where downloads are kept, by default `downloads` beside the store.
        progress: called with (stage, done, total).
        options: options of the recipe.

    Raises:
        ConfigError: no such recipe or option, or `output` is something else than a store of this recipe.
        MissingError, InputError: nothing usable in the input, no space, output not writable, or another
            process is preparing the same store.
    """
    start = time.perf_counter()
    kind = get_recipe(recipe, **options)
    output, work = places(output)
    check_output(output, kind)
    with disk_errors(output):
        work.mkdir(parents=True, exist_ok=True)
        with hold(output.with_name(f".{output.name}.lock"), work / "owner.json", f"The store {output}"):
            try:
                _check_parts(work)
                how = launcher or Launcher(workers=workers)
                report = _prepare(kind, output, work, raw, workers, how, downloads, progress)
            except BaseException:
                _tidy(work)
                raise
            shutil.rmtree(work)
    return replace(report, seconds=time.perf_counter() - start)


def _prepare(
    kind: Recipe,
    output: Path,
    work: Path,
    raw: str | Path | None,
    workers: int,
    launcher: Launcher,
    downloads: str | Path | None,
    progress: Progress | None,
) -> PrepareReport:
    place = Path(downloads) if downloads is not None else output.parent / "downloads"
    folder = kind.obtain(None if raw is None else Path(raw).absolute(), place / kind.name, progress)
    matches = survey(kind, folder, workers, progress)
    done = _unchanged(output, matches.fingerprint)
    if done is not None:
        return _report(kind, output, done, unchanged=True)
    clips = work / "clips"
    clips.mkdir(exist_ok=True)
    _check_disk(output, clips, sum(task.frames for task in matches.tasks))
    fresh = convert_all(kind, matches.tasks, clips, folder, launcher, progress)
    store = work / "store"
    shutil.rmtree(store, ignore_errors=True)
    assemble(kind, matches, clips, store, progress)
    publish(store, output, work / "old")
    report = _report(kind, output, MotionStore.open(output))
    return replace(report, converted=fresh, resumed=len(matches.tasks) - fresh)


def places(output: str | Path) -> tuple[Path, Path]:
    """The store, and the folder of what is not finished yet."""
    output = Path(output).absolute()
    return output, output.with_name(f"{output.name}.partial")


def _check_parts(work: Path) -> None:
    """Refuse while a part is still running: its folder would be taken away."""
    for lock in sorted(work.glob("part-*.lock")):
        with hold(
            lock, lock.with_suffix(".json"), f"{lock.stem.replace('-', ' ').capitalize()} of the store"
        ):
            pass


def check_output(output: Path, kind: Recipe) -> None:
    """Refuse to write over what is no store of this recipe.

    Raises:
        ConfigError: `output` is something else.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        name = read_manifest(output)["recipe"]["name"]
    except MissingError:
        raise ConfigError(
            f"The output {output} is not a motion store.",
            found="a file" if output.is_file() else "a folder with other things in it",
            expected="a new folder, or a store of the same recipe",
            fix="choose another place: paths.stores=FOLDER",
        ) from None
    except (ContrappostoError, KeyError, TypeError):
        return  # damaged or of another version: made anew
    if name != kind.name:
        raise ConfigError(
            f"The output {output} is a store of another recipe.",
            found=f"recipe {name}",
            expected=f"recipe {kind.name}",
            fix="choose another place: paths.stores=FOLDER, or delete that store first",
        )


def _unchanged(output: Path, fingerprint: str) -> MotionStore | None:
    try:
        store = MotionStore.open(output)
    except ContrappostoError:
        return None
    return store if store.manifest.get("input_hash") == fingerprint else None


def _check_disk(output: Path, clips: Path, frames: int) -> None:
    """Clips and store exist at the same time for a moment."""
    present = sum(file.stat().st_size for file in clips.glob("*.npz"))
    needed = max(2 * frames * _FRAME_BYTES - present, 0) + 2**20
    what = f"for the {frames} frames of the store {output}"
    need_space(output, needed, what, "choose another place: paths.stores=FOLDER")


@contextmanager
def disk_errors(output: Path) -> Iterator[None]:
    """Errors of the disk as ones that say what to do."""
    try:
        yield
    except OSError as error:
        translated = disk_error(output, error)
        if translated is error:
            actual = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            translated = InputError(
                f"The store {output} cannot be made.",
                found=actual,
                expected="a folder that can be written to",
            )
        raise translated from error


def _tidy(work: Path) -> None:
    """After an error, keep what can be resumed and nothing else."""
    shutil.rmtree(work / "store", ignore_errors=True)
    (work / "owner.json").unlink(missing_ok=True)
    clips = work / "clips"
    if clips.is_dir() and not any(clips.iterdir()):
        clips.rmdir()
    if work.is_dir() and not any(work.iterdir()):
        work.rmdir()


def _report(kind: Recipe, output: Path, store: MotionStore, *, unchanged: bool = False) -> PrepareReport:
    return PrepareReport(
        path=output,
        recipe=kind.name,
        clips=len(store),
        frames=int(store.offsets[-1]),
        motion_seconds=store.seconds,
        rejects=tuple(Reject(**reject) for reject in store.manifest["rejects"]),
        ignored=store.manifest["counts"]["ignored"],
        unchanged=unchanged,
    )
