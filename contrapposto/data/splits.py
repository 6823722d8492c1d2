"""Splits of a store's clips: by hashing names, or by lists of clip paths. Never by number.

A clip belongs to a part because of its name alone, so adding or removing clips, or another order of files on another
machine, moves no other clip from training to test.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from contrapposto.data.names import comparable
from contrapposto.data.store import ClipRecord
from contrapposto.errors import ConfigError, InputError

_NUMBERED = re.compile(r"(?:.*/)?\d+\.pt")


def hash_split(
    clips: Sequence[ClipRecord], test: float, *, salt: str = "", by: str = "clip"
) -> tuple[np.ndarray, np.ndarray]:
    """Split clips by the hash of their names.

    Args:
        clips: records of a store.
        test: share of the test part, in [0, 1]; held on average, as with throwing dice.
        salt: another text gives another split.
        by: `clip`; or `subject`, which keeps all clips of a person in the same part (clips whose subject is not known
            count by themselves).

    Returns:
        Numbers of the training and of the test clips, ascending.

    Raises:
        ConfigError: `test` or `by` is out of range.
    """
    if not 0 <= test <= 1 or by not in ("clip", "subject"):
        raise ConfigError(
            "The split cannot be made.",
            found=f"test={test}, by={by}",
            expected="0 <= test <= 1 and by=clip or by=subject",
        )
    keys = [clip.name if by == "clip" else str(clip.metadata.get("subject", clip.name)) for clip in clips]
    # comparable() so that the two releases of a clip, or an alias of its subset, fall on the same side
    chosen = np.array([_fraction(f"{salt}\n{comparable(key)}") < test for key in keys], bool)
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


@dataclass(frozen=True)
class ListMatch:
    """What became of a split list.

    Args:
        indices: numbers of the clips that are in the list, ascending, each once.
        lines: lines of the list.
        missing: lines without a clip in the store.
    """

    indices: np.ndarray
    lines: int
    missing: tuple[str, ...]

    def summary(self) -> str:
        """One line for a terminal."""
        return f"{self.lines - len(self.missing)} of {self.lines} lines match {len(self.indices)} clips of the store"


def read_list(path: str | Path) -> list[str]:
    """Lines of a split list; empty ones and those that begin with # are left out.

    Raises:
        InputError: it cannot be read or is empty.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The split list {path} cannot be read.", found=str(error)) from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(
            f"The split list {path} is empty.", expected="one clip path a line, CMU/01/01_01_poses.npz"
        )
    return lines


def list_lines(entries: str | Path | Sequence[str | Path]) -> list[str]:
    """Lines of one or several split lists.

    Args:
        entries: files; an entry with a star is a pattern itself, not a file.
    """
    several = [entries] if isinstance(entries, str | Path) else entries
    return [line for entry in several for line in ([str(entry)] if "*" in str(entry) else read_list(entry))]


def match_list(
    clips: Sequence[ClipRecord], lines: Sequence[str], *, mapping: Mapping[str, str] | None = None
) -> ListMatch:
    """Find the clips of a list, by paths like `CMU/01/01_01_poses.npz`, whatever alias of the subset either side uses.

    Args:
        clips: records of a store.
        lines: of the list; one with a star is a pattern, `HumanEva/*`.
        mapping: line to clip path, for lists of running numbers.

    Raises:
        ConfigError: the list names running numbers (`dataset/KIT/3024.pt`) and there is no mapping.
    """
    mapping = mapping or {}
    numbered = [line for line in lines if line not in mapping and _NUMBERED.fullmatch(line)]
    if numbered:
        raise ConfigError(
            "This split list names clips by running numbers, which mean nothing outside the folder they were made in.",
            found=f"{len(numbered)} lines like {numbered[0]}",
            expected="paths inside the corpus, CMU/01/01_01_poses.npz",
            fix="use a list of paths, or give a mapping from these lines to paths",
        )
    by_name = {comparable(clip.name): index for index, clip in enumerate(clips)}
    result: set[int] = set()
    missing = []
    for line in lines:
        wanted = comparable(mapping.get(line, line))
        if "*" in wanted:
            matches = {index for name, index in by_name.items() if fnmatchcase(name, wanted)}
        else:
            matches = {by_name[wanted]} if wanted in by_name else set()
        if not matches:
            missing.append(line)
        result |= matches
    return ListMatch(np.array(sorted(result), np.int64), len(lines), tuple(missing))


def _fraction(text: str) -> float:
    """A number in [0, 1) from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
