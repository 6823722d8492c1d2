"""A page that needs nothing but itself: no script, style, image or font from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from contrapposto.files import atomic_path

FILE_LIMIT = 8 * 2**20
"""Bytes of one image or video that is put into a page."""
PAGE_LIMIT = 32 * 2**20
"""Bytes of all images and videos of a page."""
_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
# The browser itself is passed to ask nobody for anything.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is shown, what it is sorted by (None: the text), and its class."""

    text: str
    key: float | None = None
    style: str = ""


def write_page(path: Path, title: str, body: Sequence[str], *, wide: bool = False) -> Path:
    """Write a page of HTML parts, atomically; a wide one has room for tables with many columns."""
    folder = Path(__file__).parent
    style = (folder / "page.css").read_text(encoding="utf-8")
    script = (folder / "page.js").read_text(encoding="utf-8")
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{style}</style>\n</head>\n<body{' class=wide' if wide else ''}>\n"
        + "\n".join(part for part in body if part)
        + "\n"
        f"<footer>Contrapposto, {created}</footer>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def section(title: str, *parts: str, note: str = "") -> str:
    """A part of the page under a heading; nothing where it has no content."""
    content = "\n".join(part for part in parts if part)
    if not content:
        return ""
    text = f'<p class="note">{escape(note)}</p>\n' if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{text}{content}\n</section>"


def folded(title: str, content: str, *, opened: bool = False) -> str:
    """A part that opens on a click."""
    if not content:
        return ""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>\n{content}\n</details>"


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell | str]], *, sortable: bool = False) -> str:
    """A table; cells are text or `Cell`s. A click on a head sorts a sortable one."""
    cells = [list(row) for row in rows]
    if not cells:
        return ""
    kind = ' class="sortable"' if sortable else ""
    texts = [isinstance(cell, Cell) and "text" in cell.style.split() for cell in cells[0]]
    titles = "".join(
        f'<th scope="col"{" class=text" if text else ""}>{escape(head)}</th>'
        for head, text in zip(heads, texts)
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in cells)
    return (
        f'<div class="scroll"><table{kind}>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        "</table></div>"
    )


def _cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    style = f' class="{cell.style}"' if cell.style else ""
    key = "" if cell.key is None else f' data-key="{cell.key!r}"'
    return f"<td{style}{key}>{escape(cell.text)}</td>"


def definition_list(pairs: Iterable[tuple[str, Any]]) -> str:
    """A list of names and values; missing values are left out."""
    rows = [(name, str(value)) for name, value in pairs if value not in (None, "", {}, [])]
    if not rows:
        return ""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{inner}</dl>"


def problems(messages: Sequence[str]) -> str:
    """What could not be read."""
    if not messages:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in messages)
    return f'<div class="problems"><b>Could not be read:</b><ul>{items}</ul></div>'


def gallery(files: Sequence[Path], below: Path) -> str:
    """Images and videos inside the page; those beyond the limits are named with their size.

    Args:
        files: in the order in which they are shown.
        below: folder that their names are given in.
    """
    shown, left, total = [], [], 0
    for file in files:
        kind = _TYPES.get(file.suffix.lower())
        if kind is None or not file.is_file():
            continue
        size, name = file.stat().st_size, file.relative_to(below).as_posix()
        if not size or size > FILE_LIMIT or total + size > PAGE_LIMIT:
            left.append(f"{name} ({size / 2**20:.1f} MiB)" if size else f"{name} (empty)")
            continue
        total += size
        shown.append(_medium(file, kind, name))
    note = (
        f"Inside this page: {total / 2**20:.1f} MiB. Files of more than {FILE_LIMIT / 2**20:.0f} MiB, and what "
        f"would make it more than {PAGE_LIMIT / 2**20:.0f} MiB in all, are left out."
    )
    if left:
        note += " Left out: " + ", ".join(left) + "."
    if not shown and not left:
        return ""
    return f'<p class="note">{escape(note)}</p>\n<div class="media">{"".join(shown)}</div>'


def _medium(file: Path, kind: str, name: str) -> str:
    data = f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"
    label = escape(name, quote=True)
    if kind.startswith("video"):
        inner = f'<video controls loop muted playsinline preload="metadata" aria-label="{label}" src="{data}"></video>'
    else:
        inner = f'<img alt="{label}" src="{data}">'
    return f"<figure>{inner}<figcaption>{label}</figcaption></figure>"
