"""Output files of one command: nothing of the user's is replaced, and what was written is recorded.

A command opens `Outputs` for its folder. While it is open, every writer is checked, because all writers go through
`contrapposto.files.atomic_path`: a file that exists is only replaced if an earlier run of the same command wrote it
and nobody has changed it since. What a command wrote, and from what, stands in `provenance.json` in the folder; while
it runs, in a hidden journal, so that the same command knows its files again after a process was killed.

Tasks choose their names before they start to work::

    stem = free_stem(output / source.stem, (".npz", ".bvh"), tag="smplh")   # walk, or walk_smplh where walk.bvh exists

and name the models that they used with `note_model`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from contrapposto import files
from contrapposto.errors import InputError
from contrapposto.files import sha256, write_json

RECORD = "provenance.json"
FORMAT = 1
_OWN = (RECORD, "stage.json")  # files that only commands write
_MOST_FILES, _MOST_BYTES = 5_000, 8 * 2**30  # of an input, beyond which sizes are recorded in place of hashes
_PACKAGES = ("contrapposto", "torch", "numpy", "scipy")
_open: list[Outputs] = []


class Outputs:
    """The files that one command writes into one folder; a context manager.

    Args:
        folder: of the outputs; it need not exist.
        task: name of the command.
        inputs: files and folders that it reads, by the names of their options.
        options: recorded as they are.
        overwrite: replace whatever is there.

    Raises:
        InputError: entering, the folder holds a `provenance.json` of something else (a training run).
    """

    def __init__(
        self,
        folder: str | Path,
        task: str,
        inputs: Mapping[str, str | Path] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.folder, self.task, self.overwrite = Path(folder).absolute(), task, overwrite
        self.inputs = {name: Path(path).absolute() for name, path in (inputs or {}).items()}
        self.options = dict(options or {})
        self.models: list[dict[str, Any]] = []
        self.notes: dict[str, Any] = {}
        self.written: dict[Path, bool] = {}
        self._stems: set[Path] = set()
        identity = [task, sorted((name, str(path)) for name, path in self.inputs.items())]
        self.key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        self._journal = self.folder / f".provenance.{self.key}.jsonl"
        self._earlier: dict[str, str] = {}

    def __enter__(self) -> Outputs:
        for entry in self._records():
            if entry.get("key") == self.key and isinstance(entry.get("files"), dict):
                self._earlier = dict(entry["files"])
        self._earlier |= self._of_killed_run()
        self._started = datetime.now(UTC)
        self._described = {name: describe_input(path) for name, path in self.inputs.items()}
        _open.append(self)
        files.WRITE_CHECKS.append(self.check)
        files.WRITE_NOTES.append(self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        files.WRITE_CHECKS.remove(self.check)
        files.WRITE_NOTES.remove(self._note)
        _open.remove(self)
        self.save("finished" if kind is None else "stopped")
        self._journal.unlink(missing_ok=True)

    def save(self, status: str = "running") -> None:
        """Write `provenance.json`, if anything has been written so far."""
        written = self._files()
        if not written:
            return
        if status == "finished":
            self._remove_stale(written)
        kept = {name: digest for name, digest in self._earlier.items() if (self.folder / name).is_file()}
        entry = self._entry({**kept, **written}, status)
        records = [one for one in self._records() if one.get("key") != self.key]
        write_json(
            self.folder / RECORD, {"format": FORMAT, "kind": "predictions", "results": [*records, entry]}
        )

    def check(self, path: Path, directory: bool = False) -> None:
        """Allow a file or folder to be written, and remember it.

        Raises:
            InputError: it would replace something that this command did not write.
        """
        path = Path(path).absolute()
        self.claim(path)
        self.written[path] = directory

    def claim(self, path: Path) -> None:
        """Refuse a path, before the work for it begins, that `check` would refuse.

        Raises:
            InputError: see `check`.
        """
        path = Path(path).absolute()
        if path not in self.written and path.exists() and not self.overwrite:
            inside = path.is_relative_to(self.folder)
            foreign = self._foreign(path) if inside else path if self._is_input(path) else None
            if foreign is not None:
                raise InputError(
                    f"{path} would be replaced, but this command did not write it"
                    + (": it is an input." if self._is_input(foreign) else "."),
                    found="" if foreign == path else f"{foreign} in it",
                    fix="choose another folder with output=, or say overwrite=true",
                )

    def _note(self, path: Path, temporary: Path) -> None:
        """Put files into the journal that are about to get their names."""
        path = Path(path).absolute()
        if not path.is_relative_to(self.folder) or path.name == RECORD:
            return
        inside = sorted(temporary.rglob("*")) if temporary.is_dir() else [temporary]
        names = {
            (path / file.relative_to(temporary)).relative_to(self.folder).as_posix(): sha256(file)
            for file in inside
            if file.is_file()
        }
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(names) + "\n")

    def _of_killed_run(self) -> dict[str, str]:
        """Files that the journal of a killed run of this command names, and that are as it wrote them."""
        matches: dict[str, str] = {}
        try:
            lines = self._journal.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return matches
        for line in lines:
            try:
                matches |= json.loads(line)
            except (ValueError, TypeError):  # the last line may be cut
                continue
        return {
            name: digest
            for name, digest in matches.items()
            if (self.folder / name).is_file() and sha256(self.folder / name) == digest
        }

    def free_stem(self, stem: Path, endings: Sequence[str], tag: str = "", *, new: bool = False) -> Path:
        """`stem`, or one with `tag` or a number after it, so that no `stem + ending` replaces a file."""
        bases = [stem, *([stem.with_name(f"{stem.name}_{tag}")] if tag else [])]
        numbered = (bases[-1].with_name(f"{bases[-1].name}_{number}") for number in range(2, 10_000))
        for candidate in (*bases, *numbered):
            paths = [candidate.with_name(candidate.name + ending).absolute() for ending in endings]
            taken = [self._taken(path) or (new and path.exists()) for path in paths]
            if candidate.absolute() not in self._stems and not any(taken):
                self._stems.add(candidate.absolute())
                if candidate != stem:
                    print(f"{stem.name} exists in {stem.parent}: the results are called {candidate.name}")
                return candidate
        raise InputError(f"All names like {stem} are taken.", fix="choose another folder with output=")

    def free_folder(self, folder: Path, names: Sequence[str], tag: str) -> Path:
        """`folder`, or one called `tag` (or `tag` and a number) in it, so that nothing of `names` replaces a file."""
        numbered = (folder / f"{tag}_{number}" for number in range(2, 10_000))
        for candidate in (folder, folder / tag, *numbered):
            inside = candidate.absolute()
            free = not inside.exists() or inside.is_dir()
            if free and inside not in self._stems and not any(self._taken(inside / name) for name in names):
                self._stems.add(inside)
                if candidate != folder:
                    print(
                        f"{folder} holds other results or files of these names: the results are in {candidate}"
                    )
                return candidate
        raise InputError(
            f"All folders like {folder / tag} are taken.", fix="choose another folder with output="
        )

    def _taken(self, path: Path) -> bool:
        return path in self.written or (
            path.exists() and not self.overwrite and self._foreign(path) is not None
        )

    def _foreign(self, path: Path) -> Path | None:
        """A file at or below a path in the folder that an earlier run of this command did not write as it is."""
        inside = sorted(file for file in path.rglob("*") if not file.is_dir()) if path.is_dir() else [path]
        return next((file for file in inside if not self._ours(file)), None)

    def _ours(self, file: Path) -> bool:
        digest = self._earlier.get(file.relative_to(self.folder).as_posix())
        return (
            file in self.written
            or file.name in _OWN
            or (digest is not None and file.is_file() and sha256(file) == digest)
        )

    def _is_input(self, path: Path) -> bool:
        real = path.resolve()
        return any(
            real == one.resolve() or real.is_relative_to(one.resolve()) for one in self.inputs.values()
        )

    def _files(self) -> dict[str, str]:
        """Hashes of what was written, by its path inside the folder."""
        matches: dict[str, str] = {}
        for path, directory in self.written.items():
            for file in path.rglob("*") if directory and path.is_dir() else [path]:
                if file.is_file() and file.is_relative_to(self.folder) and file.name != RECORD:
                    matches[file.relative_to(self.folder).as_posix()] = sha256(file)
        return matches

    def _remove_stale(self, written: Mapping[str, str]) -> None:
        """Remove files of the earlier run from the series that this run wrote anew (frames of a longer sequence)."""
        series = {name.rpartition("/")[0] for name in written} - {""}
        for name in set(self._earlier) - set(written):
            file = self.folder / name
            if name.rpartition("/")[0] in series and file.is_file() and self._ours(file):
                file.unlink()

    def _entry(self, written: Mapping[str, str], status: str) -> dict[str, Any]:
        return {
            "task": self.task,
            "key": self.key,
            "status": status,
            "time": self._started.isoformat(timespec="seconds"),
            "seconds": round((datetime.now(UTC) - self._started).total_seconds(), 1),
            "inputs": self._described,
            "options": self.options,
            "models": self.models,
            **self.notes,
            "versions": {name: _version(name) for name in _PACKAGES},
            "files": dict(sorted(written.items())),
        }

    def _records(self) -> list[dict[str, Any]]:
        path = self.folder / RECORD
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and content.get("kind") == "predictions":
            results = content.get("results")
            if isinstance(results, list) and all(isinstance(entry, dict) for entry in results):
                return results
        raise InputError(
            f"{path} is not a record of predictions.",
            found="perhaps a training run" if isinstance(content, dict) else "not JSON",
            fix="choose another folder with output=",
        )


def claim(*paths: Path) -> None:
    """Refuse, before the work for them begins, files and folders that the open command may not replace.

    Raises:
        InputError: one of them exists, and an earlier run of the same command did not write it.
    """
    for path in paths:
        if _open:
            _open[-1].claim(path)


def adopt(paths: Iterable[Path]) -> None:
    """Record files of the open command that other processes wrote for it."""
    if _open:
        _open[-1].written |= {Path(path).absolute(): Path(path).is_dir() for path in paths}


def free_folder(folder: Path, names: Sequence[str], tag: str) -> Path:
    """A folder for results whose names are fixed: `folder`, or `folder/tag` where one of the names is taken.

    Args:
        folder: the output folder.
        names: of all files and folders that will be written into it.
        tag: name of the folder inside it, for instance that of the clip.
    """
    session = _open[-1] if _open else Outputs(folder, "library")
    return session.free_folder(folder, names, tag)


def free_stem(stem: Path, endings: Sequence[str], tag: str = "", *, new: bool = False) -> Path:
    """A stem whose files (`stem + ending`) replace nothing; of the open command, else by what exists.

    Args:
        stem: the wanted name without suffix, in the output folder.
        endings: of all files and folders that will be written: `(".npz", ".mp4", "_obj")`.
        tag: put behind the name where it is taken (`walk_smplh`), before numbers are tried.
        new: also results of an earlier run of the same command stay (a recording that cannot be repeated).
    """
    session = _open[-1] if _open else Outputs(stem.parent, "library")
    return session.free_stem(stem, endings, tag, new=new)


def note_model(name: str, path: str | Path | None = None, licence: str = "", **further: Any) -> None:
    """Record a model that the open command uses: its name, the hash of its file, the licence of its training data."""
    if _open:
        file = None if path is None else Path(path)
        digest = sha256(file) if file is not None and file.is_file() else None
        model = {"name": name, "file": file.name if file else None, "sha256": digest, "licence": licence}
        entry = {**{key: value for key, value in model.items() if value}, **further}
        if entry not in _open[-1].models:
            _open[-1].models.append(entry)


def note(**values: Any) -> None:
    """Record further values (a seed, an attribution) in the open command's `provenance.json`."""
    if _open:
        _open[-1].notes.update(values)


def describe_input(path: Path) -> dict[str, Any]:
    """Name, size and hash of a file; of a folder, the number of its files and a hash of their names and hashes."""
    if path.is_file():
        size = path.stat().st_size
        return {"name": path.name, "bytes": size} | ({"sha256": sha256(path)} if size <= _MOST_BYTES else {})
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    sizes = [file.stat().st_size for file in inside]
    known = len(inside) <= _MOST_FILES and sum(sizes) <= _MOST_BYTES
    digest = hashlib.sha256()
    for file, size in zip(inside, sizes):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256(file) if known else size}\n".encode())
    return {"name": path.name, "files": len(inside), "bytes": sum(sizes), "sha256": digest.hexdigest()}


def existing_paths(options: Mapping[str, Any], skip: Iterable[str] = ("output", "paths")) -> dict[str, Path]:
    """The options whose values name a file or folder that exists, by dotted names.

    Nested options count if their value looks like a path: a bare word there is the name of a model or of data.
    """
    matches: dict[str, Path] = {}
    for name, value in options.items():
        if name in skip:
            continue
        if isinstance(value, Mapping):
            nested = existing_paths(value, ())
            matches |= {
                f"{name}.{inner}": path for inner, path in nested.items() if set("/\\.") & set(str(path))
            }
        elif isinstance(value, str) and _exists(value):
            matches[str(name)] = Path(value)
    return matches


def _exists(value: str) -> bool:
    try:
        return bool(value) and os.path.lexists(value)
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
