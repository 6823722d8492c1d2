"""Clips for the viewer by the names that a user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contrapposto.errors import InputError, MissingError, nearest
from contrapposto.io import read_motion
from contrapposto.motion import Motion

if TYPE_CHECKING:
    from contrapposto.data.store import MotionStore


def open_files(
    names: Sequence[str | Path],
) -> tuple[dict[str, Motion], tuple[list[str], Callable[[str], Motion]] | None]:
    """Clips by name from motion files (.npz, .bvh, .amc), clips of a store (`STORE/NAME`), or one whole store.

    Returns:
        The clips to show first, and for a whole store its library (see `Viewer`).

    Raises:
        InputError: a file that cannot be used.
        MissingError: there is no such file, store or clip.
    """
    if len(names) == 1 and (Path(names[0]) / "manifest.json").is_file():
        store = _open_store(Path(names[0]))
        titles = [record.name for record in store.clips]
        if not titles:
            raise InputError(f"The store {names[0]} is empty.")

        def load(name: str) -> Motion:
            return store[store.index(name)]

        return {titles[0]: load(titles[0])}, (titles, load)
    clips: dict[str, Motion] = {}
    for name in names:
        path = Path(name)
        title = path.stem
        while title in clips:
            title += "'"
        clips[title] = _read_one(path)
    return clips, None


def _read_one(path: Path) -> Motion:
    if path.is_file():
        return read_motion(path)
    for folder in path.parents:
        if (folder / "manifest.json").is_file():
            return _of_store(_open_store(folder), path.relative_to(folder).as_posix())
    raise MissingError(
        f"There is no file {path}.",
        expected="a motion file (.npz, .bvh, .amc), a store, or a clip of a store: STORE/CLIP",
    )


def _of_store(store: MotionStore, name: str) -> Motion:
    names = [record.name for record in store.clips]
    if name not in names:
        raise MissingError(f"The store has no clip {name}.", expected=nearest(name, names))
    return store[store.index(name)]


def _open_store(folder: Path) -> MotionStore:
    from contrapposto.data.store import MotionStore

    return MotionStore.open(folder)
