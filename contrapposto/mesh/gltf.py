"""The container of glTF 2.0: JSON, buffers and accessors of .glb and .gltf files, checked before they are used."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from contrapposto.checks import check_file, note, shorten
from contrapposto.errors import InputError
from contrapposto.mesh import draco

_TYPES: dict[int, Any] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_UNDERSTOOD = {
    "KHR_materials_unlit",
    "KHR_texture_transform",
    "KHR_mesh_quantization",
    "KHR_materials_specular",
}
_MOST = 2**28
_MOST_ZEROS = 2**22  # values of an accessor without bytes behind it
_SPARE, _TIMES = 2**28, 64  # bytes that arrays may take: so many, and so many times the file's own
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff")
_COMPRESSED = (draco.EXTENSION, "EXT_meshopt_compression")


class Gltf:
    """A glTF file.

    Args:
        path: .glb, or .gltf with its buffers inside or beside it.

    Attributes:
        json: the document.

    Raises:
        InputError: damaged, truncated, not glTF 2.0, or in need of an extension that is not understood (Draco
            compression).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_file(path, "glTF")
        data = self.path.read_bytes()
        try:
            self.json, self._binary = _container(data) if data[:4] == b"glTF" else (json.loads(data), None)
        except (ValueError, struct.error, RecursionError) as error:
            raise self.error("The file is damaged or is not glTF.", shorten(str(error), 120)) from error
        asset = self.items("asset") if isinstance(self.json, dict) else None
        if not isinstance(asset, dict) or not str(asset.get("version", "")).startswith("2"):
            raise self.error("The file is not glTF 2.0.")
        needed = self.json.get("extensionsRequired", [])
        strange = {str(name) for name in needed} - _UNDERSTOOD if isinstance(needed, list) else {str(needed)}
        if draco.can_decode():
            strange -= {draco.EXTENSION}
        if strange:
            raise self.error(
                "The file needs extensions that are not understood.",
                ", ".join(sorted(strange)),
                self._fix(strange),
            )
        self._buffers: dict[int, bytes] = {}
        self._taken, self._held = 0, len(data)
        self._decoded: dict[int, dict[str, np.ndarray]] = {}
        try:
            self._compressed = draco.compressed(self.json)
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise self.error("A compressed mesh is damaged.", shorten(str(error), 120)) from error

    def _fix(self, strange: set[str]) -> str:
        if not strange & set(_COMPRESSED):
            return "export it again without them"
        unpack = f"npx @gltf-transform/cli copy {self.path.name} plain.glb (or export it without compression)"
        return (
            f"pip install {draco.PACKAGE}, or unpack it: {unpack}"
            if draco.EXTENSION in strange
            else f"unpack it: {unpack}"
        )

    def error(self, what: str, found: str = "", fix: str = "") -> InputError:
        """An error that names the file."""
        return InputError(
            f"{self.path}: {what}", found=found, expected="a glTF 2.0 file (.glb, .gltf)", fix=fix
        )

    def items(self, name: str) -> Any:
        """A top-level entry; an empty one where there is none."""
        return self.json.get(name, {} if name == "asset" else [])

    def entry(self, name: str, index: object) -> dict[str, Any]:
        """One item of a top-level list."""
        items = self.items(name)
        if not isinstance(items, list) or not isinstance(index, int) or not 0 <= index < len(items):
            raise self.error(f"The file refers to {name} that are not there.", shorten(str(index)))
        if not isinstance(items[index], dict):
            raise self.error(f"An entry of {name} is not an object.")
        return items[index]

    def array(self, index: object) -> np.ndarray:
        """An accessor as (N,) or (N, C) values; normalised integers become floats."""
        accessor = self.entry("accessors", index)
        try:
            self._reserve(accessor)
            values = self._unpacked(index) if index in self._compressed else self._values(accessor)
        except (KeyError, TypeError, ValueError) as error:
            raise self.error(f"Accessor {index} is damaged.", shorten(str(error), 120)) from error
        if accessor.get("normalized") and values.dtype.kind in "iu":
            values = np.maximum(values.astype(np.float32) / np.iinfo(values.dtype).max, -1)
        return values

    def _unpacked(self, index: Any) -> np.ndarray:
        """The values of an accessor whose primitive is compressed by Draco."""
        entry, name = self._compressed[index]
        view = entry["bufferView"]
        if view not in self._decoded:
            accessors = {part: self.entry("accessors", number) for part, number in entry["accessors"].items()}
            for accessor in accessors.values():
                self._reserve(accessor)
            counts = {part: accessor["count"] for part, accessor in accessors.items()}
            data = self._view(self.entry("bufferViews", view))[0]
            self._decoded[view] = draco.decoded(data, entry["attributes"], counts)
        return self._decoded[view][name]

    def _reserve(self, accessor: dict[str, Any]) -> None:
        """Refuse arrays that take much more memory than the file has bytes."""
        width, count = _WIDTHS[accessor["type"]], accessor["count"]
        if not isinstance(count, int) or not 0 <= count * width <= _MOST:
            raise ValueError(f"{count} elements")
        if "bufferView" not in accessor and count * width > _MOST_ZEROS:
            raise ValueError(f"{count} elements without bytes behind them")
        self._taken += count * width * np.dtype(_TYPES[accessor["componentType"]]).itemsize
        if self._taken > _SPARE + _TIMES * self._held:
            raise ValueError(f"arrays of {self._taken} bytes in a file of {self._held}")

    def image(self, index: object) -> bytes | None:
        """The encoded image of a texture; None, with a note, where it cannot be had."""
        texture = self.entry("textures", index)
        webp = (texture.get("extensions") or {}).get("EXT_texture_webp") or {}
        source = texture.get("source", webp.get("source"))
        if source is None:
            return None
        image = self.entry("images", source)
        if "bufferView" in image:
            return self._view(self.entry("bufferViews", image["bufferView"]))[0]
        uri = str(image.get("uri", ""))
        data = self.resource(uri, beside=True)
        if data is None:
            note(f"the texture {shorten(uri)} is not there: the surface is plain")
        return data

    def _values(self, accessor: dict[str, Any]) -> np.ndarray:
        kind = np.dtype(_TYPES[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], accessor["count"]
        if "bufferView" in accessor:
            values = self._read(accessor["bufferView"], accessor.get("byteOffset", 0), kind, count, width)
        else:
            values = np.zeros((count, width), kind)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            where, inputs = sparse["indices"], sparse["values"]
            rows = self._read(
                where["bufferView"],
                where.get("byteOffset", 0),
                np.dtype(_TYPES[where["componentType"]]),
                sparse["count"],
                1,
            )
            if len(rows) and rows.max() >= count:
                raise ValueError("a sparse index beyond the end")
            values = values.copy()
            values[rows[:, 0]] = self._read(
                inputs["bufferView"], inputs.get("byteOffset", 0), kind, sparse["count"], width
            )
        return values[:, 0] if width == 1 else values

    def _read(self, view_index: object, offset: int, kind: np.dtype, count: int, width: int) -> np.ndarray:
        data, stride = self._view(self.entry("bufferViews", view_index))
        size = kind.itemsize * width
        stride = stride or size
        if offset < 0 or stride < size or (count and offset + stride * (count - 1) + size > len(data)):
            raise ValueError(f"{count} elements of {size} bytes do not fit into {len(data)} bytes")
        raw = np.frombuffer(data, np.uint8)
        rows = np.lib.stride_tricks.as_strided(raw[offset:], (count, size), (stride, 1), writeable=False)
        return np.ascontiguousarray(rows).view(kind.newbyteorder("<")).astype(kind).reshape(count, width)

    def _view(self, view: dict[str, Any]) -> tuple[bytes, int]:
        data = self.buffer(view.get("buffer"))
        start, length = view.get("byteOffset", 0), view.get("byteLength", 0)
        if (
            not isinstance(start, int)
            or not isinstance(length, int)
            or start < 0
            or start + length > len(data)
        ):
            raise self.error(
                "The file is truncated.", f"a view of {length} bytes at {start}, {len(data)} bytes"
            )
        return data[start : start + length], int(view.get("byteStride", 0))

    def buffer(self, index: object) -> bytes:
        """The bytes of a buffer."""
        buffer = self.entry("buffers", index)
        number = int(index)  # type: ignore[call-overload]
        if number not in self._buffers:
            data = self.resource(str(buffer["uri"])) if "uri" in buffer else self._binary
            if data is None or len(data) < buffer.get("byteLength", 0):
                raise self.error("The file is truncated.", f"buffer {number} is missing or too short")
            self._buffers[number] = data
        return self._buffers[number]

    def resource(self, uri: str, *, beside: bool = False) -> bytes | None:
        """What a URI holds: data inside it, or a file in the same folder or below; nothing else is opened.

        `beside`: also PNG and JPEG images in folders beside the file's (`../textures/skin.png`).
        """
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except binascii.Error as error:
                raise self.error("Data inside the file is damaged.") from error
        folder = self.path.parent.resolve()
        for name in dict.fromkeys((unquote(uri), uri)):
            if not name or "\0" in name or Path(name).is_absolute() or name.count("..") > 1:
                continue
            try:
                file = (folder / name.replace("\\", "/")).resolve()
                there = file.is_relative_to(folder.parent if beside else folder) and file.is_file()
            except OSError:  # no file can have such a name
                continue
            if there:
                data = check_file(file, "glTF buffer").read_bytes()
                if not file.is_relative_to(folder) and not data.startswith(_IMAGES):
                    continue
                self._held += len(data)
                return data
        return None


def _container(data: bytes) -> tuple[Any, bytes | None]:
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2 or length > len(data):
        raise ValueError(f"version {version}, {length} bytes announced, {len(data)} there")
    document, binary, offset = None, None, 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<I4s", data, offset)
        chunk = data[offset + 8 : offset + 8 + size]
        if len(chunk) < size:
            raise ValueError("a chunk is truncated")
        if kind == b"JSON" and document is None:
            document = json.loads(chunk)
        elif kind == b"BIN\0" and binary is None:
            binary = chunk
        offset += 8 + size
    return document, binary
