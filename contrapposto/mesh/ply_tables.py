"""The tables of a PLY file: its header, and the numbers and lists of its elements, as text or binary.

Source: G. Turk, The PLY Polygon File Format, 1994.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from contrapposto.checks import shorten

_TYPES = {
    **{"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2"},
    **{"ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
}
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_LONGEST_HEADER = 1 << 16

Table = dict[str, Any]
"""Property to its values: (N,) of a number; (N, K) of lists of one length, or a list of arrays."""


@dataclass
class Element:
    """A kind of rows: `properties` are name, type, and the type of a list's length (empty: a number)."""

    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        """Whether rows may have different lengths."""
        return any(length for _, _, length in self.properties)


@dataclass
class Header:
    """The byte order (empty: text), the elements in their order, and the names of textures."""

    order: str
    elements: list[Element]
    textures: list[str]


def read_tables(data: bytes) -> tuple[Header, dict[str, Table]]:
    """The header, and the table of every element by its name.

    Raises:
        ValueError, KeyError, IndexError: the data is damaged, or no PLY file.
    """
    header, body = _header(data)
    return header, _binary(header, body) if header.order else _ascii(header, body)


def _header(data: bytes) -> tuple[Header, bytes]:
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("no header of a PLY file")
    after = data.find(b"\n", end)
    if data[end + 10 : end + 11] == b"\r" and data[end + 11 : end + 12] != b"\n":
        after = end + 10  # lines that end with CR alone
    header = Header("?", [], [])
    for line in data[:end].decode("utf-8", "replace").splitlines():
        words = line.split()
        if words and words[0] not in ("ply", "obj_info"):
            _line(header, line, words)
    body = data[after + 1 :] if after >= 0 else b""
    for element in header.elements:
        if not 0 <= element.count <= (len(body) if element.properties else 0):
            raise ValueError(f"{element.count} elements {element.name} in {len(body)} bytes")
    if header.order == "?":
        raise ValueError("no line 'format'")
    return header, body


def _line(header: Header, line: str, words: list[str]) -> None:
    if words[0] == "comment":
        if len(words) > 2 and words[1].lower() == "texturefile":
            header.textures.append(line.split(None, 2)[2].strip())
    elif words[0] == "format":
        header.order = _FORMATS[words[1]]
    elif words[0] == "element":
        header.elements.append(Element(words[1], int(words[2])))
    elif words[0] == "property" and words[1] == "list":
        header.elements[-1].properties.append((words[4], _TYPES[words[3]], _TYPES[words[2]]))
    elif words[0] == "property":
        header.elements[-1].properties.append((words[2], _TYPES[words[1]], ""))
    else:
        raise ValueError(f"a line {shorten(line)} in the header")


def _ascii(header: Header, body: bytes) -> dict[str, Table]:
    rows = [line for line in body.decode("ascii", "replace").splitlines() if line.strip()]
    tables, start = {}, 0
    for element in header.elements:
        part = rows[start : start + element.count]
        if len(part) < element.count:
            raise ValueError(f"{len(part)} of {element.count} lines of {element.name}")
        start += element.count
        tables[element.name] = _ascii_table(element, part)
    return tables


def _ascii_table(element: Element, rows: list[str]) -> Table:
    if not element.has_lists:
        values = np.array(" ".join(rows).split(), np.float64)
        values = values.reshape(len(rows), -1)[:, : len(element.properties)]
        return {name: values[:, column] for column, (name, _, _) in enumerate(element.properties)}
    even = _even_rows(element, rows)
    if even is not None:
        return even
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
    for row in rows:
        words, at = row.split(), 0
        for name, _, length in element.properties:
            count = int(words[at]) if length else 1
            at += bool(length)
            if not 0 <= count <= len(words) - at:
                raise ValueError(f"a list of {count} in {shorten(row)}")
            numbers = [float(word) for word in words[at : at + count]]
            at += count
            columns[name].append(numbers if length else numbers[0])
    return {
        name: _lists(columns[name]) if length else np.array(columns[name])
        for name, _, length in element.properties
    }


def _even_rows(element: Element, rows: list[str]) -> Table | None:
    """Rows whose lists have the lengths of those of the first, at once; None where they differ."""
    if not rows:
        return None
    first, at = rows[0].split(), 0
    places: dict[str, slice | int] = {}
    sizes: dict[int, int] = {}
    for name, _, length in element.properties:
        if length:
            sizes[at] = int(first[at])
            places[name] = slice(at + 1, at + 1 + sizes[at])
            at += 1 + sizes[at]
        else:
            places[name] = at
            at += 1
    words = " ".join(rows).split()
    if not 0 < at == len(first) or len(words) != at * len(rows) or min(sizes.values()) < 0:
        return None
    values = np.array(words, np.float64).reshape(len(rows), at)
    if any((values[:, column] != size).any() for column, size in sizes.items()):
        return None
    return {name: values[:, place] for name, place in places.items()}


def _lists(values: list[Any]) -> Any:
    """(N, K) of lists of one length, else a list of arrays."""
    if len({len(row) for row in values}) == 1:
        return np.array(values)
    return [np.array(row) for row in values]


def _binary(header: Header, body: bytes) -> dict[str, Table]:
    tables, start = {}, 0
    for element in header.elements:
        tables[element.name], start = _binary_table(element, body, start, header.order)
    return tables


def _binary_table(element: Element, body: bytes, start: int, order: str) -> tuple[Table, int]:
    sizes = _first_sizes(element, body, start, order)
    fields: list[Any] = []
    for number, (_, kind, length) in enumerate(element.properties):
        if length:
            fields += [(f"n{number}", order + length), (f"v{number}", order + kind, (sizes[number],))]
        else:
            fields.append((f"v{number}", order + kind))
    row = np.dtype(fields)
    if element.count and row.itemsize * element.count <= len(body) - start:
        table = np.frombuffer(body, row, element.count, start)
        if all((table[f"n{number}"] == size).all() for number, size in sizes.items()):
            named = {
                name: table[f"v{n}"].astype(np.float64) for n, (name, _, _) in enumerate(element.properties)
            }
            return named, start + row.itemsize * element.count
    if not element.has_lists and element.count:
        raise ValueError(f"{element.count} elements {element.name} do not fit into the file")
    return _binary_rows(element, body, start, order)


def _first_sizes(element: Element, body: bytes, start: int, order: str) -> dict[int, int]:
    """Lengths of the lists of the first row, by the number of their property."""
    sizes: dict[int, int] = {}
    for number, (_, kind, length) in enumerate(element.properties if element.count else []):
        count = 1
        if length:
            count = int(np.frombuffer(body, order + length, 1, start)[0])
            start += np.dtype(length).itemsize
            if not 0 <= count <= len(body):
                raise ValueError(f"a list of {count}")
            sizes[number] = count
        start += count * np.dtype(kind).itemsize
    return sizes if element.count else {n: 0 for n, (_, _, length) in enumerate(element.properties) if length}


def _binary_rows(element: Element, body: bytes, start: int, order: str) -> tuple[Table, int]:
    """Rows whose lists have different lengths, one after the other."""
    columns: dict[str, list[Any]] = {name: [] for name, _, _ in element.properties}
    kinds = [
        (name, np.dtype(order + kind), np.dtype(order + length) if length else None)
        for name, kind, length in element.properties
    ]
    for _ in range(element.count):
        for name, kind, length in kinds:
            count = 1
            if length is not None:
                count = int(np.frombuffer(body, length, 1, start)[0])
                start += length.itemsize
            if not 0 <= count * kind.itemsize <= len(body) - start:
                raise ValueError(f"a list of {count} beyond the end")
            values = np.frombuffer(body, kind, count, start).astype(np.float64)
            start += count * kind.itemsize
            columns[name].append(values if length is not None else values[0])
    return {
        name: _lists(columns[name]) if length else np.array(columns[name])
        for name, _, length in element.properties
    }, start
