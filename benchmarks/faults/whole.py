"""What may be found after a kill: whole files under their own names, and results like those of an undisturbed run."""

from __future__ import annotations

import csv
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Entries that tell of a run's time, place, command or commit, and hashes of files that hold such. `current_score` is
# what Lightning's checkpoint callback saw last in this process: it does not take it up again, and decides nothing by it.
_OTHER = (
    *(
        "start",
        "end",
        "time",
        "output",
        "seconds",
        "command",
        "earlier",
        "device",
        "git",
        "process",
        "checkpoint_sha256",
    ),
    "current_score",
)


def half_written(folder: Path) -> list[str]:
    """Files below a folder, hidden ones aside, that are not whole."""
    results = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not any(
            part.startswith(".") or part.endswith(".partial") for part in inside.parts
        ):
            problem = _problem(path)
            if problem:
                results.append(f"{inside}: {problem}")
    return results


def difference(first: Path, second: Path, ignore: tuple[str, ...] = ()) -> list[str]:
    """Files (or two folders' files) that say something else, times and processes aside."""
    names = {f.relative_to(root) for root in (first, second) for f in root.rglob("*") if f.is_file()}
    results = []
    for name in sorted(names):
        if any(part.startswith(".") for part in name.parts) or name.name in ignore:
            continue
        one, two = first / name, second / name
        if not (one.is_file() and two.is_file()):
            results.append(f"{name} is only in {'the first' if one.is_file() else 'the second'}")
        elif one.read_bytes() != two.read_bytes() and (place := unlike(_content(one), _content(two))):
            results.append(f"{name} differs at {place}")
    return results


def unlike(first: Any, second: Any, place: str = "") -> str | None:
    """The first place at which two nested values are not equal to the last bit; NaN equals NaN."""
    import torch

    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = [(f"{place}/{key}", first[key], second[key]) for key in first]
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = [(f"{place}/{key}", one, two) for key, (one, two) in enumerate(zip(first, second))]
    else:
        equal = type(first) is type(second)
        if equal and isinstance(first, torch.Tensor):
            equal = torch.equal(first, second)
        elif equal and isinstance(first, np.ndarray):
            floating = first.dtype.kind == "f"
            equal = first.dtype == second.dtype and np.array_equal(first, second, equal_nan=floating)
        elif equal:
            equal = bool(first == second) or (first != first and second != second)
        return None if equal else place or "/"
    return next((results for where, one, two in pairs if (results := unlike(one, two, where))), None)


def _problem(path: Path) -> str:
    check = _CHECKS.get(path.suffix)
    if check is None:
        return "" if path.stat().st_size or path.suffix == ".lock" else "it is empty"
    try:
        return check(path) or ""
    except Exception as error:  # whatever a reader states of a file that is not whole
        return f"{type(error).__name__}: {error}"[:200]


def _json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _yaml(path: Path) -> str:
    import yaml

    return "" if isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict) else "no configuration"


def _checkpoint(path: Path) -> str | None:
    from callbacks.checkpoint import damage

    return damage(path)


def _table(path: Path) -> str:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return "" if rows and all(len(row) == len(rows[0]) for row in rows) else "a row is not whole"


def _zip(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def _npy(path: Path) -> None:
    np.load(path, allow_pickle=False)


def _glb(path: Path) -> str:
    magic, _, length = struct.unpack("<4sII", path.read_bytes()[:12])
    return "" if magic == b"glTF" and length == path.stat().st_size else "it is cut off"


def _video(path: Path) -> str:
    from contrapposto.video_file import VideoFile

    return "" if sum(1 for _ in VideoFile.open(path).frames()) else "no frames"


def _image(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.load()


def _bvh(path: Path) -> None:
    from contrapposto.io import read_motion

    read_motion(path, native=True)


_CHECKS: dict[str, Callable[[Path], str | None]] = {
    **{".json": _json, ".yaml": _yaml, ".ckpt": _checkpoint, ".csv": _table, ".npz": _zip, ".npy": _npy},
    **{".glb": _glb, ".mp4": _video, ".png": _image, ".bvh": _bvh},
}


def _content(path: Path) -> Any:
    """What a file states, without the times at which it was said."""
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    if path.suffix == ".ckpt":
        from contrapposto.checkpoints import load_checkpoint

        return _timeless(load_checkpoint(path))
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {_timeless(key): _timeless(item) for key, item in value.items() if key not in _OTHER}
    if isinstance(value, str) and "/" in value:
        return Path(value).name  # the runs lie in different folders
    return [_timeless(item) for item in value] if isinstance(value, list | tuple) else value
