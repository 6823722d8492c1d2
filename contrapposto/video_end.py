"""Whether a video that states no duration, as one recorded live, stops in the middle: WebM and Ogg."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_PAGE, _LAST_PAGE = b"OggS", 0x04
_TAIL = 1 << 17  # bytes; an Ogg page has fewer than 65,308


def ends_early(path: Path) -> bool:
    """Whether a WebM or Matroska file ends inside of an element, or the last page of an Ogg file is not marked as such."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
        if int.from_bytes(start, "big") == _EBML:
            return _inside_element(file, length)
        return start == _PAGE and _without_end(file, length)


def _inside_element(file: BinaryIO, length: int) -> bool:
    position = 0
    while position < length:
        file.seek(position)
        head = file.read(12)
        id_bytes = _width(head[0])
        size_bytes = _width(head[id_bytes]) if id_bytes and len(head) > id_bytes else 1
        if not id_bytes or not size_bytes:
            return False  # damaged: nothing is known of the end
        if len(head) < id_bytes + size_bytes:
            return True
        name = int.from_bytes(head[:id_bytes], "big")
        unknown = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & unknown
        position += id_bytes + size_bytes
        if size == unknown:
            continue  # what is inside follows, and then what comes after it
        if name == _SEGMENT:
            return position + size > length
        position += size
    return position > length


def _width(first: int) -> int:
    """Bytes of a number that begins with this byte; 0 where none does."""
    return 9 - first.bit_length() if first else 0


def _without_end(file: BinaryIO, length: int) -> bool:
    file.seek(max(length - _TAIL, 0))
    tail = file.read()
    last = tail.rfind(_PAGE)
    if last < 0 or len(tail) < last + 27:
        return True
    sizes = tail[last + 27 : last + 27 + tail[last + 26]]
    return len(tail) < last + 27 + len(sizes) + sum(sizes) or not tail[last + 5] & _LAST_PAGE
