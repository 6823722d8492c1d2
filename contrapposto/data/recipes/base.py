"""What a recipe is: it finds the sources of a corpus and reads one of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from contrapposto.errors import InputError, MissingError
from contrapposto.files import sha256
from contrapposto.motion import Motion

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True)
class Source:
    """What one clip is made from.

    Args:
        name: the clip's name in the store: a path inside the corpus, free of anything that depends on the
            machine.
        paths: the files, the main one first; none for clips that are computed.
        parameters: plain JSON values that the recipe needs besides the files (labels, options of a
            generator).
    """

    name: str
    paths: tuple[Path, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of the one file; of the list of hashes if there are several; else of the parameters."""
        hashes = [sha256(path) for path in self.paths]
        if len(hashes) == 1:
            return hashes[0]
        if hashes:
            return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
        return self.parameters_digest()

    def parameters_digest(self) -> str:
        """SHA-256 of the parameters as sorted JSON."""
        return hashlib.sha256(json.dumps(dict(self.parameters), sort_keys=True).encode()).hexdigest()


@dataclass
class Discovery:
    """What was found in a raw folder: the sources, and what was ignored, counted."""

    sources: list[Source] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


class Recipe(Protocol):
    """A corpus. Instances are small and picklable: they travel to the processes that convert clips.

    Attributes:
        name: the word after `data=`.
        version: raised whenever the same source would give other numbers.
        source, licence, attribution: travel with the data.
        options: plain JSON values that change the result; kept in the manifest.
        downloads: address to SHA-256 of what `obtain` has downloaded; kept in the manifest.
    """

    name: str
    version: int
    source: str
    licence: str
    attribution: str
    downloads: dict[str, str]

    @property
    def options(self) -> dict[str, Any]:
        """What changes the store, as plain JSON values."""

    def obtain(self, raw: Path | None, downloads: Path, progress: Progress | None) -> Path:
        """Return the raw folder: `raw` if given, else after a download below `downloads`."""

    def discover(self, raw: Path) -> Discovery:
        """Find the sources, without reading more than names and label files."""

    def frames(self, source: Source) -> int:
        """Number of frames by the header alone, to check the input and the disk before the work.

        Raises:
            InputError: the header cannot be read; the source becomes a reject.
        """

    def read(self, source: Source) -> Motion:
        """Read one clip on the SMPL-H skeleton.

        Raises:
            InputError: it cannot be used; the source becomes a reject.
        """


def need_folder(raw: Path | None, recipe: str, expected: str) -> Path:
    """Check that `raw` is a folder.

    Raises:
        MissingError: not given or not there.
    """
    if raw is None or not raw.is_dir():
        actual = "raw= was not given" if raw is None else ("a file" if raw.exists() else "nothing there")
        raise MissingError(
            f"The recipe {recipe} needs a folder of raw files{'' if raw is None else f': {raw}'}.",
            found=actual,
            expected=expected,
            fix=f"python prepare.py data={recipe} raw=FOLDER",
        )
    return raw


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, hidden ones left out; linked folders are followed, each real one
    once.

    Raises:
        InputError: a folder cannot be listed.
    """
    seen: set[str] = set()

    def fail(error: OSError) -> None:
        raise InputError(
            f"The folder {error.filename} cannot be listed.",
            found=str(error.strerror),
            fix="check its permissions",
        ) from error

    for root, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(root, name)


def suffix_of(path: Path) -> str:
    """The suffix by which ignored files are counted, in lower case; `.tar.bz2` and the like stay whole."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[:1] == [".tar"] else (suffixes[-1] if suffixes else "no suffix")
