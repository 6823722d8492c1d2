"""Images that mesh files name: only PNG and JPEG files beside them or below are ever taken."""

from __future__ import annotations

from pathlib import Path

from contrapposto.checks import note, shorten

_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff")
_LARGEST = 2**28


def image_beside(folder: Path, *names: str) -> bytes | None:
    """The first image of these names; None, with a note, where there is none.

    A name may have back slashes, folders that are not there, and other capitals, as files moved between machines have.
    """
    for name in names:
        plain = name.strip().strip('"').replace("\\", "/")
        for candidate in (plain, plain.rpartition("/")[2]):
            for file in (folder / candidate, *_same_letters(folder, candidate)):
                data = _bytes(file)
                if data.startswith(_IMAGES):
                    return data
    if names:
        note(f"the texture {shorten(names[0])} is not there: the surface is plain")
    return None


def _same_letters(folder: Path, name: str) -> list[Path]:
    """Files of the folder with this name but for capitals."""
    if "/" in name or not name:
        return []
    try:
        return [file for file in sorted(folder.iterdir()) if file.name.lower() == name.lower()]
    except OSError:
        return []


def _bytes(file: Path) -> bytes:
    """The content; nothing of files that cannot be, or are too large."""
    try:
        return file.read_bytes() if file.is_file() and file.stat().st_size < _LARGEST else b""
    except (OSError, ValueError):
        return b""
