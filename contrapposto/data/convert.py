"""Converting sources to clips, one result file each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from contrapposto.checks import parsing
from contrapposto.data.launchers import Launcher
from contrapposto.data.recipes.base import Progress, Recipe, Source
from contrapposto.data.store import FIGURE, ClipRecord
from contrapposto.errors import ContrappostoError
from contrapposto.files import atomic_path
from contrapposto.motion import Motion
from contrapposto.skeleton import SMPLH52

MIN_FRAMES = 5  # docs/specs/sage.md, section 4: shorter sequences are skipped
FRAME_RATES = (5.0, 1000.0)
_FORMAT = 1  # of the result files


@dataclass(frozen=True)
class Reject:
    """A source that is not in the store: its name, the reason in two words, and the detail."""

    name: str
    reason: str
    detail: str

    def to_json(self) -> dict[str, str]:
        """A dictionary of plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Task:
    """A source that passed the check, its hash and its number of frames by the header."""

    source: Source
    digest: str
    frames: int

    def key(self, recipe: Recipe) -> str:
        """Name of the result file: what the result depends on, hashed."""
        source = [self.source.name, self.digest, self.source.parameters_digest()]
        parts = [_FORMAT, FIGURE, recipe.name, recipe.version, recipe.options, *source]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def convert_all(
    recipe: Recipe,
    tasks: Sequence[Task],
    folder: Path,
    raw: Path,
    launcher: Launcher,
    progress: Progress | None,
) -> int:
    """Convert what has no result file yet; return how many clips that were.

    Raises:
        InputError: results cannot be written, or a worker died.
    """
    missing = [task for task in tasks if not _has_result(folder, task.key(recipe))]
    before = len(tasks) - len(missing)

    def done(number: int) -> None:
        if progress:
            progress("converting", before + number, len(tasks))

    launcher.run(partial(_convert, recipe, folder, raw), missing, done)
    return len(missing)


def _convert(recipe: Recipe, folder: Path, raw: Path, task: Task) -> None:
    convert(recipe, task, folder, raw)


def convert(recipe: Recipe, task: Task, folder: Path, raw: Path) -> None:
    """Convert one source and write its result file, a clip or a reject."""
    name, key = task.source.name, task.key(recipe)
    try:
        motion = recipe.read(task.source)
        reject = _unfit(name, motion)
    except MemoryError:
        raise
    except Exception as error:  # a hostile file may provoke anything in a reader: it is rejected, not fatal
        reject = describe(name, error, raw)
    if reject is not None:
        with atomic_path(folder / f"{key}.json") as path:
            path.write_text(json.dumps(reject.to_json()), encoding="utf-8")
        return
    record = json.dumps(ClipRecord.of(name, task.digest, motion).to_json()).encode()
    with atomic_path(folder / f"{key}.npz") as path:
        np.savez(
            path,
            rotations=motion.rotations,
            root_translation=motion.root_translation,
            record=np.frombuffer(record, np.uint8),
        )


def load_result(folder: Path, key: str) -> Reject | tuple[ClipRecord, np.ndarray, np.ndarray]:
    """Read the result file of a task.

    Raises:
        InputError: it is damaged.
    """
    reject = folder / f"{key}.json"
    path = reject if reject.is_file() else folder / f"{key}.npz"
    with parsing(path, "the result of an earlier attempt", f"delete {folder.parent} and prepare again"):
        if path == reject:
            return Reject(**json.loads(reject.read_text(encoding="utf-8")))
        with np.load(path, allow_pickle=False) as arrays:
            record = ClipRecord.from_json(json.loads(arrays["record"].tobytes()))
            return record, arrays["rotations"], arrays["root_translation"]


def describe(name: str, error: Exception, raw: Path) -> Reject:
    """A reject from an error; the text loses the folder, which would differ between machines."""
    if isinstance(error, ContrappostoError):
        text = error.what + (f" ({error.found})" if error.found else "")
    else:
        text = f"{type(error).__name__}: {error}"
    text = " ".join(text.replace(f"{raw}{os.sep}", "").split())
    reasons = {"finite": "not finite", "frame rate": "frame rate"}
    return Reject(
        name, next((reason for word, reason in reasons.items() if word in text), "unreadable"), text
    )


def _unfit(name: str, motion: Motion) -> Reject | None:
    if motion.skeleton.num_joints != SMPLH52.num_joints or motion.skeleton.joint_names != SMPLH52.joint_names:
        raise TypeError(f"the recipe gave a clip on {motion.skeleton.name}, expected {SMPLH52.name}")
    if motion.num_frames < MIN_FRAMES:
        return Reject(name, "too short", f"{motion.num_frames} frames, at least {MIN_FRAMES} are needed")
    low, high = FRAME_RATES
    if not low <= motion.fps <= high:
        return Reject(name, "frame rate", f"{motion.fps:g} frames/s, expected {low:g} to {high:g}")
    return None


def _has_result(folder: Path, key: str) -> bool:
    return (folder / f"{key}.npz").is_file() or (folder / f"{key}.json").is_file()
